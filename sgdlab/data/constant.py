"""When a column is constant: its spread is no more than rounding."""

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from sgdlab.uncertainty.rounding import EPSILON

Floats = NDArray[np.float64]

FEW = 4  # units in the last place, by which values that were computed alike may differ


def constant_spread(means: ArrayLike, n_rows: int, dtype: DTypeLike = np.float64) -> Floats:
    """The standard deviation up to which values with these means are one and the same.

    ``n * eps * |mean|`` is what rounding does to a deviation that is computed in two passes (Chan,
    Golub and LeVeque 1983, doi:10.1080/00031305.1983.10483115), and where scikit-learn 1.7's
    ``StandardScaler`` calls a column constant. Sums, percentages and converted units are off by a
    few units in the last place of the dtype that they were computed in.

    Parameters
    ----------
    dtype
        Of the values. Integers are exact; and float16 is what numbers are stored in, not computed.
    """
    dtype = np.dtype(dtype)
    if dtype == np.float64:
        units = max(n_rows, FEW) * EPSILON
    else:
        units = FEW * (float(np.finfo(dtype).eps) if dtype == np.float32 else EPSILON)
    sizes: Floats = units * np.abs(np.asarray(means, np.float64))
    return sizes


def is_constant(
    variances: ArrayLike, means: ArrayLike, n_rows: int, dtype: DTypeLike = np.float64
) -> NDArray[np.bool_]:
    """Whether columns with these moments about their means, divisor n, hold one value each.

    The variance itself is only known up to a relative ``n * eps``.
    """
    variances = np.asarray(variances)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        largest = n_rows * EPSILON * variances + np.square(constant_spread(means, n_rows, dtype))
        found: NDArray[np.bool_] = (variances <= largest) & np.isfinite(variances)
    return found
