"""Rows as they are trained on: divided, centred or standardized, and finite."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sgdlab.data.row_array import RowArray, Rows

PIECE_NUMBERS = 2**15  # that are transformed in float64 at a time: few enough for a cache


@dataclass(frozen=True)
class Transform:
    """``(x / divide_by - mean) / scale``; ``mean`` and ``scale`` have shape (n_features,).

    ``is_constant`` says of which columns the scale is no deviation, where that is known.
    """

    divide_by: float = 1.0
    mean: NDArray[np.float64] | None = None
    scale: NDArray[np.float64] | None = None
    is_constant: NDArray[np.bool_] | None = None

    def apply(self, raw: NDArray[Any], out: NDArray[Any]) -> None:
        """Put transformed rows into ``out``; it may be ``raw`` itself.

        Means are subtracted in float64, whatever the dtype of ``out``: a column may vary by less
        than float32 can tell from its mean.
        """
        if self.mean is None or out.dtype == np.float64:
            self._apply_in_place(raw, out)
            return
        step = max(1, PIECE_NUMBERS // max(1, raw.shape[1]))
        exact = np.empty((min(step, len(raw)), raw.shape[1]))
        for first in range(0, len(raw), step):
            piece = slice(first, first + step)
            rows = exact[: len(raw[piece])]
            self._apply_in_place(raw[piece], rows)
            np.copyto(out[piece], rows, casting="same_kind")

    def _apply_in_place(self, raw: NDArray[Any], out: NDArray[Any]) -> None:
        """Every step in the dtype of ``out``."""
        if raw is not out:
            np.copyto(out, raw, casting="unsafe")
        if self.divide_by != 1:
            out /= out.dtype.type(self.divide_by)
        if self.mean is not None:
            out -= self.mean
        if self.scale is not None:
            out /= self.scale


def check_finite(file: RowArray, values: NDArray[Any], numbers: Rows) -> None:
    """Raise DataError with the first row (of the file) and column that is NaN or infinite."""
    if values.dtype.kind != "f" or np.isfinite(values).all():
        return
    if isinstance(numbers, slice):
        numbers = np.arange(numbers.start, numbers.stop)
    first = np.argmin(np.where(np.isfinite(values).all(axis=1), np.iinfo(np.int64).max, numbers))
    column = np.argmin(np.isfinite(values[first]))
    found = f"{values[first, column]} at row {numbers[first]}, column {column} (from 0)"
    raise file.error(found, "finite numbers")


def transform_rows(
    file: RowArray, raw: NDArray[Any], transform: Transform, out: NDArray[Any]
) -> None:
    """Put rows of a file transformed into ``out``, which may be ``raw`` itself.

    Raises
    ------
    DataError
        If they are too large for that.
    """
    with no_overflow(file, out.dtype):
        transform.apply(raw, out)


@contextmanager
def no_overflow(file: RowArray, dtype: DTypeLike) -> Iterator[None]:
    """Finite values that do not stay finite in ``dtype`` are an error, not an infinity."""
    try:
        with np.errstate(over="raise", divide="raise", invalid="raise"):
            yield
    except FloatingPointError as error:
        found = f"values out of the range of {np.dtype(dtype)} ({error})"
        hint = "see data.divide_by and train.precision"
        raise file.error(found, "moderate ones", hint) from None
