"""Rows of an array file as the arithmetic wants them, from memory or from disk with equal bits."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sgdlab.data.npy import NpyFile
from sgdlab.errors import DataError

READ_BYTES = 32 * 2**20  # of a piece when a whole file is walked through

Chunk = tuple[NDArray[Any], NDArray[Any]]


@dataclass(frozen=True)
class Transform:
    """``(x / divide_by - mean) / scale``; ``mean`` and ``scale`` have shape (n_features,)."""

    divide_by: float = 1.0
    mean: NDArray[np.float64] | None = None
    scale: NDArray[np.float64] | None = None

    def apply(self, raw: NDArray[Any], dtype: DTypeLike) -> NDArray[Any]:
        """The transformed copy of some rows, every step in ``dtype``."""
        rows = raw.astype(dtype)
        if self.divide_by != 1:
            rows /= rows.dtype.type(self.divide_by)
        if self.mean is not None:
            rows -= self.mean.astype(dtype)
        if self.scale is not None:
            rows /= self.scale.astype(dtype)
        return rows


class RowSet:
    """Some rows of a file with their targets, transformed.

    Parameters
    ----------
    file
        Holds the rows.
    numbers : int64 array, shape (n_rows,)
        Which rows of the file, in the order in which position 0, 1, ... of this set stand.
    targets : float array, shape (n_rows,)
        In the same order, and in the dtype in which the rows are handed out.
    """

    def __init__(
        self,
        file: NpyFile,
        numbers: NDArray[np.int64],
        targets: NDArray[Any],
        transform: Transform,
    ) -> None:
        self._file = file
        self._numbers = numbers
        self._transform = transform
        self._rows: NDArray[Any] | None = None
        self.targets = targets

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.targets.dtype

    @property
    def n_rows(self) -> int:
        return len(self._numbers)

    @property
    def n_features(self) -> int:
        return self._file.n_features

    @property
    def n_bytes(self) -> int:
        """Of the rows, if they were held in memory."""
        return self.n_rows * self.n_features * self.dtype.itemsize

    def load(self) -> None:
        """Hold the rows in memory from now on; the file is read once, from its start to its end."""
        rows = np.empty((self.n_rows, self.n_features), self.dtype)
        ascending = np.argsort(self._numbers, kind="stable")
        step = rows_in(READ_BYTES, self.n_features)
        for start in range(0, self.n_rows, step):
            positions = ascending[start : start + step]
            rows[positions] = self._read(self._numbers[positions])
        self._rows = rows

    def chunks(self, chunk_rows: int, order: NDArray[np.int64] | None = None) -> Iterator[Chunk]:
        """Rows and targets, ``chunk_rows`` at a time, in this set's order or at given positions."""
        n_rows = self.n_rows if order is None else len(order)
        for start in range(0, n_rows, chunk_rows):
            piece = slice(start, min(start + chunk_rows, n_rows))
            positions = piece if order is None else order[piece]
            yield self._at(positions), self.targets[positions]

    def _at(self, positions: slice | NDArray[np.int64]) -> NDArray[Any]:
        if self._rows is None:
            return self._read(self._numbers[positions])
        if isinstance(positions, slice):
            return self._rows[positions]
        return np.take(self._rows, positions, axis=0)

    def _read(self, numbers: NDArray[np.int64]) -> NDArray[Any]:
        return _read_transformed(self._file, numbers, self._transform, self.dtype)


def rows_in(n_bytes: int, n_features: int) -> int:
    """How many float64 rows take about ``n_bytes``; at least one."""
    return max(1, n_bytes // (8 * n_features))


def check_finite(file: NpyFile, values: NDArray[Any], numbers: NDArray[np.int64]) -> None:
    """Raise DataError with the first row (of the file) and column that is NaN or infinite."""
    if values.dtype.kind != "f" or np.isfinite(values).all():
        return
    first = np.argmin(np.where(np.isfinite(values).all(axis=1), np.iinfo(np.int64).max, numbers))
    column = np.argmin(np.isfinite(values[first]))
    found = f"{values[first, column]} at row {numbers[first]}, column {column}"
    raise DataError(f"{file.path}: {found} (from 0); expected finite numbers")


def column_statistics(
    file: NpyFile, numbers: NDArray[np.int64], divide_by: float, with_scale: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Mean and population standard deviation of the columns of ``x / divide_by``.

    The deviation of a constant column is given as 1, so that dividing by it changes nothing.
    Shapes (n_features,); two passes over the rows, the second only ``with_scale``.
    """
    numbers = np.sort(numbers)
    # Relative to the first row, so that a constant column deviates by exactly 0.
    first = _read_transformed(file, numbers[:1], Transform(divide_by), np.float64)[0]
    mean = first + _column_mean(file, numbers, Transform(divide_by, first), square=False)
    if not with_scale:
        return mean, None
    scale = np.sqrt(_column_mean(file, numbers, Transform(divide_by, mean), square=True))
    scale[scale == 0] = 1.0
    return mean, scale


def _column_mean(
    file: NpyFile, numbers: NDArray[np.int64], transform: Transform, square: bool
) -> NDArray[np.float64]:
    total = np.zeros(file.n_features)
    step = rows_in(READ_BYTES, file.n_features)
    for start in range(0, len(numbers), step):
        rows = _read_transformed(file, numbers[start : start + step], transform, np.float64)
        with _no_overflow(file, np.float64):
            total += np.square(rows, out=rows).sum(axis=0) if square else rows.sum(axis=0)
    return total / len(numbers)


def _read_transformed(
    file: NpyFile, numbers: NDArray[np.int64], transform: Transform, dtype: DTypeLike
) -> NDArray[Any]:
    raw = file.read_rows(numbers)
    check_finite(file, raw, numbers)
    with _no_overflow(file, dtype):
        return transform.apply(raw, dtype)


@contextmanager
def _no_overflow(file: NpyFile, dtype: DTypeLike) -> Iterator[None]:
    """Finite values that do not stay finite in ``dtype`` are an error, not an infinity."""
    try:
        with np.errstate(over="raise", divide="raise", invalid="raise"):
            yield
    except FloatingPointError as error:
        found = f"values out of the range of {np.dtype(dtype)} ({error})"
        hint = "see data.divide_by and train.precision"
        raise DataError(f"{file.path}: {found}; expected moderate ones ({hint})") from None
