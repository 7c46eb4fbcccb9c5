"""Small networks trained on XOR from random starts, all of them together."""

import itertools
import math
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from sgdlab.errors import UsageError
from sgdlab.lab.checks import check_count, check_learning_rate
from sgdlab.lab.xor.exact import INPUTS, TARGETS
from sgdlab.random_streams import Purpose, generator
from sgdlab.runs.parts import NOTHING_KEPT, Parts, array_of
from sgdlab.runs.parts_folder import Arrays

# Mean squared errors at which trainings come to rest. At 1/8 two points with unlike targets share
# one output, the mean of their targets; at 1/6 three points do, at 1/4 all four.
LEVELS = {"0": 0.0, "1/8": 1 / 8, "1/6": 1 / 6, "1/4": 1 / 4}
TOLERANCE = 1e-3  # of the mean squared error, about a level
DIVERGED_FACTOR = 1000.0  # a mean squared error above this many times that at the start
CONFIDENCE_Z = 1.959963984540054  # of 95 %
MOST_UNITS = 10**7  # restarts * hidden; gigabytes
MOST_WORK = 10**11  # restarts * hidden * steps; minutes
UNITS_AT_ONCE = 10**6  # restarts * hidden, whose weights can be kept in a moment

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Weights:
    """All restarts, the last axis: ``W`` (2, n_hidden, n), ``c``, ``v`` (n_hidden, n), ``b``."""

    W: Floats
    c: Floats
    v: Floats
    b: Floats

    def of(self, restarts: slice) -> "Weights":
        """Those of some restarts, as they lie in memory."""
        found = {name: array[..., restarts].copy(order="K") for name, array in vars(self).items()}
        return Weights(**found)

    def arrays(self, n_steps: int) -> Arrays:
        """To be kept, after some steps."""
        return {**vars(self), "n_steps": np.array(n_steps)}

    def read(self, arrays: Arrays, most_steps: int) -> tuple[int, "Weights"]:
        """The inverse of :meth:`arrays` for weights of as many restarts.

        Raises
        ------
        KeyError, ValueError
            If these are others.
        """
        n_steps = int(array_of(arrays, "n_steps", np.int64, ()))
        if not 0 < n_steps <= most_steps:
            raise ValueError(f"{n_steps} steps")
        found = {
            name: array_of(arrays, name, np.float64, own.shape) for name, own in vars(self).items()
        }
        return n_steps, Weights(**found)


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
    n_hidden: int,
    n_restarts: int,
    n_steps: int,
    learning_rate: float,
    seed: int,
    parts: Parts = NOTHING_KEPT,
) -> Restarts:
    """Full-batch gradient descent on the half mean squared error, from standard normal weights.

    Biases start at 0. A unit is dead if it is inactive at all four points.

    Raises
    ------
    UsageError
        If there is nothing to do, or more than ends within minutes.
    """
    _check(n_hidden, n_restarts, n_steps, learning_rate)
    starts = random_weights(n_hidden, n_restarts, seed)
    spans = _spans(n_hidden, n_restarts)
    parts.expect(len(spans) * n_steps, "steps")
    with np.errstate(over="ignore", invalid="ignore"):  # a large learning rate diverges
        ended = [
            _ended(starts.of(span), n_steps, learning_rate, parts, f"restarts-{span.start}")
            for span in spans
        ]
    errors, has_dead_unit, diverged = (np.concatenate(of) for of in zip(*ended, strict=True))
    levels = tuple(_levels(errors, has_dead_unit, diverged))
    n_solved = levels[0].n_restarts
    interval = wilson_interval(n_solved, n_restarts)
    return Restarts(n_restarts, n_hidden, n_steps, learning_rate, seed, n_solved, interval, levels)


def _spans(n_hidden: int, n_restarts: int) -> list[slice]:
    """Restarts that are trained side by side, two or more: numpy sums a single one otherwise."""
    n_spans = math.ceil(n_hidden * n_restarts / UNITS_AT_ONCE)
    n_spans = max(1, min(n_spans, n_restarts // 2))
    ends = [n_restarts * n // n_spans for n in range(n_spans + 1)]
    return [slice(*both) for both in itertools.pairwise(ends)]


def _ended(
    starts: Weights, n_steps: int, learning_rate: float, parts: Parts, name: str
) -> tuple[Floats, NDArray[np.bool_], NDArray[np.bool_]]:
    """Mean squared errors at the ends of trainings, which have a dead unit, and which diverged.

    How far these trainings are is a part of the experiment.
    """
    at_start = np.mean(forward(starts)[0] ** 2, axis=0)
    n_done, weights = parts.find(name, partial(starts.read, most_steps=n_steps)) or (0, starts)
    for n in range(n_done, n_steps):
        weights = descend_once(weights, learning_rate)
        parts.keep(name, partial(weights.arrays, n + 1), n + 1)
    residuals, active = forward(weights)
    errors = np.mean(residuals**2, axis=0)
    diverged = ~(errors <= DIVERGED_FACTOR * at_start) | ~_are_finite(weights)
    has_dead_unit = np.any(~active.any(axis=0), axis=0)
    return errors, np.asarray(has_dead_unit), diverged


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
