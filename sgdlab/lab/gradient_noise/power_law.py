"""How a measured mean changes with a size: an exponent, and ratios, with bootstrap errors."""

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sgdlab.uncertainty.exponents import N_RESAMPLES, interval

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Slope:
    """Log(mean) over log(size); ``low`` and ``high`` bound 95 % of what resampling gives."""

    value: float
    standard_error: float
    low: float
    high: float


@dataclass(frozen=True)
class Growth:
    """The geometric mean, over pairs of sizes m and ``factor`` m, of mean(factor m)/mean(m)."""

    factor: int
    n_pairs: int
    ratio: float
    standard_error: float


def fit_slope(
    samples_by_size: Sequence[tuple[float, Array]], random: np.random.Generator
) -> Slope | None:
    """Least squares on the logarithms, each mean weighted by its inverse variance.

    Parameters
    ----------
    samples_by_size
        Pairs of a size and independent values, shape (n_samples,), whose mean is meant. They are
        resampled size by size.

    Returns
    -------
    Slope
        Or None with fewer than two sizes, or if a mean is not positive.
    """
    sizes = np.array([size for size, _ in samples_by_size], dtype=float)
    samples = [values for _, values in samples_by_size]
    if len(sizes) < 2 or not _are_positive(samples):
        return None
    relative_errors = np.array([values.std(ddof=1) / values.mean() for values in samples])
    weights = 1 / np.square(np.maximum(relative_errors, np.finfo(float).eps))
    centred = np.log(sizes) - np.average(np.log(sizes), weights=weights)
    leverage = weights * centred / (weights @ np.square(centred))
    slopes = _resampled_log_means(samples, random) @ leverage
    low, high = interval(slopes)
    return Slope(
        value=float(leverage @ _log_means(samples)),
        standard_error=float(slopes.std(ddof=1)),
        low=low,
        high=high,
    )


def measure_growth(
    sizes: Sequence[int], samples: Sequence[Array], random: np.random.Generator
) -> tuple[Growth, ...]:
    """For every whole number k that some sizes differ by; none if a mean is not positive."""
    if not _are_positive(samples):
        return ()
    log_means, resampled = _log_means(samples), _resampled_log_means(samples, random)
    growths = []
    for factor, pairs in sorted(_pairs_by_factor(sizes).items()):
        small, large = np.array(pairs).T
        ratio = float(np.exp((log_means[large] - log_means[small]).mean()))
        spread = (resampled[:, large] - resampled[:, small]).mean(axis=1).std(ddof=1)
        growths.append(Growth(factor, len(pairs), ratio, ratio * float(spread)))
    return tuple(growths)


def _pairs_by_factor(sizes: Sequence[int]) -> dict[int, list[tuple[int, int]]]:
    """Positions of two sizes, by what the smaller must be multiplied by."""
    found = defaultdict(list)
    for (n, small), (k, large) in itertools.permutations(enumerate(sizes), 2):
        if large > small and large % small == 0:
            found[large // small].append((n, k))
    return found


def _are_positive(samples: Sequence[Array]) -> bool:
    return all(values.mean() > 0 for values in samples)


def _log_means(samples: Sequence[Array]) -> Array:
    return np.log([values.mean() for values in samples])


def _resampled_log_means(samples: Sequence[Array], random: np.random.Generator) -> Array:
    """Shape (N_RESAMPLES, n_sizes)."""
    columns = []
    for values in samples:
        chosen = random.integers(len(values), size=(N_RESAMPLES, len(values)))
        columns.append(np.log(values[chosen].mean(axis=1)))
    return np.stack(columns, axis=1)
