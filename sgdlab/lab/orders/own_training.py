"""What the config's own training leaves above the minimum of its own objective, by two orders."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sgdlab.config.model import Run, Train
from sgdlab.data.dataset import Dataset
from sgdlab.data.rows import READ_BYTES, RowSet, rows_in
from sgdlab.engine.running_block import Outcome
from sgdlab.lab.trainer import train_settings
from sgdlab.observer import Observer
from sgdlab.optim.closed_form import spectrum_of_moments, spectrum_of_triangle
from sgdlab.optim.moments import moments
from sgdlab.optim.triangle import triangle
from sgdlab.system import machine
from sgdlab.uncertainty.means import Mean, mean_of
from sgdlab.uncertainty.student_t import critical_value

ORDERS_COMPARED = ("with_replacement", "shuffle_each_epoch")
MOST_REPLICATES = 10  # of all rows and epochs, which may take long
MATRICES = 6  # as large as X.T X, or as R, at the same time
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
    interval
        Of the difference, the former minus the latter, at 95 % (Welch 1947,
        doi:10.1093/biomet/34.1-2.28); None where either diverged.
    """

    train: Train
    replicates: int
    minimum: float | None
    with_replacement: Mean | None
    shuffled: Mean | None
    interval: tuple[float, float] | None

    @property
    def left(self) -> float | None:
        """What rows that are shuffled each epoch leave above the minimum."""
        if self.minimum is None or self.shuffled is None:
            return None
        return max(0.0, self.shuffled.value - self.minimum)

    @property
    def verdict(self) -> str | None:
        """Whether the order matters: ``yes``, ``hardly``, ``cannot be told``, or None.

        It does where the difference is no chance and is not small beside what is left, and hardly
        does where all of its interval is small; None where it is not known what is left.
        """
        if self.interval is None or self.left is None:
            return None
        low, high = self.interval
        margin = SMALL_DIFFERENCE * self.left
        if max(abs(low), abs(high)) <= margin:
            return "hardly"
        is_clear = low > 0 or high < 0
        return "yes" if is_clear and abs(low + high) / 2 > margin else "cannot be told"


def measure_own_training(
    train: Train, dataset: Dataset, run: Run, replicates: int, observer: Observer
) -> OwnTraining:
    """Train with both orders, and solve for the minimum."""
    replicates = min(replicates, MOST_REPLICATES)
    settings = [
        train.model_copy(update={"order": order, "replicates": replicates})
        for order in ORDERS_COMPARED
    ]
    random, shuffled = (
        _objectives(outcomes, train.l2)
        for outcomes in train_settings(settings, dataset, run, observer)
    )
    bias = None if train.train_bias else train.initial_bias
    return OwnTraining(
        train=train,
        replicates=replicates,
        minimum=_least_objective(dataset.training(np.float64), train.l2, bias),
        with_replacement=None if random is None else mean_of(random),
        shuffled=None if shuffled is None else mean_of(shuffled),
        interval=None if random is None or shuffled is None else _interval(random, shuffled),
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


@np.errstate(over="ignore", invalid="ignore")
def _least_objective(rows: RowSet, l2: float, bias: float | None) -> float | None:
    """That of the exact minimum; close even where its weights are not to be trusted."""
    n_rows, n_features = rows.n_rows, rows.n_features
    if MATRICES * 8 * min(n_rows, n_features) * n_features > machine.memory_bytes():
        return None
    chunk_rows = rows_in(READ_BYTES, n_features)
    if n_rows > n_features:
        spectrum = spectrum_of_moments(moments(rows.chunks(chunk_rows)), bias)
    else:
        whole = triangle(rows.chunks(max(chunk_rows, n_features)))
        spectrum = spectrum_of_triangle(whole, bias)
    objective = spectrum.minimum(l2).objective
    return objective if math.isfinite(objective) else None


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
