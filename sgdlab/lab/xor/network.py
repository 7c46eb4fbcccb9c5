"""Small networks trained on XOR from random starts, all of them together."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sgdlab.errors import UsageError
from sgdlab.lab.checks import check_count, check_learning_rate
from sgdlab.lab.xor.exact import INPUTS, TARGETS
from sgdlab.random_streams import Purpose, generator

# Mean squared errors at which trainings come to rest. At 1/8 two points with unlike targets share
# one output, the mean of their targets; at 1/6 three points do, at 1/4 all four.
LEVELS = {"0": 0.0, "1/8": 1 / 8, "1/6": 1 / 6, "1/4": 1 / 4}
TOLERANCE = 1e-3  # of the mean squared error, about a level
DIVERGED_FACTOR = 1000.0  # a mean squared error above this many times that at the start
CONFIDENCE_Z = 1.959963984540054  # of 95 %
MOST_UNITS = 10**7  # restarts * hidden; gigabytes
MOST_WORK = 10**11  # restarts * hidden * steps; minutes

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Weights:
    """All restarts, the last axis: ``W`` (2, n_hidden, n), ``c``, ``v`` (n_hidden, n), ``b``."""

    W: Floats
    c: Floats
    v: Floats
    b: Floats


@dataclass(frozen=True)
class Level:
    """The trainings that rest at one mean squared error.

    ``name`` may also be ``other``, for those that do not rest, or ``diverged``, whose error is not
    finite or far above that at the start; of their units nothing is said.
    """

    name: str
    n_restarts: int
    n_with_dead_unit: int | None


@dataclass(frozen=True)
class Restarts:
    """What became of trainings from random starts.

    Attributes
    ----------
    n_solved
        Those whose mean squared error is 0 to within ``TOLERANCE``.
    interval
        Of the share that solves XOR: Wilson's, at 95 %.
    levels
        All trainings, by where they rest.
    """

    n_restarts: int
    n_hidden: int
    n_steps: int
    learning_rate: float
    seed: int
    n_solved: int
    interval: tuple[float, float]
    levels: tuple[Level, ...]

    @property
    def share(self) -> float:
        return self.n_solved / self.n_restarts


def train_restarts(
    n_hidden: int, n_restarts: int, n_steps: int, learning_rate: float, seed: int
) -> Restarts:
    """Full-batch gradient descent on the half mean squared error, from standard normal weights.

    Biases start at 0. A unit is dead if it is inactive at all four points.

    Raises
    ------
    UsageError
        If there is nothing to do, or more than ends within minutes.
    """
    _check(n_hidden, n_restarts, n_steps, learning_rate)
    weights = random_weights(n_hidden, n_restarts, seed)
    with np.errstate(over="ignore", invalid="ignore"):  # a large learning rate diverges
        at_start = np.mean(forward(weights)[0] ** 2, axis=0)
        for _ in range(n_steps):
            weights = descend_once(weights, learning_rate)
        residuals, active = forward(weights)
        errors = np.mean(residuals**2, axis=0)
        diverged = ~(errors <= DIVERGED_FACTOR * at_start) | ~_are_finite(weights)
    has_dead_unit = np.any(~active.any(axis=0), axis=0)
    levels = tuple(_levels(errors, np.asarray(has_dead_unit), diverged))
    n_solved = levels[0].n_restarts
    interval = wilson_interval(n_solved, n_restarts)
    return Restarts(n_restarts, n_hidden, n_steps, learning_rate, seed, n_solved, interval, levels)


def random_weights(n_hidden: int, n_restarts: int, seed: int) -> Weights:
    """Starts; those of fewer restarts are the first of more."""
    numbers = generator(seed, Purpose.XOR_RESTARTS, n_hidden).standard_normal(
        (n_restarts, 3, n_hidden)
    )
    W, v = np.moveaxis(numbers[:, :2], 0, -1), numbers[:, 2].T
    return Weights(W.copy(), np.zeros_like(v), v.copy(), np.zeros(n_restarts))


def forward(weights: Weights) -> tuple[Floats, NDArray[np.bool_]]:
    """Residuals (4, n) and which hidden units are active (4, n_hidden, n)."""
    hidden = _hidden(weights)
    active = hidden > 0
    outputs = np.sum(np.where(active, hidden, 0.0) * weights.v, axis=1) + weights.b
    return outputs - np.array(TARGETS, dtype=float)[:, None], active


def gradient(weights: Weights) -> Weights:
    """That of half the mean squared error; the slope of a rectified unit at its kink is 0 here."""
    residuals, active = forward(weights)
    hidden = np.where(active, _hidden(weights), 0.0)
    back = residuals[:, None] * weights.v * active / len(INPUTS)
    inputs = np.array(INPUTS, dtype=float)
    return Weights(
        W=np.stack([np.sum(back * inputs[:, k, None, None], axis=0) for k in range(2)]),
        c=np.sum(back, axis=0),
        v=np.sum(residuals[:, None] * hidden, axis=0) / len(INPUTS),
        b=np.sum(residuals, axis=0) / len(INPUTS),
    )


def descend_once(weights: Weights, learning_rate: float) -> Weights:
    """One step of gradient descent."""
    slope = gradient(weights)
    return Weights(
        weights.W - learning_rate * slope.W,
        weights.c - learning_rate * slope.c,
        weights.v - learning_rate * slope.v,
        weights.b - learning_rate * slope.b,
    )


def wilson_interval(n_successes: int, n_trials: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927, doi:10.1080/01621459.1927.10502953)."""
    share, z2 = n_successes / n_trials, CONFIDENCE_Z**2
    center = (share + z2 / (2 * n_trials)) / (1 + z2 / n_trials)
    spread = math.sqrt(share * (1 - share) / n_trials + z2 / (4 * n_trials**2))
    half = CONFIDENCE_Z * spread / (1 + z2 / n_trials)
    # Rounding must not take the ends past what shares can be.
    return max(0.0, center - half), min(1.0, center + half)


def _hidden(weights: Weights) -> Floats:
    """Before rectification, shape (4, n_hidden, n); plain sums, so alike on every machine."""
    inputs = np.array(INPUTS, dtype=float)[:, :, None, None]
    hidden: Floats = inputs[:, 0] * weights.W[0] + inputs[:, 1] * weights.W[1] + weights.c
    return hidden


def _are_finite(weights: Weights) -> NDArray[np.bool_]:
    """Which networks have no weight that overflowed, shape (n,): a unit of NaN is not inactive."""
    parts = (weights.W.reshape(-1, len(weights.b)), weights.c, weights.v, weights.b[None])
    finite: NDArray[np.bool_] = np.all([np.isfinite(part).all(axis=0) for part in parts], axis=0)
    return finite


def _levels(
    errors: Floats, has_dead_unit: NDArray[np.bool_], diverged: NDArray[np.bool_]
) -> list[Level]:
    found, is_left = [], ~diverged
    for name, level in LEVELS.items():
        here = ~diverged & (np.abs(errors - level) < TOLERANCE)
        is_left &= ~here
        found.append(Level(name, int(here.sum()), int((here & has_dead_unit).sum())))
    found.append(Level("other", int(is_left.sum()), int((is_left & has_dead_unit).sum())))
    return [*found, Level("diverged", int(diverged.sum()), None)]


def _check(n_hidden: int, n_restarts: int, n_steps: int, learning_rate: float) -> None:
    check_count("n_hidden", n_hidden)
    check_count("n_restarts", n_restarts)
    check_count("n_steps", n_steps)
    check_learning_rate(learning_rate)
    size = f"`n_hidden={n_hidden}` `n_restarts={n_restarts}`"
    if (units := n_hidden * n_restarts) > MOST_UNITS:
        raise UsageError(size, f"{units} units", f"at most {MOST_UNITS}", "take fewer restarts")
    if (work := n_hidden * n_restarts * n_steps) > MOST_WORK:
        place, hint = f"{size} `n_steps={n_steps}`", "take fewer restarts or steps"
        raise UsageError(place, f"{work} unit steps", f"at most {MOST_WORK}", hint)
