"""The singular value decomposition of a least-squares problem, and how many directions it has."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sgdlab.data.constant import FEW
from sgdlab.system.interruptible import interruptibly
from sgdlab.uncertainty.rounding import EPSILON

Floats = NDArray[np.float64]

UNLIKE = 2.0**20  # ratio of columns' spreads beyond which a small one is lost beside a large one
SVD_OPERATIONS = 14  # times the larger extent and the square of the smaller, at least
DROWNED = 2.0**10  # a spread in units of what rounding makes of the largest column


@dataclass(frozen=True)
class Decomposition:
    """``X = U diag(s) V^T`` in directions with a spread, and what y has along and outside them.

    Attributes
    ----------
    singular_values : float64 array, shape (rank,)
    directions : float64 array, shape (n_features, rank)
        V.
    coordinates : float64 array, shape (rank,)
        ``U^T y``.
    misfit
        Sum of squares of what no weights reach.
    weights : float64 array, shape (n_features,)
        The minimiser of ``|X w - y|`` by columns of equal size, where their sizes are unlike and
        every column counts; else None.
    """

    singular_values: Floats
    directions: Floats
    coordinates: Floats
    misfit: float
    weights: Floats | None = None


def decompose(X: Floats, y: Floats, n_rows: int, sizes: Floats) -> Decomposition:
    """Decompose rows, or the triangular factor of ``n_rows`` of them.

    Parameters
    ----------
    sizes : float64 array, shape (n_features,)
        Norms of the columns before they were centred: what rounding them leaves is relative to
        these.
    """
    norms = np.linalg.norm(X, axis=0)
    has_spread = norms > 0
    sizes = np.where(has_spread, sizes, 0.0)
    lost = max(norms.max() / UNLIKE, DROWNED * EPSILON * sizes.max())
    if norms[has_spread].min(initial=np.inf) >= lost:
        return _decompose(X, y, n_rows, sizes)
    # By powers of two, which is exact. How many directions there are, is seen in columns of equal
    # size, since the units in which columns are given must not decide over it.
    units = np.exp2(np.round(np.log2(np.where(has_spread, norms, 1.0))))
    scaled = _decompose(X / units, y, n_rows, sizes / units)
    found = _decompose(X, y, n_rows, sizes, rank=len(scaled.singular_values))
    if len(scaled.singular_values) < has_spread.sum():
        return found
    weights = scaled.directions @ (scaled.coordinates / scaled.singular_values) / units
    of_found = (found.singular_values, found.directions, found.coordinates)
    return Decomposition(*of_found, scaled.misfit, weights)


def _decompose(
    X: Floats, y: Floats, n_rows: int, sizes: Floats, rank: int | None = None
) -> Decomposition:
    n_operations = SVD_OPERATIONS * float(max(X.shape)) * min(X.shape) ** 2
    left, singular_values, right = interruptibly(
        n_operations, lambda: np.linalg.svd(X, full_matrices=False)
    )
    rank = None if rank is None else min(rank, int(np.sum(singular_values > 0)))
    if rank is None:
        of_arithmetic = EPSILON * max(n_rows, X.shape[1]) * singular_values.max(initial=0.0)
        of_values = FEW * EPSILON * sizes.max()
        rank = int(np.sum(singular_values > max(of_arithmetic, of_values)))
    coordinates = left.T[:rank] @ y
    return Decomposition(
        singular_values=singular_values[:rank],
        directions=right[:rank].T,
        coordinates=coordinates,
        misfit=float(np.sum(np.square(y - left[:, :rank] @ coordinates))),
    )
