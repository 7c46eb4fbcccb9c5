"""A mean over replicates, and whether two of them differ."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sgdlab.uncertainty.rounding import differences, without_rounding
from sgdlab.uncertainty.student_t import is_clear

SMALLEST_SPREAD = 1e-140  # whose square has all of its digits


@dataclass(frozen=True)
class Mean:
    """A mean over replicates and its standard error; both NaN if a replicate has no number."""

    value: float
    standard_error: float
    n_replicates: int


def differ(one: Mean, other: Mean) -> bool:
    """Whether two independent means differ, at a level of at most 5 %.

    Student's t with the degrees of freedom of the fewer replicates, which is enough however much
    their spreads differ (Mickey and Brown 1966, Annals of Mathematical Statistics 37, 639-642).
    Replicates that are all alike have no error, and every difference between two such means counts.
    """
    error = math.hypot(one.standard_error, other.standard_error)
    fewer = min(one.n_replicates, other.n_replicates)
    return is_clear(float(differences(one.value, other.value)), error, fewer - 1)


def standard_error(values: NDArray[np.float64]) -> float:
    """That of the mean of at least two numbers of any size; NaN if one of them is not finite.

    0 where they are equal but for rounding.
    """
    with np.errstate(all="ignore"):
        spread = np.std(values, ddof=1)
        if not SMALLEST_SPREAD < spread < np.inf and np.isfinite(values).all():
            # Squares of deviations do not fit float64, but those in another unit do.
            _, exponent = np.frexp(np.abs(values).max())
            spread = np.ldexp(np.std(np.ldexp(values, -exponent), ddof=1), exponent)
    error = spread / math.sqrt(len(values))
    return float(without_rounding(error, np.max(np.abs(values))))


def mean_of(values: NDArray[np.float64]) -> Mean:
    """The mean of a number of at least two replicates, shape (n_replicates,)."""
    return Mean(float(np.mean(values)), standard_error(values), len(values))
