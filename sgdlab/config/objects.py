"""The objects that words stand for: those of a cell, or of a stack of trajectories."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgdlab.config.model import WORDS, Train
from sgdlab.errors import UsageError
from sgdlab.words.losses import LOSSES, Loss
from sgdlab.words.optimizers import OPTIMIZERS, Optimizer
from sgdlab.words.orders import ORDERS, Order
from sgdlab.words.starts import STARTS, Start


def column(trains: Sequence[Train], name: str) -> NDArray[Any]:
    """One hyperparameter of several trajectories, a new array of shape (n_trajectories,)."""
    return np.array([getattr(train, name) for train in trains])


def matters(train: Train, name: str) -> bool:
    """Whether a hyperparameter has any influence on a cell: those of other words have none."""
    for key, registry in WORDS.items():
        if name in registry.hyperparameters():
            return name in registry.own(getattr(train, key))
    return True


def order_of(train: Train, replicate: int) -> Order:
    """In which a replicate of a cell sees the rows."""
    value = partial(getattr, train)
    return ORDERS.make(train.order, value, seed=train.seed, replicate=replicate)


def start_of(train: Train, replicate: int) -> Start:
    """Where the weights of a replicate of a cell start."""
    value = partial(getattr, train)
    return STARTS.make(train.initial_weights, value, seed=train.seed, replicate=replicate)


def loss_of(train: Train) -> Loss:
    """What a cell minimises."""
    return LOSSES.make(train.loss, partial(getattr, train))


def loss_of_stack(trains: Sequence[Train], put: Callable[[NDArray[Any]], NDArray[Any]]) -> Loss:
    """What a stack of trajectories with the same loss minimises.

    Parameters
    ----------
    put
        Makes of a number for every trajectory, shape (n_trajectories,), what broadcasts against the
        residuals.

    Raises
    ------
    UsageError
        If the loss or its derivative has another shape than the residuals.
    """
    loss = LOSSES.make(trains[0].loss, lambda name: put(column(trains, name)))
    residuals = np.zeros((2, *put(np.zeros(len(trains))).shape))
    for method in (loss.value, loss.derivative):
        if np.shape(method(residuals)) != residuals.shape:
            found = f"{method.__name__} of shape {np.shape(method(residuals))}"
            raise UsageError(f"train.loss {loss.name}", found, f"{residuals.shape}, as residuals")
    return loss


def optimizer_of(trains: Sequence[Train]) -> Optimizer:
    """How a stack of trajectories with the same optimizer makes steps; its numbers are columns."""
    return OPTIMIZERS.make(trains[0].optimizer, partial(column, trains))
