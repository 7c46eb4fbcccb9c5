"""The learning rate tuned for each batch size, and the power of the batch size that it follows."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sgdlab.engine.running_block import Outcome
from sgdlab.lab.scaling_rule.design import Base, Variant, replicates_differ
from sgdlab.lab.scaling_rule.rounding import without_rounding
from sgdlab.random_streams import Purpose, generator
from sgdlab.uncertainty.exponents import N_RESAMPLES, exponent, interval
from sgdlab.uncertainty.means import Mean, mean_of

SMALLEST_SHARE, LARGEST_SHARE = 2.0**-6, 2.0 ** (1 / 3)  # of the stability limit
STEPS_PER_DOUBLING = 3
TUNING_REPLICATES = 10  # at most
FEWEST_FOR_AN_INTERVAL = 10  # replicates that are resampled


@dataclass(frozen=True)
class TunedRate:
    """The learning rate with the smallest validation loss of one batch size.

    Attributes
    ----------
    learning_rate, share_of_limit, validation_loss
        Of the best of a logarithmic grid; None if a replicate diverged at every one of them.
    is_on_edge
        Whether that is the grid's smallest learning rate, so that smaller ones may be better.
    fits_with_others
        Whether it and others fit every row but for rounding, so that none of them is the best.
    diverged_from
        The smallest learning rate of the grid at which a replicate diverged; None if none did.
    """

    factor: int
    batch_size: int
    learning_rate: float | None
    share_of_limit: float | None
    validation_loss: Mean | None
    is_on_edge: bool
    fits_with_others: bool
    diverged_from: float | None


@dataclass(frozen=True)
class Tuning:
    """Tuned learning rates under one budget, and the fit of ``batch_size**exponent`` to them.

    ``low`` and ``high`` bound 95 % of the exponents of resampled replicates; None where these are
    too few. A batch size at which every rate diverged is left out of the fit. All three are None if
    less than two are left, a best rate lies on the edge of the grid, or several are the best.
    """

    budget: str
    rates: tuple[TunedRate, ...]
    exponent: float | None
    low: float | None
    high: float | None

    @property
    def left_out(self) -> list[int]:
        """The factors at which every rate diverged."""
        return [rate.factor for rate in self.rates if rate.learning_rate is None]


def learning_rates(limit: float) -> NDArray[np.float64]:
    """A logarithmic grid from a sixty-fourth of the stability limit to beyond it."""
    n_steps = round(math.log2(LARGEST_SHARE / SMALLEST_SHARE) * STEPS_PER_DOUBLING)
    return limit * np.geomspace(SMALLEST_SHARE, LARGEST_SHARE, n_steps + 1)


def tune(
    base: Base,
    budget: str,
    factors: Sequence[int],
    rates: NDArray[np.float64],
    outcomes: Mapping[Variant, Sequence[Outcome]],
) -> Tuning:
    """The best learning rate of every batch size, and how it grows with it."""
    few = min(TUNING_REPLICATES, base.train.replicates)
    losses = without_rounding(
        base,
        [
            [
                [outcome.validation_loss for outcome in outcomes[Variant(budget, k, rate, few)]]
                for rate in rates.tolist()
            ]
            for k in factors
        ],
    )
    losses[~np.isfinite(losses)] = np.nan
    tuned = tuple(
        _tuned_rate(base, factor, of_factor, rates)
        for factor, of_factor in zip(factors, losses, strict=True)
    )
    known = [n for n, rate in enumerate(tuned) if rate.learning_rate is not None]
    if len(known) < 2 or any(rate.is_on_edge or rate.fits_with_others for rate in tuned):
        return Tuning(budget, tuned, None, None, None)
    fitted = [factors[n] for n in known]
    slope = float(exponent(fitted, best_rates(losses[known].mean(axis=-1), rates)))
    if replicates_differ(base.train) and few < FEWEST_FOR_AN_INTERVAL:
        return Tuning(budget, tuned, slope, None, None)
    return Tuning(budget, tuned, slope, *_interval(base.train.seed, losses[known], fitted, rates))


def _tuned_rate(
    base: Base, factor: int, losses: NDArray[np.float64], rates: NDArray[np.float64]
) -> TunedRate:
    """The best rate by losses of shape (n_rates, n_replicates), NaN where diverged."""
    means = losses.mean(axis=1)
    diverged = rates[np.isnan(means)]
    all_diverged = len(diverged) == len(rates)
    best = int(np.argmin(np.where(np.isnan(means), np.inf, means)))
    return TunedRate(
        factor=factor,
        batch_size=base.train.batch_size * factor,
        learning_rate=None if all_diverged else float(rates[best]),
        share_of_limit=None if all_diverged else float(rates[best]) / base.limit,
        validation_loss=None if all_diverged else mean_of(losses[best]),
        is_on_edge=best == 0 and not all_diverged,
        fits_with_others=int(np.sum(means == 0)) > 1,
        diverged_from=float(diverged[0]) if len(diverged) else None,
    )


def best_rates(losses: NDArray[np.float64], rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """The learning rate of the smallest loss.

    No curve is laid through the neighbours: towards the stability limit losses rise too steeply.

    Parameters
    ----------
    losses : float64 array, shape (..., n_rates)
        NaN where diverged.
    rates : float64 array, shape (n_rates,)

    Returns
    -------
    float64 array, shape (...)
        NaN where every learning rate diverged.
    """
    best = rates[np.argmin(np.where(np.isnan(losses), np.inf, losses), axis=-1)]
    return np.where(np.isnan(losses).all(axis=-1), np.nan, best)


def _interval(
    seed: int, losses: NDArray[np.float64], factors: Sequence[int], rates: NDArray[np.float64]
) -> tuple[float, float]:
    """Percentile bootstrap over replicates.

    A best rate of the grid stands for all rates that are nearer to it than to the others.
    """
    n_replicates = losses.shape[-1]
    numbers = generator(seed, Purpose.RESAMPLING)
    picks = numbers.integers(n_replicates, size=(N_RESAMPLES, n_replicates))
    resampled = losses[..., picks].mean(axis=-1)  # (n_factors, n_rates, n_resamples)
    best = best_rates(resampled.transpose(2, 0, 1), rates)
    step = rates[1] / rates[0]
    spread = step ** numbers.uniform(-0.5, 0.5, best.shape)
    return interval(exponent(factors, best * spread))
