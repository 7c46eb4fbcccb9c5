"""How a measured mean changes with a size: an exponent, and ratios, with known errors."""

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sgdlab.uncertainty.student_t import critical_value

FEWEST_TRIALS = 100  # fewer give no interval
LARGEST_ERROR = 0.25  # of a mean, relative: beyond it, its logarithm is too skewed to be fitted


@dataclass(frozen=True)
class MeasuredMean:
    """A mean that was measured at a batch size, and its relative standard error, which is known.

    ``size`` is what the mean is a power of.
    """

    batch_size: int
    size: float
    mean: float
    relative_error: float


@dataclass(frozen=True)
class Slope:
    """Log(mean) over log(size).

    Attributes
    ----------
    low, high
        A 95 % interval; both are None where there is none, and ``no_interval_because`` says why.
    batch_sizes
        That the slope is fitted to.
    """

    value: float
    standard_error: float
    low: float | None
    high: float | None
    no_interval_because: str | None
    batch_sizes: tuple[int, ...]


@dataclass(frozen=True)
class Growth:
    """The geometric mean, over pairs of sizes m and ``factor`` m, of mean(factor m)/mean(m)."""

    factor: int
    n_pairs: int
    ratio: float
    standard_error: float


def fit_slope(means: Sequence[MeasuredMean], n_trials: int) -> Slope | None:
    """Least squares on the logarithms, each weighted by its inverse variance.

    The errors of the means are known, and so are the weights, so that these lean towards no mean
    that happens to be small. The logarithm of a mean is close enough to normal where its relative
    error is at most a quarter: the other means are left out, if two are left.

    Parameters
    ----------
    n_trials
        That a mean is of.

    Returns
    -------
    Slope
        Or None with fewer than two sizes, or if a mean is not positive.
    """
    fitted = fitted_means(means)
    if len(fitted) < 2 or not _are_positive(fitted):
        return None
    errors = np.array([mean.relative_error for mean in fitted])
    sizes, weights = np.log([mean.size for mean in fitted]), 1 / np.square(errors)
    centred = sizes - np.average(sizes, weights=weights)
    leverage = weights * centred / (weights @ np.square(centred))
    value = float(leverage @ np.log([mean.mean for mean in fitted]))
    error = float(np.linalg.norm(leverage * errors))
    batch_sizes = tuple(mean.batch_size for mean in fitted)
    if reason := _no_interval_because(fitted, n_trials):
        return Slope(value, error, None, None, reason, batch_sizes)
    width = critical_value(math.inf) * error
    return Slope(value, error, value - width, value + width, None, batch_sizes)


def fitted_means(means: Sequence[MeasuredMean]) -> Sequence[MeasuredMean]:
    """Those that are precise enough; all, if fewer than two are."""
    precise = [mean for mean in means if mean.relative_error <= LARGEST_ERROR]
    return precise if len(precise) > 1 else means


def measure_growth(means: Sequence[MeasuredMean]) -> tuple[Growth, ...]:
    """For every whole number k that some sizes differ by; none if a mean is not positive."""
    fitted = fitted_means(means)
    if not _are_positive(fitted):
        return ()
    growths = []
    for factor, pairs in sorted(_pairs_by_factor(fitted).items()):
        logarithms = [math.log(large.mean / small.mean) for small, large in pairs]
        ratio = math.exp(math.fsum(logarithms) / len(pairs))
        counts: Counter[MeasuredMean] = Counter(large for _, large in pairs)
        counts.subtract(small for small, _ in pairs)
        error = math.hypot(*(count * mean.relative_error for mean, count in counts.items()))
        growths.append(Growth(factor, len(pairs), ratio, ratio * error / len(pairs)))
    return tuple(growths)


def _no_interval_because(fitted: Sequence[MeasuredMean], n_trials: int) -> str | None:
    if n_trials < FEWEST_TRIALS:
        return f"no interval from so few trials: {n_trials} are fewer than {FEWEST_TRIALS}"
    if any(mean.relative_error > LARGEST_ERROR for mean in fitted):
        worst = max(mean.relative_error for mean in fitted)
        found = f"squared distances vary so much that a mean of {n_trials} is off by {worst:.0%}"
        return f"no interval: {found}, and {LARGEST_ERROR:.0%} is the most"
    return None


def _pairs_by_factor(
    means: Sequence[MeasuredMean],
) -> dict[int, list[tuple[MeasuredMean, MeasuredMean]]]:
    """Two means, by what the smaller batch size must be multiplied by."""
    found = defaultdict(list)
    for small, large in itertools.permutations(means, 2):
        if large.batch_size > small.batch_size and large.batch_size % small.batch_size == 0:
            found[large.batch_size // small.batch_size].append((small, large))
    return found


def _are_positive(means: Sequence[MeasuredMean]) -> bool:
    return all(mean.mean > 0 for mean in means)
