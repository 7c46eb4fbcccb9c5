"""Exponents of power laws, and the intervals that resampling gives for them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

N_RESAMPLES = 1000  # Efron 1979, doi:10.1214/aos/1176344552
INTERVAL = (2.5, 97.5)  # percent


def exponent(sizes: Sequence[float], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least-squares slope of log value over log size; ``values`` of shape (..., n_sizes)."""
    x = np.log(sizes) - np.mean(np.log(sizes))
    slope: NDArray[np.float64] = np.log(values) @ x / (x @ x)
    return slope


def interval(resampled: NDArray[np.float64]) -> tuple[float, float]:
    """The bounds of the middle 95 % of some estimates, shape (n_resamples,)."""
    low, high = np.percentile(resampled, INTERVAL)
    return float(low), float(high)
