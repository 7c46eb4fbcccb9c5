"""Noise floors of an order, whether they have settled, and how they grow with the learning rate."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sgdlab.lab.orders.compared import expected_floor
from sgdlab.lab.orders.descents import Descent, Stops
from sgdlab.lab.orders.problem import Problem
from sgdlab.uncertainty.exponents import exponent
from sgdlab.uncertainty.means import Mean, mean_of
from sgdlab.uncertainty.student_t import CONFIDENCE, two_sided_p

NOTABLE_DRIFT = 0.1  # of a floor: less is not said to move

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Floor:
    """The noise floor of one order and learning rate, in squared target units.

    Attributes
    ----------
    pace
        ``learning_rate * largest eigenvalue * batches``: time constants of the steepest direction
        in as many steps as an epoch of all rows has.
    n_steps
        Of every training.
    n_diverged
        Replicates whose excess was not finite, or more than 1000 times the objective at zero
        weights, at the end of an epoch. If there are any, there is no floor, and no other number
        that was measured.
    excess
        Of the objective above its exact minimum at the ends of epochs, over the last half of a
        training that starts at the minimum.
    drift
        The last quarter's mean over that of the quarter before; about 1 once it has settled.
    has_settled
        False where the drift is by more than a tenth, and no chance at 5 % over all floors.
    expected
        At first order in the learning rate; None where that vanishes.
    from_zero
        At the end of a training that starts from zero weights.
    """

    order: str
    learning_rate: float
    pace: float
    n_steps: int
    n_diverged: int
    excess: Mean | None
    drift: float | None
    has_settled: bool
    expected: float | None
    from_zero: Mean | None


@dataclass(frozen=True)
class Slope:
    """The exponent of the floor as a power of the learning rate: a mean over replicates.

    None where fewer than two of the learning rates that are fitted have a floor; ``fitted`` are
    those that have one.
    """

    order: str
    fitted: tuple[float, ...]
    slope: Mean | None


@dataclass(frozen=True)
class Histories:
    """The excess of all trainings with one order.

    Attributes
    ----------
    descents
        From the minimum, by ascending learning rate; those from zero are as many and as long.
    from_minimum, from_zero : float64 array, shape (n_rates, n_replicates, n_stops)
        NaN after a training's last step.
    largest
        An excess beyond this is a divergence.
    """

    problem: Problem
    order: str
    descents: Sequence[Descent]
    stops: Stops
    from_minimum: Floats
    from_zero: Floats
    largest: float

    def n_diverged(self, rate: int) -> int:
        """How many replicates did, from either start, of those with one learning rate."""
        is_on = self.stops.steps <= self.descents[rate].n_steps
        both = np.stack([self.from_minimum[rate], self.from_zero[rate]])[..., is_on]
        return int(np.count_nonzero(~np.all(both <= self.largest, axis=(0, 2))))

    def late(self, rate: int, begin: float = 1 / 2, end: float = 1.0) -> Floats:
        """Means over the ends of epochs in a part of the steps, shape (n_replicates,)."""
        shares = self.stops.steps / self.descents[rate].n_steps
        is_meant = self.stops.ends_epoch & (shares > begin) & (shares <= end)
        late: Floats = self.from_minimum[rate][:, is_meant].mean(axis=1)
        return late

    def after(self, rate: int, n_steps: int) -> Mean:
        """The excess after some steps from zero."""
        [stop] = np.flatnonzero(self.stops.steps == n_steps)
        return mean_of(self.from_zero[rate][:, stop])


def floors(histories: Histories, n_tests: int) -> Iterator[Floor]:
    """By ascending learning rate; ``n_tests`` floors in all are asked whether they have settled."""
    problem = histories.problem
    for rate, descent in enumerate(histories.descents):
        learning_rate, n_diverged = descent.learning_rate, histories.n_diverged(rate)
        floor = Floor(
            order=histories.order,
            learning_rate=learning_rate,
            pace=problem.pace(learning_rate),
            n_steps=descent.n_steps,
            n_diverged=n_diverged,
            excess=None,
            drift=None,
            has_settled=False,
            expected=expected_floor(histories.order, problem, learning_rate),
            from_zero=None,
        )
        yield floor if n_diverged else _measured(floor, histories, rate, n_tests)


def _measured(floor: Floor, histories: Histories, rate: int, n_tests: int) -> Floor:
    """The same floor, with what replicates that all converge show."""
    third, fourth = histories.late(rate, 1 / 2, 3 / 4), histories.late(rate, 3 / 4, 1.0)
    drift = float(fourth.mean() / third.mean())
    moves = abs(drift - 1) > NOTABLE_DRIFT
    return replace(
        floor,
        excess=mean_of(histories.late(rate)),
        drift=drift,
        has_settled=not (moves and _is_clear(fourth - third, (1 - CONFIDENCE) / n_tests)),
        from_zero=histories.after(rate, floor.n_steps),
    )


def _is_clear(differences: Floats, level: float) -> bool:
    """Whether the mean of paired differences is not 0, by Student's test."""
    n_values = len(differences)
    error = float(np.std(differences, ddof=1)) / math.sqrt(n_values)
    if error == 0:
        return bool(np.any(differences))
    return two_sided_p(float(differences.mean()) / error, n_values - 1) < level


def slope(histories: Histories, rates: Sequence[int]) -> Slope:
    """Least squares for every replicate, over those of some learning rates that have a floor."""
    usable = [rate for rate in rates if not histories.n_diverged(rate)]
    usable = [rate for rate in usable if np.all(histories.late(rate) > 0)]
    fitted = tuple(histories.descents[rate].learning_rate for rate in usable)
    if len(fitted) < 2:
        return Slope(histories.order, fitted, None)
    late = np.array([histories.late(rate) for rate in usable])
    return Slope(histories.order, fitted, mean_of(exponent(fitted, late.T)))
