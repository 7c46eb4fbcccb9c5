"""First and second moments of rows and targets, in one pass over chunks of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgdlab.data.rows import Chunk
from sgdlab.errors import DataError
from sgdlab.system.interruptible import product

SMALLEST = 1e-140  # whose square, and the square of whose inverse, float64 holds with room to spare


@dataclass(frozen=True)
class Moments:
    """All that a squared loss needs to know of the rows X and targets y, in float64.

    Sums are held about the means. ``X.T X = scatter + n_rows * outer(means, means)`` follows from
    them without cancellation; the opposite direction loses digits where means are large.

    Attributes
    ----------
    n_rows
        At least 1.
    means : float64 array, shape (n_features,)
        Of the columns of X.
    target_mean
        Of y.
    scatter : float64 array, shape (n_features, n_features)
        ``sum((x - means) (x - means)^T)`` over rows x.
    cross : float64 array, shape (n_features,)
        ``sum((x - means) * (y - target_mean))``.
    target_scatter
        ``sum((y - target_mean)**2)``.
    """

    n_rows: int
    means: NDArray[np.float64]
    target_mean: float
    scatter: NDArray[np.float64]
    cross: NDArray[np.float64]
    target_scatter: float

    @property
    def gram(self) -> NDArray[np.float64]:
        """X.T X, shape (n_features, n_features)."""
        return self.scatter + self.n_rows * np.outer(self.means, self.means)

    def gram_times(self, vector: NDArray[np.float64]) -> NDArray[np.float64]:
        """X.T X @ vector, without forming X.T X; shapes (n_features,)."""
        return self.scatter @ vector + self.n_rows * (self.means @ vector) * self.means


def check_range(rows: NDArray[Any], targets: NDArray[Any]) -> None:
    """Raise DataError if squares of the largest values overflow or vanish in float64."""
    for name, values in (("X", rows), ("y", targets)):
        largest = float(np.max(np.abs(values), initial=0.0))
        if largest and not SMALLEST < largest < 1 / SMALLEST:
            found = f"values up to {largest:.2g}, whose squares do not fit float64"
            raise DataError(name, found, "moderate ones", "see data.divide_by")


def moments(chunks: Iterable[Chunk]) -> Moments:
    """The moments of all rows; no more than one chunk is held at a time.

    Each chunk is centred by its own means, and its sums are merged with those so far as in Chan,
    Golub and LeVeque 1983, doi:10.1080/00031305.1983.10483115.

    Raises
    ------
    ValueError
        If there are no rows.
    DataError
        If squares of their values do not fit float64.
    """
    n_rows, means, scatter = 0, np.zeros(()), np.zeros(())
    for rows, targets in chunks:
        check_range(rows, targets)
        table = np.column_stack([rows, targets]).astype(np.float64, copy=False)
        n_new, new_means = len(table), _centre(table)
        shift = new_means - means
        share = n_new / (n_rows + n_new)
        scatter = scatter + product(table.T, table)
        scatter += n_rows * share * np.outer(shift, shift)
        means = means + share * shift
        n_rows += n_new
    if n_rows == 0:
        raise ValueError("no rows to take moments of")
    return Moments(
        n_rows=n_rows,
        means=means[:-1],
        target_mean=float(means[-1]),
        scatter=scatter[:-1, :-1],
        cross=scatter[:-1, -1],
        target_scatter=float(scatter[-1, -1]),
    )


def _centre(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Take the means from the columns, in place, and return them.

    Twice, since means of many large numbers are off by more than a unit in the last place, and what
    is left of them would add to every sum of squares.
    """
    means = np.zeros(table.shape[1])
    for _ in range(2):
        off: NDArray[np.float64] = table.mean(axis=0)
        table -= off
        means += off
    return means
