"""Means and scales of columns, in one walk over the rows of all folds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sgdlab.data.constant import constant_spread, is_constant
from sgdlab.data.row_array import RowArray
from sgdlab.data.rows import READ_BYTES, rows_in
from sgdlab.data.transform import Transform, check_finite, no_overflow, transform_rows


class Statistics(NamedTuple):
    """Of columns, shapes (n_features,); None where they are not wanted.

    Attributes
    ----------
    scale
        The population's standard deviation. Of a constant column 1, so that dividing by it changes
        nothing; or what rounding alone may make of its deviation, where that is more.
    is_constant
        Which columns hold one value, but for rounding.
    """

    mean: NDArray[np.float64] | None = None
    scale: NDArray[np.float64] | None = None
    is_constant: NDArray[np.bool_] | None = None


def column_statistics(
    file: RowArray,
    numbers: NDArray[np.int64],
    divide_by: float,
    with_scale: bool,
    held_out: NDArray[np.int64] | None = None,
) -> list[Statistics]:
    """Of the columns of ``x / divide_by``: two walks, the second only ``with_scale``.

    Parameters
    ----------
    numbers
        Of the rows, each once.
    held_out : int64 array
        For every row of the file the fold that holds it out. Then there are statistics of each
        fold, of the rows that it does not hold out.
    """
    walk = _Walk(file, np.sort(numbers), divide_by, held_out)
    # Relative to the first row, so that a constant column deviates by exactly 0.
    firsts = [walk.read(walk.numbers[is_in][:1])[0] for is_in in walk.members(walk.numbers)]
    deviations = walk.means(firsts, square=False)
    means = [first + deviation for first, deviation in zip(firsts, deviations, strict=True)]
    if not with_scale:
        return [Statistics(mean) for mean in means]
    counts = [int(is_in.sum()) for is_in in walk.members(walk.numbers)]
    columns = zip(means, walk.variances(firsts, means), counts, strict=True)
    return [_scaled(mean, *found, count, file.dtype) for mean, found, count in columns]


def _scaled(
    mean: NDArray[np.float64],
    variance: NDArray[np.float64],
    unit: NDArray[np.float64],
    n_rows: int,
    dtype: DTypeLike,
) -> Statistics:
    """From variances of deviations that were multiplied with a unit."""
    where = is_constant(variance, mean * unit, n_rows, dtype)
    rounding = np.maximum(1.0, constant_spread(mean, n_rows, dtype))
    of_constant = np.where(variance > 0, rounding, 1.0)
    return Statistics(mean, np.where(where, of_constant, np.sqrt(variance) / unit), where)


SMALLEST = 1e-100  # of a variance or a mean; no deviation that rounding makes of more underflows
UNIT = 2.0**600  # a power of 2, so that no digit is lost


@dataclass(frozen=True)
class _Walk:
    """Through some rows of a file, in its order; for all folds at a time, if there are folds."""

    file: RowArray
    numbers: NDArray[np.int64]
    divide_by: float
    held_out: NDArray[np.int64] | None

    def members(self, numbers: NDArray[np.int64]) -> Iterator[NDArray[np.bool_]]:
        """Which of some rows belong to each fold, or to all that is walked through."""
        if self.held_out is None:
            yield np.ones(len(numbers), dtype=bool)
            return
        for fold in range(self.held_out.max() + 1):
            yield self.held_out[numbers] != fold

    def variances(
        self, firsts: Sequence[NDArray[np.float64]], means: Sequence[NDArray[np.float64]]
    ) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Of every fold's rows about their means, and what deviations were multiplied with before.

        That is 1, but for columns whose squares do not fit float64: these are walked through again.
        """
        found = self.means(means, square=True)
        units = [np.ones(self.file.n_features) for _ in means]
        for variance, unit, first, mean in zip(found, units, firsts, means, strict=True):
            unit[np.isinf(variance)] = 1 / UNIT
            could_be_less = (np.abs(mean) < SMALLEST) & ((mean != 0) | (first != 0))
            unit[(variance < SMALLEST) & ((variance > 0) | could_be_less)] = UNIT
        if any((unit != 1).any() for unit in units):
            again = self.means(means, square=True, units=units)
            found = [
                np.where(unit == 1, variance, other)
                for variance, other, unit in zip(found, again, units, strict=True)
            ]
        return list(zip(found, units, strict=True))

    def means(
        self,
        centres: Sequence[NDArray[np.float64]],
        square: bool,
        units: Sequence[NDArray[np.float64]] | None = None,
    ) -> list[NDArray[np.float64]]:
        """Mean deviations of every fold's rows from its centre, or mean squares of them.

        Squares are of deviations times a fold's units, if these are given, and may overflow.
        """
        totals = [np.zeros(self.file.n_features) for _ in centres]
        counts = [0] * len(centres)
        step = rows_in(READ_BYTES, self.file.n_features)
        for start in range(0, len(self.numbers), step):
            piece = self.numbers[start : start + step]
            rows = self.read(piece)
            for n, (is_in, centre) in enumerate(zip(self.members(piece), centres, strict=True)):
                chosen = rows[is_in]
                with no_overflow(self.file, np.float64):
                    chosen -= centre
                    if not square:
                        totals[n] += chosen.sum(axis=0)
                if square:
                    if units is not None:
                        chosen *= units[n]
                    with np.errstate(over="ignore"):
                        totals[n] += np.square(chosen, out=chosen).sum(axis=0)
                counts[n] += len(chosen)
            del rows, chosen  # before the next are read
        return [total / count for total, count in zip(totals, counts, strict=True)]

    def read(self, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
        raw = self.file.read_rows(numbers)
        check_finite(self.file, raw, numbers)
        rows = raw if raw.dtype == np.float64 else np.empty(raw.shape)
        transform_rows(self.file, raw, Transform(self.divide_by), rows)
        return rows
