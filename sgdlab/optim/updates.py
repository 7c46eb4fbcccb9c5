"""How the gradients of a stack of trajectories become steps, in place and with little arithmetic.

What a step is says an :class:`~sgdlab.words.optimizers.Optimizer`; here it is made on the weights
``w = scale * V`` and the bias of trajectories whose batches end together.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgdlab.config.model import Train
from sgdlab.config.objects import column, optimizer_of
from sgdlab.words.optimizers import Optimizer, as_column

# L2 shrinks the weights w = scale * V by scale alone. Outside these limits the scale is multiplied
# into V, so that dividing by it neither overflows nor loses digits.
SMALLEST_SCALE = 1e-3
LARGEST_SCALE = 1e3
LARGEST_LOG = math.log(LARGEST_SCALE)
ROUNDING_OF_LOGS = 1e-3  # of the sum of a step's logarithm over ever so many steps

Floats = NDArray[np.float64]
Arrays = dict[str, NDArray[Any]]


class Update(ABC):
    """The steps of ``n`` trajectories with ``d`` features, whose batches end together.

    For every batch ``begin`` is called before its first row, then ``move`` and ``move_bias``. A
    batch may be begun again: what ``begin`` gives depends on its arguments alone.
    """

    @abstractmethod
    def begin(self, learning_rate: Floats, n_rows: int, scale: Floats) -> Floats:
        """What the derivatives of the batch's rows are multiplied with, before they are summed.

        Parameters
        ----------
        learning_rate
            Of this step, shape (n,); 0 for trajectories that move no more.
        n_rows
            Of the batch.
        scale
            The weights are ``scale * V``; shape (n,).
        """

    @abstractmethod
    def move(self, V: NDArray[Any], scale: Floats, total: NDArray[Any]) -> None:
        """Make the step in place; ``total`` (n, d) is the sum over rows of factor * psi * x."""

    @abstractmethod
    def move_bias(self, bias: Floats, mean_derivative: Floats) -> None:
        """Make the bias's step in place; shapes (n,)."""

    @property
    @abstractmethod
    def arrays(self) -> Arrays:
        """What is remembered from step to step, by name; the arrays themselves."""

    @abstractmethod
    def forget(self, members: NDArray[np.bool_]) -> None:
        """Remember nothing more of some trajectories, which move no more."""


class PlainUpdate(Update):
    """``w -= learning_rate * (gradient + l2 * w)``, with the decay of w in its scale alone.

    With ``decay = 1 - learning_rate * l2`` and ``w = scale * V`` a step is ``scale *= decay`` and
    ``V -= learning_rate / scale * gradient``. Since that factor is known when the batch begins, it
    multiplies the derivatives (a value a row) rather than the gradient (a value a feature).
    """

    def __init__(self, trains: Sequence[Train]) -> None:
        self._decay_rate = column(trains, "l2") + column(trains, "weight_decay")
        self._learning_rate = self._decay = np.empty(0)
        self._next_scale = self._folded_scale = np.empty(0)
        self._is_folded = np.zeros(len(trains), dtype=bool)
        self._folds = False
        # Scales are looked at only when one may have left its limits: none moved further from 1
        # than ``_scale_log``, and a step moves none by more than ``_step_log``. What is done then
        # depends on the scales alone, not on when they were looked at last.
        self._step_log, self._scale_log = 0.0, math.inf

    def begin(self, learning_rate: Floats, n_rows: int, scale: Floats) -> Floats:
        if learning_rate is not self._learning_rate:  # the same array if it is constant
            self._learning_rate = learning_rate
            self._decay = decay(learning_rate, self._decay_rate)
            self._step_log = _largest_log(self._decay)
        self._next_scale = scale * self._decay
        self._scale_log += self._step_log
        self._folds = self._scale_log > LARGEST_LOG - ROUNDING_OF_LOGS
        if self._folds:
            size = np.abs(self._next_scale)
            self._is_folded = (size < SMALLEST_SCALE) | (size > LARGEST_SCALE)
            self._folded_scale = self._next_scale[self._is_folded]
            self._next_scale[self._is_folded] = 1.0
            self._scale_log = _largest_log(self._next_scale)
        factor: Floats = learning_rate / n_rows / self._next_scale
        return factor

    def move(self, V: NDArray[Any], scale: Floats, total: NDArray[Any]) -> None:
        if self._folds:
            V[self._is_folded] *= self._folded_scale.astype(V.dtype)[:, None]
        V -= total
        scale[:] = self._next_scale

    def move_bias(self, bias: Floats, mean_derivative: Floats) -> None:
        bias -= self._learning_rate * mean_derivative

    @property
    def arrays(self) -> Arrays:
        return {}

    def forget(self, members: NDArray[np.bool_]) -> None:
        """There is nothing to forget."""


class AveragingUpdate(Update):
    """Any optimizer, with its averages of past gradients: of the weights and of the bias.

    The averages have shape (n, d), or (n, 1) of the bias. The scale of the weights stays 1.
    """

    def __init__(
        self, optimizer: Optimizer, trains: Sequence[Train], weights: NDArray[Any]
    ) -> None:
        self._optimizer = optimizer
        self._l2 = column(trains, "l2")
        self._weight_decay = column(trains, "weight_decay")
        self._averages = {name: np.zeros_like(weights) for name in optimizer.averages}
        self._bias_averages = {name: np.zeros((len(trains), 1)) for name in optimizer.averages}
        self._n_updates = np.zeros(1, dtype=np.int64)
        self._learning_rate = np.empty(0)

    def begin(self, learning_rate: Floats, n_rows: int, scale: Floats) -> Floats:
        self._learning_rate = learning_rate
        return np.full(len(learning_rate), 1.0 / n_rows)

    def move(self, V: NDArray[Any], scale: Floats, total: NDArray[Any]) -> None:
        self._n_updates += 1
        gradient = total + as_column(self._l2, V) * V
        V *= as_column(decay(self._learning_rate, self._weight_decay), V)
        V -= as_column(self._learning_rate, V) * self._direction(gradient, self._averages)

    def move_bias(self, bias: Floats, mean_derivative: Floats) -> None:
        direction = self._direction(mean_derivative[:, None], self._bias_averages)
        bias -= self._learning_rate * direction[:, 0]

    @property
    def arrays(self) -> Arrays:
        of_bias = {f"bias_{name}": array for name, array in self._bias_averages.items()}
        return {"n_updates": self._n_updates} | self._averages | of_bias

    def forget(self, members: NDArray[np.bool_]) -> None:
        for average in (*self._averages.values(), *self._bias_averages.values()):
            average[members] = 0.0

    def _direction(self, gradient: NDArray[Any], averages: Arrays) -> NDArray[Any]:
        return self._optimizer.direction(gradient, averages, int(self._n_updates[0]))


class LiteralUpdate(AveragingUpdate):
    """The same, with operations in the order of the definition, for numbers of any size.

    Sums are divided by the number of rows, and gradients multiplied with the learning rate, when
    all rows have been added up.
    """

    def begin(self, learning_rate: Floats, n_rows: int, scale: Floats) -> Floats:
        self._learning_rate, self._batch_rows = learning_rate, n_rows
        return np.ones_like(learning_rate)

    def move(self, V: NDArray[Any], scale: Floats, total: NDArray[Any]) -> None:
        stays = self._learning_rate == 0.0  # whatever the gradient is
        weights = V[stays]
        super().move(V, scale, total / self._batch_rows)
        V[stays] = weights


def make_update(trains: Sequence[Train], weights: NDArray[Any], is_literal: bool = False) -> Update:
    """The steps of trajectories that have the same optimizer and these weights, shape (n, d).

    Parameters
    ----------
    is_literal
        Whether they are made in the order of the definition.
    """
    optimizer = optimizer_of(trains)
    if is_literal:
        return LiteralUpdate(optimizer, trains, weights)
    if optimizer.is_plain:
        return PlainUpdate(trains)
    return AveragingUpdate(optimizer, trains, weights)


def decay(learning_rate: Floats, decay_rate: Floats) -> Floats:
    """What a step multiplies the weights with; exactly 1 for trajectories that move no more."""
    return np.where(learning_rate == 0.0, 1.0, 1.0 - learning_rate * decay_rate)


def _largest_log(values: Floats) -> float:
    """The largest distance from 1, on a logarithmic scale; infinite if a value is 0."""
    with np.errstate(divide="ignore"):
        return float(np.abs(np.log(np.abs(values))).max())
