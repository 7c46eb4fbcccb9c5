"""A cell's weights after some epochs, frozen, so that gradients can be studied at them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic

import numpy as np

from sgdlab.config.objects import start_of
from sgdlab.errors import DataError, NothingToSelectError, UsageError
from sgdlab.lab.gradient_noise.magnitudes import check_magnitudes
from sgdlab.lab.gradient_noise.row_gradients import RowGradients, Vector
from sgdlab.lab.subject import Result, Subject
from sgdlab.lab.trainer import train_until
from sgdlab.observer import Observer
from sgdlab.optim.learning_rates import depends_on_epochs
from sgdlab.planning.memory import memory_budget
from sgdlab.planning.plan import n_threads
from sgdlab.runs.parts import NOTHING_KEPT, Parts
from sgdlab.system.blas import blas_threads


@dataclass(frozen=True)
class AtEpoch(Generic[Result]):
    """What was found at the weights after some epochs; 0 are the initial ones."""

    epoch: int
    found: Result


@contextmanager
def frozen(
    subject: Subject, epochs: int, observer: Observer, parts: Parts = NOTHING_KEPT
) -> Iterator[RowGradients]:
    """The gradients of the training rows at the first replicate's weights after some epochs.

    Inside, the BLAS has as many threads as the config allows.

    Raises
    ------
    DataError
        With fewer than two training rows, which have no covariance, or with values so extreme that
        float64 does not hold it.
    NothingToSelectError
        If the cell diverges on the way.
    UsageError
        If its learning rate is not defined that far.
    """
    training = subject.dataset.training(np.float64)
    if training.n_rows < 2:
        place = subject.dataset.arrays["Xtr"].name
        raise DataError(place, "1 row to train", "at least 2", "see data.validation.fraction")
    weights, bias = _weights_after(epochs, subject, observer, parts)
    run = subject.config.run
    if training.n_bytes <= memory_budget(run):
        training.load()
    with blas_threads(n_threads(run)):
        gradients = RowGradients(training, subject.train, weights, bias)
        check_magnitudes(gradients)
        yield gradients


def _weights_after(
    epochs: int, subject: Subject, observer: Observer, parts: Parts
) -> tuple[Vector, float]:
    train, run = subject.train, subject.config.run
    if epochs == 0:
        return start_of(train, 0).weights(subject.dataset.shape.n_features), train.initial_bias
    if epochs > train.epochs and depends_on_epochs(train):
        found = f"the cell's schedule ends after {train.epochs} epochs"
        raise UsageError(f"`at_epoch={epochs}`", found, "at most that", "or a larger train.epochs")
    outcome = train_until(epochs, train, subject.dataset, run, observer, parts)
    if outcome.weights is None:
        place, found = f"cell {subject.about.cell}", f"diverged in epoch {outcome.epochs}"
        hint = "take a smaller learning rate, or `at_epoch=0`"
        raise NothingToSelectError(place, found, "weights to measure at", hint)
    return outcome.weights, outcome.bias
