"""Rows in coordinates of the space that the training rows span.

Weights that start at zero never leave it: every step adds a combination of training rows. Losses,
norms and distances are the same in these coordinates, of which there are as many as training rows;
where these are fewer than columns, nothing else takes as little arithmetic and memory.
"""

import numpy as np
from numpy.typing import NDArray

from sgdlab.config.model import Train
from sgdlab.data.dataset import Dataset
from sgdlab.data.in_memory import MemoryArray
from sgdlab.data.rows import RowSet
from sgdlab.system import machine
from sgdlab.system.interruptible import interruptibly, product
from sgdlab.words.starts import STARTS

COPIES = 5  # of the training rows, at the same time
LARGEST_SHARE = 4  # of the memory, a fourth


def in_row_space(dataset: Dataset, train: Train) -> Dataset:
    """The same data in coordinates of the space that their training rows span.

    As they are, if that has no fewer dimensions than they have columns, if trainings start
    elsewhere, or if a basis would take much of the memory. All that is done to rows, as dividing
    them, is done already.
    """
    rows = dataset.training(np.float64)
    is_large = COPIES * LARGEST_SHARE * rows.n_bytes > machine.memory_bytes()
    if rows.n_rows >= rows.n_features or is_large or not STARTS[train.initial_weights].is_zero:
        return dataset
    basis = _basis(rows)
    arrays = dict(dataset.arrays)
    for part in ("Xtr", "Xte"):
        arrays[part] = MemoryArray(arrays[part].name, _coordinates(dataset, part, basis))
    config = dataset.config.model_copy(update={"divide_by": 1.0, "preprocess": "none"})
    return Dataset(config, arrays, dataset.max_train)


def _basis(rows: RowSet) -> NDArray[np.float64]:
    """Orthonormal columns that span the rows, shape (n_features, n_rows)."""
    [(X, _)] = rows.chunks(rows.n_rows)
    n_operations = 4.0 * X.size * rows.n_rows
    return np.asarray(interruptibly(n_operations, lambda: np.linalg.qr(X.T).Q))


def _coordinates(dataset: Dataset, part: str, basis: NDArray[np.float64]) -> NDArray[np.float64]:
    """Those of all rows of a file, shape (n_rows, n_dimensions)."""
    file = dataset.arrays[part]
    all_rows = RowSet(file, np.arange(file.n_rows), np.zeros(file.n_rows), dataset.transform)
    return np.concatenate([product(chunk, basis) for chunk, _ in all_rows.walk()])
