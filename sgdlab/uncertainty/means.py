"""A mean over replicates, and whether two of them differ."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sgdlab.uncertainty.differences import CLEAR_DIFFERENCE


@dataclass(frozen=True)
class Mean:
    """A mean over replicates and its standard error; both NaN if a replicate has no number."""

    value: float
    standard_error: float


def differ(one: Mean, other: Mean) -> bool:
    """Whether two independent means lie more than two standard errors of their difference apart."""
    error = math.hypot(one.standard_error, other.standard_error)
    return abs(one.value - other.value) > CLEAR_DIFFERENCE * error


def mean_of(values: NDArray[np.float64]) -> Mean:
    """The mean of a number of at least two replicates, shape (n_replicates,)."""
    spread = np.std(values, ddof=1) / math.sqrt(len(values))
    return Mean(float(np.mean(values)), float(spread))
