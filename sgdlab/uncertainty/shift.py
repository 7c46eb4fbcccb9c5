"""How long the mean of some vectors is, from the products of a sample of them.

The squared length of a mean of n vectors is their noise, on average their variance over n, and what
is asked for: the squared length of their expectation (Chen and Qin 2010, doi:10.1214/09-AOS716). It
varies nearly as a scaled chi-square does that has the same mean and variance (Box 1954,
doi:10.1214/aoms/1177728786), whose cube root is nearly normal (Wilson and Hilferty 1931,
doi:10.1073/pnas.17.12.684). The vectors themselves are not needed, and may be of any dimension.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sgdlab.uncertainty.bounds import CONFIDENCE, Estimate
from sgdlab.uncertainty.jackknife import mean_over_pairs
from sgdlab.uncertainty.student_t import critical_value

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Noise:
    """What the mean of n vectors varies by.

    Attributes
    ----------
    mean, variance
        Of its squared length where their expectation is 0.
    along
        The variance of the mean in the direction of their expectation.
    """

    mean: float
    variance: float
    along: float

    def quantile(self, length: float, deviations: float) -> float:
        """Of the squared length of the mean, where their expectation has a length.

        The quantile is given by so many standard deviations from the middle of a normal law.
        """
        mean = self.mean + length**2
        variance = self.variance + 4 * length**2 * self.along
        part = variance / (9 * mean**2)  # 2 / (9 degrees of freedom)
        return mean * max(0.0, 1 - part + deviations * math.sqrt(part)) ** 3


def squared_length(products: Floats) -> Estimate:
    """The squared length of the expectation of some vectors, without bias: it may be negative.

    Parameters
    ----------
    products : float64 array, shape (n, n)
        Of every vector with every other and itself, for at least 3 vectors.
    """
    value, observed = mean_over_pairs(products), max(float(products.mean()), 0.0)
    noise = _noise(products)
    if noise.mean == 0:
        return Estimate(observed, observed, observed)
    deviations = critical_value(len(products) - 1, CONFIDENCE)
    low = _where(lambda length: noise.quantile(length, deviations), observed)
    # Less than noise alone would usually make is no sign of a length below 0.
    at_least = max(observed, noise.quantile(0.0, -1.0))
    high = _where(lambda length: noise.quantile(length, -deviations), at_least)
    return Estimate(value, low**2, high**2)


def _noise(products: Floats) -> _Noise:
    n, to_mean = len(products), products.mean(axis=0)
    squared_mean = float(to_mean.mean())
    centered = products - to_mean - to_mean[:, None] + squared_mean
    trace, squares = float(np.trace(centered)), float(np.sum(np.square(centered)))
    if not trace > 0:
        return _Noise(0.0, 0.0, 0.0)
    # Without bias for normal vectors (Bai and Saranadasa 1996).
    variance = 2 * max(squares - trace**2 / (n - 1), 0.0) / ((n - 2) * (n + 1))
    of_mean = float(np.sum(np.square(to_mean - squared_mean))) / (n - 1)
    along = of_mean / squared_mean if squared_mean > 0 else 0.0
    return _Noise(trace / (n - 1) / n, variance / n**2, along / n)


def _where(function: Callable[[float], float], target: float) -> float:
    """The argument, not negative, at which a function that grows passes the target."""
    if function(0.0) >= target:
        return 0.0
    low, high = 0.0, math.sqrt(target)
    while function(high) < target:
        low, high = high, 2 * high
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if function(middle) < target else (low, middle)
    return high
