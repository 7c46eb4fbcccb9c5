"""Signal and noise of updates that some independent chains make at frozen weights."""

from dataclasses import dataclass

import numpy as np

from sgdlab.lab.gradient_noise.row_gradients import Vector
from sgdlab.uncertainty.student_t import critical_value


@dataclass(frozen=True)
class Estimate:
    """A number and its standard error over some chains; without chains it is exact."""

    value: float
    standard_error: float = 0.0
    n_chains: int = 0

    @property
    def margin(self) -> float:
        """How far it may be off, at a confidence of 95 % (Student's t)."""
        if not self.n_chains:
            return 0.0
        return critical_value(self.n_chains - 1) * self.standard_error


@dataclass(frozen=True)
class NoiseFactors:
    """How noisy updates are, relative to the plain step.

    Attributes
    ----------
    noise
        Their variance over the plain step's, at the same learning rate.
    same_step
        The same after the learning rate is changed so that the mean update is as long as the plain
        one. None where no mean update is to be seen.
    """

    noise: Estimate
    same_step: Estimate | None


class UpdateSums:
    """The moments of each chain's updates about an origin: they may be far longer than their noise.

    Attributes
    ----------
    origin : float64 array, shape (n_parameters,)
        Somewhere among the updates.
    mean : float64 array, shape (n_chains, n_parameters)
    mean_square : float64 array, shape (n_chains,)
        Of the updates' distances from the origin.
    """

    def __init__(self, n_chains: int, origin: Vector) -> None:
        self.origin = origin
        self.mean = np.zeros((n_chains, len(origin)))
        self.mean_square = np.zeros(n_chains)

    def add(self, updates: Vector, share: float) -> None:
        """An update of every chain, of which there are 1/share in all."""
        apart = updates - self.origin
        self.mean += share * apart
        self.mean_square += share * np.einsum("ij,ij->i", apart, apart)


def noise_factors(sums: UpdateSums, plain_noise: float, plain_signal: float) -> NoiseFactors:
    """Estimates over chains with their jackknife errors (Tukey 1958, doi:10.1214/aoms/1177706647).

    Parameters
    ----------
    plain_noise, plain_signal
        ``tr(Sigma)/m`` and ``G.G``, both positive.
    """
    whole = _factors(sums.origin, sums.mean, sums.mean_square, plain_noise, plain_signal)
    n_chains = len(sums.mean)
    without_one = np.array(
        [
            _factors(
                sums.origin,
                np.delete(sums.mean, n, axis=0),
                np.delete(sums.mean_square, n),
                plain_noise,
                plain_signal,
            )
            for n in range(n_chains)
        ]
    )
    errors = np.sqrt((n_chains - 1) * without_one.var(axis=0))
    noise, same_step = (
        Estimate(value, error, n_chains)
        for value, error in zip(whole, errors.tolist(), strict=True)
    )
    return NoiseFactors(noise, same_step if np.isfinite(without_one).all() else None)


def _factors(
    origin: Vector, mean: Vector, mean_square: Vector, plain_noise: float, plain_signal: float
) -> tuple[float, float]:
    """Noise at the same learning rate, and at the same mean step (NaN if that is not seen)."""
    signal = _squared_length(mean + origin)
    noise = (float(mean_square.mean()) - _squared_length(mean)) / plain_noise
    return noise, noise * plain_signal / signal if signal > 0 else np.nan


def _squared_length(mean: Vector) -> float:
    """That of the chains' common mean, shape (n_chains, n_parameters).

    It is taken from products of different chains, whose noise is independent, so that it is not
    biased upward.
    """
    n_chains, total = len(mean), mean.sum(axis=0)
    return float(total @ total - np.square(mean).sum()) / (n_chains * (n_chains - 1))
