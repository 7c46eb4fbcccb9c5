"""A training that is killed every few seconds ends, and few rows are trained twice.

    python -m tests.faults.kills [--seconds 30] [--every 4] [--from-first-row]

makes a training of one cell that takes the time given, with default settings, and kills it until
one ends: counted from the start of a process, or from its first row where other work makes starting
slow. It takes about 90 s, and ends with exit code 1 if the files are not those of a training that
nobody killed, or if more rows were trained twice than one interval between two states holds a kill.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from sgdlab.config.model import Run
from tests.conftest import PROJECT, make_arrays
from tests.faults.counting import rows_in
from tests.flipped_bits import contents

N_FEATURES, N_ROWS = 300, 4000


@dataclass(frozen=True)
class Training:
    """A config of one cell in a folder, and how it is run.

    Attributes
    ----------
    pace_s
        What a chunk of rows takes at least.
    keeps
        Whether states of trainings are found again.
    """

    folder: Path
    epochs: int
    pace_s: float = 0.0
    keeps: bool = True

    @classmethod
    def made(cls, folder: Path, n_rows: int, **how) -> "Training":
        (folder / "data").mkdir(parents=True)
        for part, array in make_arrays(n_train=n_rows, n_features=N_FEATURES).items():
            np.save(folder / "data" / f"{part}.npy", array)
        training = cls(folder, **how)
        train = {"batch_size": 10, "learning_rate": 1e-4, "epochs": training.epochs}
        config = {"data": {"path": "data"}, "train": train}
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        (folder / "rows").write_bytes(bytes(8))
        return training

    def begin(self) -> subprocess.Popen:
        how = [str(self.folder / "rows"), str(self.pace_s), "yes" if self.keeps else "no"]
        command = ["train", str(self.folder / "config.yaml"), "-q"]
        return subprocess.Popen(
            [sys.executable, "-m", "tests.faults.counting", *how, *command, "--runs-dir", "runs"],
            cwd=self.folder, stdout=subprocess.DEVNULL, env=_environment(),
        )  # fmt: skip

    @property
    def n_rows(self) -> int:
        """How many rows all processes have trained."""
        return rows_in(self.folder / "rows")

    def results(self) -> dict[str, bytes]:
        found = contents(self.folder / "runs")
        return {name: found[name] for name in found if not name.endswith("/experiment.json")}


def _environment() -> dict[str, str]:
    path = os.pathsep.join(filter(None, (str(PROJECT), os.environ.get("PYTHONPATH"))))
    return os.environ | {"PYTHONPATH": path}


@dataclass(frozen=True)
class Killed:
    """What became of a training: how often it was killed, and whether it ended; rows a second."""

    n_kills: int
    has_ended: bool
    fastest: float


def killed(training: Training, every_s: float, most: int, from_first_row: bool) -> Killed:
    """Kill a training until it ends, or so many times at most.

    The time counts from the start of a process, or from the first row that it trains.
    """
    fastest = 0.0
    for n_kills in range(most):
        before, child, start = training.n_rows, training.begin(), time.monotonic()
        while from_first_row and training.n_rows == before and child.poll() is None:
            time.sleep(0.01)
            start = time.monotonic()
        try:
            code = child.wait(timeout=max(0.0, start + every_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            fastest = max(fastest, (training.n_rows - before) / every_s)
        else:
            assert code == 0, f"ended with {code}"
            return Killed(n_kills, True, fastest)
    return Killed(most, False, fastest)


def most_twice(found: Killed) -> float:
    """The rows that may be trained twice: those of one interval a kill."""
    return found.n_kills * found.fastest * Run().checkpoint_every_s


def _seconds(training: Training) -> float:
    start = time.monotonic()
    assert training.begin().wait() == 0
    return time.monotonic() - start


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.kills", description=__doc__)
    parser.add_argument("--seconds", type=float, default=30, help="that it takes (default: 30)")
    parser.add_argument("--every", type=float, default=4, help="seconds a kill (default: 4)")
    parser.add_argument("--from-first-row", action="store_true", help="not from the start")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sgdlab-") as name:
        folder = Path(name).resolve()
        few, some = (
            _seconds(Training.made(folder / str(epochs), N_ROWS, epochs=epochs))
            for epochs in (1, 300)
        )
        epochs = round(options.seconds * 299 / (some - few))
        whole = Training.made(folder / "whole", N_ROWS, epochs=epochs)
        took = _seconds(whole)
        parts = Training.made(folder / "parts", N_ROWS, epochs=epochs)
        found = killed(parts, options.every, 1000, options.from_first_row)
        n_rows, is_same = whole.n_rows, parts.results() == whole.results()
        twice = parts.n_rows - n_rows
    lost = twice / max(1, found.n_kills) / found.fastest if found.fastest else 0.0
    same = "the same bytes" if is_same else "other bytes"
    print(
        f"a training of {took:.1f} s, killed every {options.every:g} s: ended after"
        f" {found.n_kills} kills with {same}; {twice:,} of {n_rows:,} rows trained twice,"
        f" {lost:.1f} s a kill"
    )
    sys.exit(not is_same or twice > most_twice(found))


if __name__ == "__main__":
    main()
