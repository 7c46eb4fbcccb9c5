"""The orders that are compared: three of the config, and one that parts repeats from misses."""

import math
from dataclasses import dataclass

from sgdlab.lab.orders.problem import Problem
from sgdlab.random_streams import Purpose, generator
from sgdlab.words.orders import ORDERS, Order, Positions

COMPARED = ("with_replacement", "fresh_subset", "shuffle_once", "shuffle_each_epoch")


@dataclass(frozen=True)
class FreshSubset(Order):
    """Some of the rows, distinct, drawn anew for every epoch, which ends after them.

    It misses as many rows as an epoch with replacement, rounded to whole batches, and repeats none.
    """

    name = "fresh_subset"
    n_seen: int = 1

    def positions(self, n_rows: int, epoch: int) -> Positions:
        random = generator(self.seed, Purpose.FRESH_SUBSET, self.replicate, epoch)
        return random.choice(n_rows, self.n_seen, replace=False)


def missed_share(n_rows: int) -> float:
    """Share of the rows that an epoch with replacement misses on average: ``(1 - 1/n)**n``."""
    return math.exp(n_rows * math.log1p(-1 / n_rows)) if n_rows > 1 else 0.0


def steps_an_epoch(name: str, problem: Problem) -> int:
    """A fresh subset's share of the batches is rounded, and is neither none nor all of them."""
    if name != FreshSubset.name:
        return problem.n_batches
    seen = round(problem.n_batches * (1 - missed_share(len(problem.y))))
    return min(max(seen, 1), problem.n_batches - 1)


def order_of_rows(name: str, problem: Problem, seed: int, replicate: int) -> Order:
    """One of the compared orders."""
    if name != FreshSubset.name:
        return ORDERS.make(name, seed=seed, replicate=replicate)
    n_seen = steps_an_epoch(name, problem) * problem.batch_size
    return FreshSubset(seed, replicate, n_seen)


def expected_floor(name: str, problem: Problem, learning_rate: float) -> float | None:
    """At first order in the learning rate, which must be small; None where that vanishes.

    With Hessian H and noise S, which a step adds on average over many steps, the stationary
    covariance C solves ``H C + C H = learning_rate * S``, hence the floor tr(H C) / 2 =
    learning_rate * tr(S) / 4 (Mandt, Hoffman and Blei 2017, arXiv:1704.04289).

    With replacement batches are independent, and S is the covariance of one, Sigma / m for m rows.
    The sum of s distinct rows of n has the covariance ``s * Sigma * (n - s) / (n - 1)`` and not s
    times Sigma (Cochran, Sampling Techniques, 3rd ed. 1977, theorem 2.2); epochs are independent of
    each other, so that over many of them S is smaller by ``(n - s) / (n - 1)``: about the share of
    the rows that an epoch misses. Where none is missed only higher orders are left.
    """
    n_rows = len(problem.y)
    of_independent = learning_rate * problem.noise / (4 * problem.batch_size)
    if name == "with_replacement":
        return of_independent
    if name == FreshSubset.name:
        n_seen = steps_an_epoch(name, problem) * problem.batch_size
        return of_independent * (n_rows - n_seen) / (n_rows - 1)
    return None
