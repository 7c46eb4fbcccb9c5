"""Of flipped bits in runs none changes what a command shows without a word.

``python -m tests.flipped_bits --n 1000`` makes runs of several kinds, finished and interrupted
ones. Then it flips one bit of one file at a time and gives the commands that read a run. Each must
show what it shows of the untouched run, or end with a line that names the file; a search, which
reads all files of a finished run, must end so always. The file stays, whatever is said of it.
"""

import argparse
import contextlib
import io
import math
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import yaml

from sgdlab import workflows
from sgdlab.cli import app
from sgdlab.observer import Observer, Progress
from sgdlab.search import keeping
from tests.conftest import make_arrays

TRAIN = {"batch_size": 10, "learning_rate": 0.05, "epochs": 3}
ALL = ("--test-losses", "all", "--keep-weights", "all")
SEARCH = ("table", "json")


@dataclass(frozen=True)
class Answer:
    """What a command shows, and how it ends."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Kind:
    """A run whose bits are flipped, and the commands that are given then."""

    name: str
    path: Path
    pristine: Path
    commands: tuple[tuple[str, ...], ...]
    is_finished: bool = True

    def restore(self) -> None:
        if contents(self.path) != contents(self.pristine):
            shutil.rmtree(self.path)
            shutil.copytree(self.pristine, self.path)

    def answers(self) -> list[Answer]:
        return [answer(*command) for command in self.commands]


def answer(*arguments: str) -> Answer:
    """Give a command in this process."""
    streams = [io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2)]
    with (
        mock.patch.object(sys, "argv", ["sgdlab", *arguments]),
        contextlib.redirect_stdout(streams[0]),
        contextlib.redirect_stderr(streams[1]),
    ):
        try:
            code = app._run()
        except SystemExit as error:
            code = int(error.code or 0)
    out, err = (stream.buffer.getvalue().decode() for stream in streams)
    return Answer(code, out, err)


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


class _Interrupting(Observer):
    """Breaks off a search of two passes in the second one, of which there is a state then."""

    def advance(self, progress: Progress) -> None:
        if progress.epoch == TRAIN["epochs"] + 2:
            raise KeyboardInterrupt


def make_kinds(folder: Path) -> list[Kind]:
    """A finished run of every kind, and one that was interrupted."""
    (folder / "data").mkdir()
    for part, array in make_arrays().items():
        np.save(folder / "data" / f"{part}.npy", array)
    axes = {"learning_rate": [0.01, 0.05], "l2": [0.0, 0.1]}
    folds = {"validation": {"folds": 3}, "preprocess": "standardize"}
    make = _Maker(folder)
    return [
        make.finished("plain", grid=axes),
        make.finished("single"),
        make.finished("folds", data=folds, grid={"l2": [0.0, 0.1]}, train={"replicates": 2}),
        make.finished("all-kept", *ALL, grid={"precision": ["float32", "float64"], "l2": [0, 0.1]}),
        make.finished("diverged", train={"learning_rate": 1e9}),
        make.interrupted("interrupted", grid=axes | {"order": ["in_order", "shuffle_once"]}),
    ]


class _Maker:
    """Writes configs and makes their runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def finished(self, name: str, *options: str, **sections: dict) -> Kind:
        config = self._config(name, **sections)
        search = self._search(name, config, "grid" in sections, *options)
        found = answer(*search[0])
        assert found.code in (0, 5), found.err
        [path] = (self._folder / name).iterdir()
        cells = ("--cell", "1") if "all" in options else ()
        evaluate = [
            ("evaluate", str(path), *cells, "--format", format, "--quiet") for format in SEARCH
        ]
        latest = ("evaluate", "latest", "--runs-dir", str(path.parent), "--format", "csv")
        verify = ("verify", str(path), "--quiet")
        return self._kind(name, path, (*evaluate, latest, *search, verify))

    def interrupted(self, name: str, **sections: dict) -> Kind:
        config = self._config(name, run={"checkpoint_every_s": 1e-9}, **sections)
        options = workflows.SearchOptions(self._folder / name)
        with (
            mock.patch.object(keeping, "MOST_SHARE", math.inf),
            contextlib.suppress(KeyboardInterrupt),
        ):
            workflows.grid_search(config, options=options, observer=_Interrupting())
        [path] = (self._folder / name).iterdir()
        assert (path / "state" / "checkpoint.npz").exists()
        search = self._search(name, config, True)
        return self._kind(name, path, search[1:], is_finished=False)

    def _kind(self, name: str, path: Path, commands: tuple, is_finished: bool = True) -> Kind:
        pristine = self._folder / f"{name}-pristine"
        shutil.copytree(path, pristine)
        return Kind(name, path, pristine, commands, is_finished)

    def _config(self, name: str, **sections: dict) -> Path:
        grid, train = sections.get("grid", {}), TRAIN | sections.pop("train", {})
        data = {"path": "data"} | sections.pop("data", {})
        train = {key: value for key, value in train.items() if key not in grid}
        path = self._folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump({"data": data, "train": train} | sections))
        return path

    def _search(self, name: str, config: Path, has_grid: bool, *options: str) -> tuple:
        command = (
            ("grid-search", str(config), "--top", "99") if has_grid else ("train", str(config))
        )
        runs = ("--runs-dir", str(self._folder / name))
        return tuple((*command, *runs, *options, "--format", format) for format in SEARCH)


def flip(path: Path, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def _kind_of(file: Path, kind: Kind) -> str:
    """Logs of a folder, and stops, count as one."""
    inside = file.relative_to(kind.path)
    return f"{kind.name}: {inside if len(inside.parts) == 1 else inside.parent}"


def complaints(kind: Kind, file: Path, shown: list[Answer]) -> Iterator[str]:
    """What is wrong with how commands behave on a damaged file."""
    damaged = file.read_bytes()
    for command, before in zip(kind.commands, shown, strict=True):
        now = answer(*command)
        is_said = str(file) in now.err
        if now.code != before.code and not (is_said and now.err.count("\n") == 1):
            yield f"{command[0]} ends with {now.code}: {now.err}"
        elif now.code == before.code and now.out != before.out and not is_said:
            yield f"{command[0]} shows something else without a word"
        if kind.is_finished and command[0] != "evaluate" and now.code != 4:
            yield f"{command[0]} accepts a file that is not as it was written"
        if now.code == 4 and (not file.exists() or file.read_bytes() != damaged):
            yield f"{command[0]} takes a damaged file away"


def try_flips(
    kinds: list[Kind], n: int, seed: int = 0, tell: Callable[[str], None] = lambda line: None
) -> tuple[Counter[str], list[str]]:
    """Flip ``n`` bits: how many of every kind of file, and what is wrong."""
    rng, counts, wrong = np.random.default_rng(seed), Counter[str](), []
    shown = {}
    for kind in kinds:
        shown[kind.name] = kind.answers()
        kind.restore()
    for number in range(n):
        kind = kinds[number % len(kinds)]
        file = kind.path / str(rng.choice(list(contents(kind.pristine))))
        bit = int(rng.integers(8 * file.stat().st_size))
        flip(file, bit)
        counts[
            f"{kind.name}: {file.parent.name if file.suffix != '.csv' else ''}{file.suffix}"
        ] += 1
        where = f"{kind.name}, bit {bit} of {file.relative_to(kind.path)}"
        wrong += [f"{where}: {what}" for what in complaints(kind, file, shown[kind.name])]
        kind.restore()
        if number % 100 == 99:
            tell(f"{number + 1} bits, {len(wrong)} complaints")
    return counts, wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    os.environ["COLUMNS"] = "100"
    with tempfile.TemporaryDirectory(prefix="sgdlab-") as name:
        kinds = make_kinds(Path(name))
        counts, wrong = try_flips(kinds, arguments.n, arguments.seed, lambda line: print(line))
    for kind_of_file, count in sorted(counts.items()):
        print(f"{count:5} {kind_of_file}")
    print(*wrong, sep="\n")
    print(f"{arguments.n} flipped bits: {len(wrong)} complaints")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
