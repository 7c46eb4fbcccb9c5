"""What is too small to be more than rounding, beside the numbers that it was computed from."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

EPSILON = float(np.finfo(np.float64).eps)
UNITS = 16  # in the last place, which sums of many products lose


def is_rounding(values: ArrayLike, sizes: ArrayLike, epsilon: float = EPSILON) -> NDArray[np.bool_]:
    """Whether differences or spreads are within rounding of what they are differences of.

    Parameters
    ----------
    sizes
        Of the numbers that were subtracted from each other; shapes broadcast.
    epsilon
        Of the precision in which those were computed.
    """
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        largest = UNITS * epsilon * np.abs(sizes)
        found: NDArray[np.bool_] = (np.abs(values) <= largest) & np.isfinite(largest)
    return found


def without_rounding(
    values: ArrayLike, sizes: ArrayLike, epsilon: float = EPSILON
) -> NDArray[np.float64]:
    """The same values, and 0 where :func:`is_rounding` says so."""
    return np.where(is_rounding(values, sizes, epsilon), 0.0, values)


def differences(one: ArrayLike, other: ArrayLike) -> NDArray[np.float64]:
    """``one - other`` of float64 numbers; 0 where they are equal but for rounding."""
    one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        return without_rounding(one - other, np.maximum(np.abs(one), np.abs(other)))
