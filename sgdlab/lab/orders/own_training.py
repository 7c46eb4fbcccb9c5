"""What the config's own training leaves above the minimum of its own objective, by two orders."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sgdlab.config.model import Run, Train
from sgdlab.data.dataset import Dataset
from sgdlab.data.rows import RowSet
from sgdlab.engine.running_block import Outcome
from sgdlab.errors import DataError, StorageError
from sgdlab.lab.factors import Factors, factorise
from sgdlab.lab.trainer import train_settings
from sgdlab.observer import Observer
from sgdlab.optim.closed_form import rounding_of_fit
from sgdlab.runs.parts import NOTHING_KEPT, Parts
from sgdlab.uncertainty.means import Mean, mean_of
from sgdlab.uncertainty.student_t import critical_value

ORDERS_COMPARED = ("with_replacement", "shuffle_each_epoch")
MOST_REPLICATES = 10  # of all rows and epochs, which may take long
SMALL_DIFFERENCE = 0.1  # of what a training leaves: less is not said to matter


@dataclass(frozen=True)
class OwnTraining:
    """The config's own rows, batch size, L2, learning rate and epochs, in two orders of the rows.

    Attributes
    ----------
    minimum
        Of the objective; None where it cannot be solved for, as of more columns than memory holds.
    with_replacement, shuffled
        The objective at the end, the latter shuffled each epoch; None where a replicate diverged.
    excess
        Both above the minimum, computed without cancellation, and 0 where only rounding keeps a
        training from there; None where either diverged or the minimum is not known.
    interval
        Of the difference, the former minus the latter, at 95 % (Welch 1947,
        doi:10.1093/biomet/34.1-2.28); None where either diverged.
    """

    train: Train
    replicates: int
    minimum: float | None
    with_replacement: Mean | None
    shuffled: Mean | None
    excess: tuple[Mean, Mean] | None
    interval: tuple[float, float] | None

    @property
    def left(self) -> float | None:
        """What rows that are shuffled each epoch leave above the minimum."""
        return None if self.excess is None else self.excess[1].value

    @property
    def verdict(self) -> str | None:
        """Whether the order matters: ``yes``, ``hardly``, ``cannot be told``, or None.

        It does where all of the difference's interval is on one side and not small beside what is
        left, and hardly does where all of it is small; None where it is not known what is left.
        """
        if self.interval is None or self.left is None:
            return None
        low, high = self.interval
        margin = SMALL_DIFFERENCE * self.left
        if max(abs(low), abs(high)) <= margin:
            return "hardly"
        return "yes" if low > margin or high < -margin else "cannot be told"


def own_settings(train: Train, replicates: int) -> list[Train]:
    """What is trained, by order."""
    replicates = min(replicates, MOST_REPLICATES)
    return [
        train.model_copy(update={"order": order, "replicates": replicates})
        for order in ORDERS_COMPARED
    ]


def measure_own_training(
    train: Train,
    dataset: Dataset,
    run: Run,
    replicates: int,
    observer: Observer,
    parts: Parts = NOTHING_KEPT,
) -> OwnTraining:
    """Train with both orders, and solve for the minimum."""
    settings = own_settings(train, replicates)
    outcomes = train_settings(settings, dataset, run, observer, parts, "own")
    random, shuffled = (_objectives(of_order, train.l2) for of_order in outcomes)
    rows = dataset.training(np.float64)
    factors = _factors(rows, train)
    excess = interval = None
    if random is not None and shuffled is not None:
        compared = [random, shuffled]
        if factors is not None:
            compared = [_excess(of_order, factors, rows, train.l2) for of_order in outcomes]
            excess = mean_of(compared[0]), mean_of(compared[1])
        interval = _interval(*compared)
    return OwnTraining(
        train=train,
        replicates=settings[0].replicates,
        minimum=None if factors is None else factors.spectrum.minimum(train.l2).objective,
        with_replacement=None if random is None else mean_of(random),
        shuffled=None if shuffled is None else mean_of(shuffled),
        excess=excess,
        interval=interval,
    )


def _objectives(outcomes: Sequence[Outcome], l2: float) -> NDArray[np.float64] | None:
    """At the ends of all replicates, shape (n_replicates,)."""
    found = [
        outcome.train_loss + l2 / 2 * float(outcome.weights @ outcome.weights)
        for outcome in outcomes
        if outcome.weights is not None
    ]
    is_whole = len(found) == len(outcomes) and np.all(np.isfinite(found))
    return np.array(found) if is_whole else None


def _factors(rows: RowSet, train: Train) -> Factors | None:
    """The rows in a form that tells the minimum; None where there is none to be had."""
    bias = None if train.train_bias else train.initial_bias
    try:
        return factorise(rows, bias, train.train_bias)
    except (DataError, StorageError):  # all rows were read before: too large for memory, or floats
        return None


@np.errstate(over="ignore", invalid="ignore")
def _excess(
    outcomes: Sequence[Outcome], factors: Factors, rows: RowSet, l2: float
) -> NDArray[np.float64]:
    """The objective above its minimum at the ends of all replicates, shape (n_replicates,).

    The objective is quadratic and its gradient vanishes at the minimum, so the excess is the
    quadratic form of the distance from there.
    """
    spectrum = factors.spectrum
    minimum = spectrum.minimum(l2)
    weights = np.array([outcome.weights for outcome in outcomes])
    apart = weights.astype(np.float64) - minimum.weights
    bias = np.array([outcome.bias for outcome in outcomes])
    shift = bias - minimum.bias + apart @ spectrum.means
    squares = np.zeros(len(outcomes))
    for chunk, _ in rows.walk():
        moved = apart @ (chunk - spectrum.means).T + shift[:, None]
        squares += np.einsum("ij,ij->i", moved, moved)
    excess = (squares / rows.n_rows + l2 * np.sum(np.square(apart), axis=1)) / 2
    epsilon = float(np.finfo(weights.dtype).eps)
    rounding = rounding_of_fit(minimum, factors.column_sizes, rows.targets, epsilon)
    return np.where(excess <= np.square(rounding) / 2, 0.0, excess)


def _interval(some: NDArray[np.float64], others: NDArray[np.float64]) -> tuple[float, float]:
    """Of a difference of two means of as many independent values each."""
    squares = np.array([np.var(values, ddof=1) / len(values) for values in (some, others)])
    difference = float(some.mean() - others.mean())
    total = float(squares.sum())
    if total == 0:
        return difference, difference
    shares = squares / total
    degrees = (len(some) - 1) / float(shares @ shares)
    margin = critical_value(degrees) * math.sqrt(total)
    return difference - margin, difference + margin
