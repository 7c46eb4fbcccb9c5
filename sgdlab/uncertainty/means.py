"""A mean over replicates, and whether two of them differ."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sgdlab.uncertainty.differences import CLEAR_DIFFERENCE
from sgdlab.uncertainty.rounding import differences, without_rounding


@dataclass(frozen=True)
class Mean:
    """A mean over replicates and its standard error; both NaN if a replicate has no number."""

    value: float
    standard_error: float


def differ(one: Mean, other: Mean) -> bool:
    """Whether two independent means lie more than two standard errors of their difference apart."""
    error = math.hypot(one.standard_error, other.standard_error)
    return bool(abs(differences(one.value, other.value)) > CLEAR_DIFFERENCE * error)


def standard_error(values: NDArray[np.float64]) -> float:
    """That of the mean of at least two numbers; 0 where they are equal but for rounding."""
    error = np.std(values, ddof=1) / math.sqrt(len(values))
    return float(without_rounding(error, np.max(np.abs(values))))


def mean_of(values: NDArray[np.float64]) -> Mean:
    """The mean of a number of at least two replicates, shape (n_replicates,)."""
    return Mean(float(np.mean(values)), standard_error(values))
