"""How large the files of a run can be: what is larger is not read."""

import os
from collections.abc import Sequence
from pathlib import Path

from sgdlab.config.grid import Cell
from sgdlab.data.shape import Shape
from sgdlab.system.looking import names_in, status_of

SLACK = 2**20  # of headers, directories and the names of keys
RECORD_BYTES = 4 * 2**20  # of a record, beside as many as the logs and stops of its run have
PLANNED_BYTES = 128  # of a training in a plan
NUMBER_BYTES = 32  # of a number in text, with what stands between it and the next
TRAINING_BYTES = 4096  # of a log's training without its histories
ROW_BYTES = 8192  # of a row of the table


def plan_bytes(cells: Sequence[Cell], folds: int | None) -> int:
    """Of the plan of all cells in a record."""
    return PLANNED_BYTES * len(cells) * cells[0].train.replicates * (folds or 1)


def record_bytes(record: Path, planned_bytes: int) -> int:
    """Of a run's record, which names its logs, and whose plan has the trainings of its stops.

    Parameters
    ----------
    planned_bytes
        Of a plan that is expected there.
    """
    status, most_bytes = status_of(record), RECORD_BYTES + planned_bytes
    if status is None or status.st_size <= most_bytes:
        return most_bytes
    folders = (record.parent / name for name in ("cells", "final", "state/stops"))
    files = (status_of(folder / name) for folder in folders for name in names_in(folder))
    return most_bytes + sum(_stored_bytes(file) for file in files if file is not None)


def _stored_bytes(status: os.stat_result) -> int:
    """Those of a file that stand on the disk, where the system tells."""
    return min(status.st_size, getattr(status, "st_blocks", status.st_size) * 512)


def most_of(n_bytes: int) -> int:
    """The bytes of a file whose content takes so many."""
    return SLACK + n_bytes


def weights_bytes(shape: Shape, n_cells: int, n_replicates: int) -> int:
    """Of the weights of all cells, on all rows to train and in every fold."""
    n_models = 1 + (shape.folds or 0)
    return (
        8
        * n_models
        * (n_cells * (1 + n_replicates * (1 + shape.n_features)) + 2 * shape.n_features)
    )


def stop_bytes(shape: Shape, cells: Sequence[Cell]) -> int:
    """Of a block that trains all cells, at the last of all epochs."""
    epochs = max(cell.train.epochs for cell in cells)
    n_rows = len(cells) * cells[0].train.replicates
    return n_rows * (8 * (shape.n_features + 3 * epochs) + TRAINING_BYTES)


def log_bytes(cell: Cell, folds: int | None) -> int:
    """Of a cell's log, with all of its histories."""
    n_trainings = cell.train.replicates * (folds or 1)
    return n_trainings * (TRAINING_BYTES + 3 * NUMBER_BYTES * cell.train.epochs)


def largest(shape: Shape, cells: Sequence[Cell]) -> int:
    """Of any file of a finished run but its record."""
    n_replicates = cells[0].train.replicates
    n_rows = shape.n_train + shape.n_validation + shape.n_test
    return max(
        weights_bytes(shape, len(cells), n_replicates),
        8 * n_rows * (n_replicates + 2),
        ROW_BYTES * len(cells),
        max(log_bytes(cell, shape.folds) for cell in cells),
    )
