"""Cross-validation: which rows a fold holds out, and what it makes of the others."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sgdlab.config.model import Validation
from sgdlab.data.row_array import RowArray
from sgdlab.data.rows import Chunk
from sgdlab.data.transform import Transform, transform_rows
from sgdlab.random_streams import Purpose, generator


def assign_folds(n_rows: int, n_folds: int, validation: Validation) -> NDArray[np.int64]:
    """For every row of a file the fold that holds it out, shape (n_rows,).

    Sizes differ by at most one row, and the first folds are the larger ones, as in scikit-learn's
    ``KFold``. Folds are consecutive pieces of the file, or with ``take: random`` of a permutation.
    """
    folds = np.repeat(np.arange(n_folds), fold_sizes(n_rows, n_folds))
    if validation.take == "tail":
        return folds
    assigned = np.empty_like(folds)
    assigned[generator(validation.seed, Purpose.SPLIT).permutation(n_rows)] = folds
    return assigned


def fold_sizes(n_rows: int, n_folds: int) -> NDArray[np.int64]:
    """How many rows each fold holds out."""
    return n_rows // n_folds + (np.arange(n_folds) < n_rows % n_folds)


@dataclass(frozen=True)
class Fold:
    """One fold of a file's rows.

    Attributes
    ----------
    file
        Holds the rows.
    held_out : int64 array, shape (n_rows,)
        For every row of the file the fold that holds it out; the same array for all folds.
    number
        Of this fold; it trains on the rows that others hold out.
    transform
        With statistics of the rows that it trains on, for rows that are divided already.
    """

    file: RowArray
    held_out: NDArray[np.int64]
    number: int
    transform: Transform

    def trains_on(self, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
        """On which of some rows of the file it trains."""
        is_in: NDArray[np.bool_] = self.held_out[numbers] != self.number
        return is_in

    def training(self, chunk: Chunk, numbers: NDArray[np.int64]) -> Chunk:
        """The rows and targets that it trains on, of a chunk with these numbers in the file."""
        return self._part(chunk, self.trains_on(numbers))

    def validation(self, chunk: Chunk, numbers: NDArray[np.int64]) -> Chunk:
        """The rows and targets that it holds out."""
        return self._part(chunk, ~self.trains_on(numbers))

    def _part(self, chunk: Chunk, is_in: NDArray[np.bool_]) -> Chunk:
        rows, targets = chunk[0][is_in], chunk[1][is_in]
        out = rows if rows.dtype == targets.dtype else np.empty(rows.shape, targets.dtype)
        transform_rows(self.file, rows, self.transform, out)
        return out, targets
