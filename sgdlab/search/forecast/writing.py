"""Times what a run writes and reads of its own, in a run that is made for it."""

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sgdlab.config.grid import Cell
from sgdlab.config.model import Train
from sgdlab.engine.running_block import Outcome
from sgdlab.runs import provenance
from sgdlab.runs.directory import RunDirectory
from sgdlab.runs.open_run import OpenRun
from sgdlab.runs.opening import open_run
from sgdlab.system.files import make_folder, temporary_folder
from sgdlab.system.locks import locked
from sgdlab.system.looking import absolute

MOST_OUTCOMES = 32  # of one commit; more take as much longer
MOST_COMMITS = 4
BUDGET_S = 0.2
WAIT_S = 60.0  # for another process that measures the same disk, which takes about a second


@dataclass(frozen=True)
class WritingPace:
    """Seconds for one outcome of a commit, for one cell's log that is read, and for a run's end."""

    outcome_s: float
    result_s: float
    end_s: float


def measure_writing(
    runs_dir: Path, train: Train, outcome: Outcome, n_epochs: int, n_together: int
) -> WritingPace:
    """Commit outcomes with histories of ``n_epochs``, ``n_together`` at a time."""
    n_together = max(1, min(n_together, MOST_OUTCOMES))
    train = train.model_copy(update={"replicates": 1, "epochs": n_epochs})
    cells = [Cell(n, train) for n in range(n_together * MOST_COMMITS)]
    outcomes = [_long(outcome, cell.index, n_epochs) for cell in cells]
    with _folder(runs_dir) as folder:
        directory = RunDirectory(folder / "run")
        with open_run(directory, cells, False) as run:
            commit_s = _commit(run, outcomes, n_together)
            logged = [cells[n] for n in sorted(directory.logged_cells(cells))]
            start = time.perf_counter()
            directory.logs(logged)
            result_s = (time.perf_counter() - start) / len(logged)
            start = time.perf_counter()
            provenance.environment()
            run.write({directory.path / str(n): b"0" for n in range(3)})
            for _ in range(2):
                run.write({directory.experiment_file: b"{}"})
            end_s = time.perf_counter() - start
    return WritingPace(commit_s / n_together, result_s, end_s)


def _commit(run: OpenRun, outcomes: Sequence[Outcome], n_together: int) -> float:
    """Mean seconds of a commit."""
    start = time.perf_counter()
    for n in range(MOST_COMMITS):
        run.commit(n, 1, outcomes[n * n_together : (n + 1) * n_together])
        elapsed_s = time.perf_counter() - start
        if elapsed_s > BUDGET_S:
            break
    return elapsed_s / (n + 1)


def _long(outcome: Outcome, cell: int, n_epochs: int) -> Outcome:
    history = np.linspace(1.1, 1.0, n_epochs)
    return replace(
        outcome,
        cell=cell,
        replicate=0,
        fold=None,
        epochs=n_epochs,
        running_history=history,
        validation_history=history,
        validation_mae_history=history,
    )


@contextmanager
def _folder(runs_dir: Path) -> Iterator[Path]:
    """A folder to write into, on the disk of the runs; what a killed process left in it is removed.

    Where nothing can be written there, one for temporary files.
    """
    nearest = absolute(runs_dir)
    while not os.path.isdir(nearest) and nearest != nearest.parent:
        nearest = nearest.parent
    if not os.access(nearest, os.W_OK):
        with temporary_folder() as folder:
            yield folder
        return
    folder = nearest / ".sgdlab-measure"
    with locked(nearest / f"{folder.name}.lock", WAIT_S):
        shutil.rmtree(folder, ignore_errors=True)
        make_folder(folder)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
