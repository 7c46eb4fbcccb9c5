"""Trainings on a problem with one order of the rows, and how far above the minimum they are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sgdlab.config.model import Train
from sgdlab.engine.direct import DirectKernel
from sgdlab.lab.orders.compared import order_of_rows, steps_an_epoch
from sgdlab.lab.orders.problem import Problem
from sgdlab.words.orders import Positions


@dataclass(frozen=True)
class Descent:
    """Where a training starts, and with which learning rate and for how many steps it goes on."""

    learning_rate: float
    n_steps: int
    weights: NDArray[np.float64]
    bias: float


@dataclass(frozen=True)
class Stops:
    """After how many steps the excess is looked at.

    Attributes
    ----------
    steps : int array, shape (n_stops,)
        Ascending.
    ends_epoch : bool array, shape (n_stops,)
        Whether an epoch of the order ends there.
    """

    steps: NDArray[np.int64]
    ends_epoch: NDArray[np.bool_]


def stops(problem: Problem, order: str, marks: Sequence[int]) -> Stops:
    """The ends of an order's epochs up to the last mark, and the marks."""
    length = steps_an_epoch(order, problem)
    steps = np.union1d(np.arange(length, max(marks) + 1, length), marks)
    return Stops(steps, steps % length == 0)


@np.errstate(all="ignore")  # what diverges leaves the range of float64
def excess_histories(
    problem: Problem,
    descents: Sequence[Descent],
    order: str,
    seed: int,
    replicate: int,
    steps: Sequence[int] | NDArray[np.int64],
) -> NDArray[np.float64]:
    """Train all together; the excess after some numbers of steps, shape (n_descents, n_stops).

    NaN after a training's own last step, and not finite where it diverged.

    Parameters
    ----------
    steps
        Ascending; the ends of all epochs up to the last are among them.
    """
    kernel = _kernel(problem, descents)
    last_steps = np.array([descent.n_steps for descent in descents])
    histories = np.full((len(descents), len(steps)), np.nan)
    parts = _parts(problem, order, seed, replicate, steps)
    for n, (step, (rows, epoch_rows)) in enumerate(zip(steps, parts, strict=False)):
        if epoch_rows:
            kernel.start_epoch(epoch_rows)
        kernel.step(np.take(problem.X, rows, axis=0), problem.y[rows])
        is_on = last_steps >= step
        histories[is_on, n] = problem.excess(kernel.weights[is_on], kernel.bias[is_on])
    return histories


def _parts(
    problem: Problem,
    order: str,
    seed: int,
    replicate: int,
    steps: Sequence[int] | NDArray[np.int64],
) -> Iterator[tuple[Positions, int]]:
    """The rows up to each stop, and of how many rows the epoch is that begins with them, or 0."""
    shown = order_of_rows(order, problem, seed, replicate)
    length, size = steps_an_epoch(order, problem), problem.batch_size
    rows = np.empty(0, np.int64)
    for begin, end in zip((0, *steps), steps, strict=False):
        epoch, first = divmod(begin, length)
        if first == 0:
            rows = shown.positions(len(problem.y), epoch)
        taken = rows[first * size : (first + end - begin) * size]
        yield taken, 0 if first else len(rows)


def _kernel(problem: Problem, descents: Sequence[Descent]) -> DirectKernel:
    trains = [
        Train(
            batch_size=problem.batch_size,
            learning_rate=descent.learning_rate,
            epochs=1,  # the rate is constant, so that their number has no influence
            l2=problem.l2,
            initial_bias=descent.bias,
            train_bias=problem.trains_bias,
        )
        for descent in descents
    ]
    return DirectKernel(trains, np.stack([descent.weights for descent in descents]), np.float64)
