"""Does the order of the rows matter? Noise floors with replacement, shuffled once, reshuffled.

A fresh subset of the rows in each epoch tells apart what drawing with replacement does: it misses
as many rows, as far as whole batches can, and repeats none.
"""

import itertools
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from sgdlab.config.model import Train
from sgdlab.engine.running_block import DIVERGED_FACTOR
from sgdlab.lab.orders.compared import COMPARED, missed_share, steps_an_epoch
from sgdlab.lab.orders.descents import Descent, Stops, excess_histories, stops
from sgdlab.lab.orders.design import (
    OrdersOptions,
    choose_learning_rates,
    epochs_needed,
    load_problem,
    short_epochs,
)
from sgdlab.lab.orders.floors import Floor, Histories, Slope, floors, slope
from sgdlab.lab.orders.own_training import OwnTraining, measure_own_training, own_settings
from sgdlab.lab.orders.problem import Problem
from sgdlab.lab.subject import Subject
from sgdlab.lab.trainer import plan_settings
from sgdlab.observer import Observer, Progress
from sgdlab.planning.plan import n_threads
from sgdlab.runs.parts import Parts, array_of
from sgdlab.system.blas import blas_threads
from sgdlab.uncertainty.means import Mean

APPROACH_LINES = 6
UNLIKE_MISSES = 0.1  # of the missed share: whole batches that change it by more are no comparison


@dataclass(frozen=True)
class Approach:
    """The excess after some steps from zero weights, by order."""

    n_steps: int
    excess: dict[str, Mean]


@dataclass(frozen=True)
class OrdersResult:
    """The whole experiment.

    Attributes
    ----------
    fitted
        Learning rates that the slopes are fitted to, where they have a floor.
    approach_rate
        The largest of them at which no order diverged, also that of the approach; None where there
        is none.
    """

    problem: Problem
    replicates: int
    floors: tuple[Floor, ...]
    fitted: tuple[float, ...]
    slopes: tuple[Slope, ...]
    approach_rate: float | None
    approach: tuple[Approach, ...]
    own: OwnTraining

    @property
    def missed(self) -> float:
        """Share of the rows that an epoch with replacement misses, on average."""
        return missed_share(len(self.problem.y))

    @property
    def subset_steps(self) -> int:
        """Steps in an epoch of a fresh subset."""
        return steps_an_epoch("fresh_subset", self.problem)

    @property
    def missed_by_subset(self) -> float:
        """Share of the rows that an epoch of a fresh subset misses."""
        return 1 - self.subset_steps / self.problem.n_batches

    @property
    def tells_misses_from_repeats(self) -> bool:
        """Whether a fresh subset misses about as many rows as drawing with replacement."""
        return abs(self.missed_by_subset - self.missed) <= UNLIKE_MISSES * self.missed

    def floor(self, order: str, learning_rate: float) -> Floor:
        where = (order, learning_rate)
        return next(floor for floor in self.floors if (floor.order, floor.learning_rate) == where)


def measure_orders(
    subject: Subject, options: OrdersOptions, observer: Observer, parts: Parts
) -> OrdersResult:
    """Train with every order and learning rate, from the minimum and from zero.

    All trainings last equally long in units of 1 / learning_rate, so that a direction too flat to
    settle holds the same share of its floor at every learning rate, and no slope is biased by it.
    Orders are compared after equal numbers of steps.
    """
    train, dataset, run = subject.train, subject.dataset, subject.config.run
    problem = load_problem(train, dataset, options)
    rates = choose_learning_rates(problem, options)
    own = plan_settings(own_settings(train, options.replicates), dataset, run)
    parts.expect(len(COMPARED) * options.replicates + len(own.blocks))
    work = _Work(options.replicates, n_threads(run), observer, parts)
    of_order = _train_all(problem, train, rates, work)
    fitted = short_epochs(problem, rates)
    positions = [rates.index(rate) for rate in fitted]
    usable = [
        rate
        for rate in positions
        if not any(histories.n_diverged(rate) for histories in of_order.values())
    ]
    n_floors = len(COMPARED) * len(rates)
    return OrdersResult(
        problem=problem,
        replicates=options.replicates,
        floors=tuple(
            floor for histories in of_order.values() for floor in floors(histories, n_floors)
        ),
        fitted=fitted,
        slopes=tuple(slope(histories, positions) for histories in of_order.values()),
        approach_rate=rates[usable[-1]] if usable else None,
        approach=_approach(of_order, usable[-1]) if usable else (),
        own=measure_own_training(train, dataset, run, options.replicates, observer, parts),
    )


@dataclass(frozen=True)
class _Work:
    """How often, on how many threads, and whom to tell of it."""

    replicates: int
    threads: int
    observer: Observer
    parts: Parts


def _train_all(
    problem: Problem, train: Train, rates: Sequence[float], work: _Work
) -> dict[str, Histories]:
    """The trainings of all orders, a job for every order and replicate."""
    minimum = problem.minimum
    n_steps = [epochs_needed(problem, rate) * problem.n_batches for rate in rates]
    from_minimum = [
        Descent(rate, n, minimum.weights, minimum.bias)
        for rate, n in zip(rates, n_steps, strict=True)
    ]
    zero = np.zeros_like(minimum.weights)
    from_zero = [replace(one, weights=zero, bias=train.initial_bias) for one in from_minimum]
    marks = sorted({mark for n in n_steps for mark in approach_steps(problem, n)})
    looked_at = {order: stops(problem, order, marks) for order in COMPARED}
    descents = [*from_minimum, *from_zero]
    found = _all_histories(problem, descents, looked_at, train.seed, work)
    largest = DIVERGED_FACTOR * problem.objective_at_zero(train.initial_bias)
    of_order = {}
    for order, histories in found.items():
        halves = np.split(np.stack(histories, axis=1), 2)
        of_order[order] = Histories(
            problem, order, from_minimum, looked_at[order], halves[0], halves[1], largest
        )
    return of_order


def _all_histories(
    problem: Problem,
    descents: Sequence[Descent],
    looked_at: dict[str, Stops],
    seed: int,
    work: _Work,
) -> dict[str, list[NDArray[np.float64]]]:
    """The histories of every replicate, by order; a job for each, which can be kept."""
    jobs = list(itertools.product(COMPARED, range(work.replicates)))
    found: dict[tuple[str, int], NDArray[np.float64]] = {}
    for order, replicate in jobs:
        shape = (len(descents), len(looked_at[order].steps))
        read = partial(array_of, name="excess", dtype=np.float64, shape=shape)
        if (kept := work.parts.find(f"{order}/{replicate}", read)) is not None:
            found[order, replicate] = kept
    left = [job for job in jobs if job not in found]

    def histories(job: tuple[str, int]) -> NDArray[np.float64]:
        order, replicate = job
        return excess_histories(problem, descents, order, seed, replicate, looked_at[order].steps)

    n_epochs = max(descent.n_steps for descent in descents) // problem.n_batches
    n_cells = len(descents) * len(left)

    def progress(n_done: int) -> Progress:
        return Progress(n_done * n_epochs, len(left) * n_epochs, len(problem.y), n_cells, n_cells)

    work.observer.begin(progress(0))
    pool = ThreadPoolExecutor(work.threads)
    try:
        with blas_threads(1):
            for n, (job, done) in enumerate(zip(left, pool.map(histories, left), strict=True)):
                found[job] = done
                work.parts.keep(f"{job[0]}/{job[1]}", partial(dict, excess=done))
                work.observer.advance(progress(n + 1))
    finally:
        # Ctrl-C does not wait for jobs under way, which may take long.
        pool.shutdown(wait=False, cancel_futures=True)
        work.observer.end()
    return {order: [found[order, n] for n in range(work.replicates)] for order in COMPARED}


def approach_steps(problem: Problem, n_steps: int) -> list[int]:
    """Numbers of steps that fill epochs of all rows, each about twice the one before."""
    n_epochs = n_steps // problem.n_batches
    epochs = {math.ceil(n_epochs / 2**n) for n in range(APPROACH_LINES)}
    return [epoch * problem.n_batches for epoch in sorted(epochs)]


def _approach(of_order: dict[str, Histories], rate: int) -> tuple[Approach, ...]:
    """At one learning rate, by its position."""
    first = of_order[COMPARED[0]]
    return tuple(
        Approach(n, {order: histories.after(rate, n) for order, histories in of_order.items()})
        for n in approach_steps(first.problem, first.descents[rate].n_steps)
    )
