"""One hostile run: a valid one with some changes, whose hashes are made right again."""

import hashlib
import json
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sgdlab.runs import stops
from tests.faults.hostile_runs import archives, documents, places
from tests.faults.hostile_runs.documents import one_of

Rng = np.random.Generator
LARGEST = 10**7  # bytes of a file that is hashed


@dataclass
class HostileRun:
    """A copy of a run that is being changed.

    Attributes
    ----------
    outside
        A folder that no command may touch.
    origin
        Which logs and stops are of the run.
    """

    path: Path
    outside: Path
    origin: str
    trees: dict[str, Any] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)

    def change(self, rng: Rng) -> str:
        """Change something or several things, make hashes right, and say what was done."""
        for _ in range(1 + int(rng.random() < 0.25)):
            way = rng.random()
            with suppress(Exception):  # what an earlier change has broken is not changed again
                if way < 0.5:
                    self._change_document(rng)
                elif way < 0.75:
                    self._change_arrays(rng)
                else:
                    self.done.append(places.change(self.path, self.outside, rng))
        if rng.random() < 0.95:
            self.make_right()
        return "; ".join(self.done)

    def _change_document(self, rng: Rng) -> None:
        files = [file for file in self.path.rglob("*.json") if _is_regular(file)]
        record = self.path / "experiment.json"
        file = record if rng.random() < 0.5 and record in files else one_of(sorted(files), rng)
        name = file.relative_to(self.path).as_posix()
        if name not in self.trees:
            self.trees[name] = json.loads(file.read_bytes())
            self.trees[name].pop("sha256", None)
        self.done.append(f"{name}: {documents.change(self.trees[name], rng)}")
        self._write(name)

    def _change_arrays(self, rng: Rng) -> None:
        files = [file for file in self.path.rglob("*.npz") if _is_regular(file)]
        file = one_of(sorted(files), rng)
        arrays = _arrays_of(file)
        if rng.random() < 0.5:
            what = archives.change_values(arrays, rng)
            self.put_arrays(file, arrays)
        else:
            content, what = archives.damaged(arrays, rng, str(self.outside / "unpickled"))
            file.write_bytes(content)
        self.done.append(f"{file.relative_to(self.path)}: {what}")

    def put_arrays(self, file: Path, arrays: archives.Arrays) -> None:
        """Write arrays, with a seal or with logs that know them."""
        if "seal" in arrays:
            del arrays["seal"]
            arrays["seal"] = stops._seal(arrays, self.origin)
        file.write_bytes(archives.npz(arrays))
        if file.name == "weights.npz":
            self._log_weights(arrays)

    def _log_weights(self, arrays: archives.Arrays) -> None:
        """Have the logs know the hashes of weights and biases that are in no way like before."""
        with_folds = "fold_weights" in arrays
        for row, cell in enumerate(arrays["cells"].tolist()):
            for folder in ("final", "cells") if with_folds else ("cells",):
                name = f"{folder}/{cell:04d}.json"
                tree = self.trees.setdefault(name, json.loads((self.path / name).read_bytes()))
                tree.pop("sha256", None)
                for training in tree["replicates"]:
                    fold, replicate = training["fold"], training["replicate"]
                    kind = "" if fold is None else "fold_"
                    place = (row, replicate) if fold is None else (row, fold, replicate)
                    weights = np.ascontiguousarray(arrays[f"{kind}weights"][place])
                    training["weights_sha256"] = hashlib.sha256(weights.tobytes()).hexdigest()
                self._write(name)

    def make_right(self) -> None:
        """Have the record know the hashes of all files as they are."""
        name = "experiment.json"
        record = self.path / name
        if not _is_regular(record) or not self.done:
            return
        if name not in self.trees:
            with suppress(ValueError, RecursionError):
                self.trees[name] = json.loads(record.read_bytes())
        tree = self.trees.get(name)
        if not isinstance(tree, dict) or not isinstance(tree.get("files"), dict):
            return
        tree.pop("sha256", None)
        for known in tree["files"]:
            file = self.path / known
            with suppress(OSError, ValueError):
                if len(known) < 99 and _is_regular(file) and file.stat().st_size < LARGEST:
                    tree["files"][known] = hashlib.sha256(file.read_bytes()).hexdigest()
        self._write(name)

    def _write(self, name: str) -> None:
        file = self.path / name
        if _is_regular(file):  # what stands there now is hostile already
            file.write_bytes(documents.sealed(self.trees[name]))


def _arrays_of(file: Path) -> archives.Arrays:
    with np.load(file) as loaded:
        return {name: loaded[name] for name in loaded.files}


def _is_regular(file: Path) -> bool:
    try:
        status = file.lstat()
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size < LARGEST
