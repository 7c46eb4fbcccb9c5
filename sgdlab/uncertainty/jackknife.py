"""Means over all pairs of replicates, and their errors from leaving replicates out.

Such a mean is a U-statistic of two arguments; its jackknife error is that of Arvesen 1969,
doi:10.1214/aoms/1177697288.
"""

import math

import numpy as np
from numpy.typing import NDArray

from sgdlab.uncertainty.bounds import CONFIDENCE, Estimate
from sgdlab.uncertainty.student_t import critical_value


def mean_over_pairs(values: NDArray[np.float64]) -> float:
    """The mean of a symmetric matrix, shape (n, n), without its diagonal."""
    n = len(values)
    return float((values.sum() - np.trace(values)) / (n * (n - 1)))


def estimate_over_pairs(values: NDArray[np.float64]) -> Estimate:
    """A mean over pairs of at least 3 replicates, shape (n, n), between its bounds."""
    return ratio_over_pairs(values, np.ones_like(values))


def ratio_over_pairs(values: NDArray[np.float64], unit: NDArray[np.float64]) -> Estimate:
    """A mean over pairs of replicates, in units of another mean over the same pairs.

    Parameters
    ----------
    values, unit : float64 arrays, shape (n, n)
        Symmetric, of at least 3 replicates; what stands on the diagonal does not count.
    """
    n, scale = len(values), mean_over_pairs(unit)
    ratio = mean_over_pairs(values) / scale
    influence = (values - ratio * unit) / scale  # of a pair on the ratio, to first order
    of_replicates = (influence.sum(axis=1) - np.diag(influence)) / (n - 1)
    squares = float(np.sum(np.square(of_replicates)))
    error = 2 / (n - 2) * math.sqrt((n - 1) / n * squares)
    half_width = critical_value(n - 1, CONFIDENCE) * error
    return Estimate(ratio, ratio - half_width, ratio + half_width)
