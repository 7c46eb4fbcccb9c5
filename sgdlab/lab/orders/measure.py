"""Does the order of the rows matter? Noise floors with replacement, shuffled once, reshuffled."""

import itertools
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sgdlab.config.model import Train
from sgdlab.data.dataset import Dataset
from sgdlab.lab.orders.design import (
    OrdersOptions,
    choose_learning_rates,
    epochs_needed,
    load_problem,
    short_epochs,
)
from sgdlab.lab.orders.problem import Descent, Problem, excess_histories
from sgdlab.observer import Observer, Progress
from sgdlab.system.blas import blas_threads
from sgdlab.uncertainty.exponents import exponent
from sgdlab.uncertainty.means import Mean, mean_of

COMPARED = ("with_replacement", "shuffle_once", "shuffle_each_epoch")
APPROACH_LINES = 6


@dataclass(frozen=True)
class Floor:
    """The noise floor of one order and learning rate, in squared target units.

    Attributes
    ----------
    pace
        ``learning_rate * largest eigenvalue * batches``: time constants of the steepest direction
        in an epoch.
    excess
        Of the objective above its exact minimum at the ends of epochs, over the last half of a
        training that starts at the minimum. NaN if a replicate diverged.
    drift
        The last quarter's mean over that of the quarter before; about 1 once it has settled.
    expected
        With replacement, at first order in the learning rate; None for other orders.
    from_zero
        At the end of a training that starts from zero weights.
    """

    order: str
    learning_rate: float
    pace: float
    epochs: int
    excess: Mean
    drift: float
    expected: float | None
    from_zero: Mean


@dataclass(frozen=True)
class Slope:
    """The exponent of the floor as a power of the learning rate: a mean over replicates."""

    order: str
    slope: Mean


@dataclass(frozen=True)
class Approach:
    """The excess after some epochs from zero weights, by order."""

    epoch: int
    excess: dict[str, Mean]


@dataclass(frozen=True)
class OrdersResult:
    """The whole experiment.

    Attributes
    ----------
    fitted
        Learning rates that the slopes are fitted to.
    approach_rate
        Learning rate of the approach.
    missed
        Share of the rows that an epoch with replacement misses, on average.
    """

    problem: Problem
    replicates: int
    floors: tuple[Floor, ...]
    fitted: tuple[float, ...]
    slopes: tuple[Slope, ...]
    approach_rate: float
    approach: tuple[Approach, ...]

    @property
    def missed(self) -> float:
        n_rows = len(self.problem.y)
        return math.exp(n_rows * math.log1p(-1 / n_rows)) if n_rows > 1 else 0.0

    def floor(self, order: str, learning_rate: float) -> Floor:
        where = (order, learning_rate)
        return next(floor for floor in self.floors if (floor.order, floor.learning_rate) == where)


def measure_orders(
    train: Train, dataset: Dataset, threads: int, options: OrdersOptions, observer: Observer
) -> OrdersResult:
    """Train with every order and learning rate, from the minimum and from zero.

    All trainings last equally long in units of 1 / learning_rate, so that a direction too flat to
    settle holds the same share of its floor at every learning rate, and no slope is biased by it.
    """
    problem = load_problem(train, dataset, options)
    rates = choose_learning_rates(problem, options)
    minimum = problem.minimum
    from_minimum, from_zero = (
        [Descent(rate, epochs_needed(problem, rate), weights, bias) for rate in rates]
        for weights, bias in (
            (minimum.weights, minimum.bias),
            (np.zeros_like(minimum.weights), train.initial_bias),
        )
    )
    descents = [*from_minimum, *from_zero]
    histories = _train_all(problem, descents, train.seed, options.replicates, threads, observer)
    fitted = short_epochs(problem, rates)
    middle = rates.index(fitted[-1])
    return OrdersResult(
        problem=problem,
        replicates=options.replicates,
        floors=tuple(
            _floor(problem, order, descent, *histories[order][:, n])
            for order in COMPARED
            for n, descent in enumerate(from_minimum)
        ),
        fitted=fitted,
        slopes=tuple(
            _slope(order, from_minimum, fitted, histories[order][0]) for order in COMPARED
        ),
        approach_rate=rates[middle],
        approach=_approach(
            {order: histories[order][1, middle] for order in COMPARED}, from_zero[middle].epochs
        ),
    )


def _train_all(
    problem: Problem,
    descents: Sequence[Descent],
    seed: int,
    replicates: int,
    threads: int,
    observer: Observer,
) -> dict[str, NDArray[np.float64]]:
    """Excess by order, each of shape (2, n_rates, replicates, most epochs).

    The first axis halves the descents: those from the minimum, and those from zero.
    """
    jobs = list(itertools.product(COMPARED, range(replicates)))
    n_epochs = max(descent.epochs for descent in descents)

    def work(job: tuple[str, int]) -> NDArray[np.float64]:
        return excess_histories(problem, descents, job[0], seed, job[1])

    def progress(n_done: int) -> Progress:
        n_cells = len(descents) * len(jobs)
        return Progress(n_done * n_epochs, len(jobs) * n_epochs, len(problem.y), n_cells, n_cells)

    observer.begin(progress(0))
    try:
        with (
            blas_threads(1),
            ThreadPoolExecutor(threads) as pool,
            closing(pool.map(work, jobs)) as stream,  # type: ignore[type-var]  # a generator
        ):
            found = []
            for histories in stream:
                found.append(histories)
                observer.advance(progress(len(found)))
    finally:
        observer.end()
    by_order = np.array(found).reshape(len(COMPARED), replicates, 2, -1, n_epochs)
    return dict(zip(COMPARED, by_order.transpose(0, 2, 3, 1, 4), strict=True))


def _floor(
    problem: Problem,
    order: str,
    descent: Descent,
    at_minimum: NDArray[np.float64],
    from_zero: NDArray[np.float64],
) -> Floor:
    """The floor of one order and learning rate; histories of shape (replicates, most epochs)."""
    n_epochs, rate = descent.epochs, descent.learning_rate
    third, fourth = (
        np.mean(at_minimum[:, n_epochs * n // 4 : n_epochs * (n + 1) // 4]) for n in (2, 3)
    )
    is_random = order == "with_replacement"
    return Floor(
        order=order,
        learning_rate=rate,
        pace=problem.pace(rate),
        epochs=n_epochs,
        excess=mean_of(_late(at_minimum, n_epochs)),
        drift=float(fourth / third),
        expected=problem.expected_floor(rate) if is_random else None,
        from_zero=mean_of(from_zero[:, n_epochs - 1]),
    )


def _late(histories: NDArray[np.float64], n_epochs: int) -> NDArray[np.float64]:
    """The mean over the last half of the epochs, shape (replicates,)."""
    late: NDArray[np.float64] = histories[:, n_epochs // 2 : n_epochs].mean(axis=1)
    return late


def _slope(
    order: str,
    descents: Sequence[Descent],
    fitted: Sequence[float],
    histories: NDArray[np.float64],
) -> Slope:
    """Least squares for every replicate; histories of shape (n_rates, replicates, most epochs)."""
    chosen = [
        _late(history, descent.epochs)
        for descent, history in zip(descents, histories, strict=True)
        if descent.learning_rate in fitted
    ]
    return Slope(order, mean_of(exponent(fitted, np.array(chosen).T)))


def _approach(histories: dict[str, NDArray[np.float64]], n_epochs: int) -> tuple[Approach, ...]:
    """After some epochs, each about twice the one before; of shape (replicates, most epochs)."""
    epochs = sorted({math.ceil(n_epochs / 2**n) for n in range(APPROACH_LINES)})
    return tuple(
        Approach(epoch, {order: mean_of(found[:, epoch - 1]) for order, found in histories.items()})
        for epoch in epochs
    )
