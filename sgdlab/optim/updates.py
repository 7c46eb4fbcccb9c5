"""How the gradients of a stack of cells become steps, with the conventions of PyTorch's optimizers.

``l2`` is part of the gradient, and ``weight_decay`` shrinks the weights beside it; neither touches
the bias. Every optimizer is elementwise, so that cells of a stack do not know of each other.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgdlab.config import Train, column

# L2 shrinks the weights w = scale * V by scale alone. Outside these limits the scale is multiplied
# into V, so that dividing by it neither overflows nor loses digits.
SMALLEST_SCALE = 1e-3
LARGEST_SCALE = 1e3
LARGEST_LOG = math.log(LARGEST_SCALE)

Floats = NDArray[np.float64]


class Update(ABC):
    """The steps of some cells whose batches end together; ``n`` cells, ``d`` features.

    For every batch ``begin`` is called before its first row, then ``move`` and ``move_bias``.
    """

    @abstractmethod
    def begin(self, learning_rate: Floats, n_rows: int, scale: Floats) -> Floats:
        """What the derivatives of the batch's rows are multiplied with, before they are summed.

        Parameters
        ----------
        learning_rate
            Of this step, shape (n,).
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

    @abstractmethod
    def freeze(self, cells: NDArray[np.bool_]) -> None:
        """Forget what is remembered of some cells."""


class Sgd(Update):
    """``w -= learning_rate * (gradient + l2 * w)``, with the decay of w in its scale alone.

    With ``decay = 1 - learning_rate * l2`` and ``w = scale * V`` a step is ``scale *= decay`` and
    ``V -= learning_rate / scale * gradient``. Since that factor is known when the batch begins, it
    multiplies the derivatives (a value a row) rather than the gradient (a value a feature).
    """

    def __init__(self, trains: Sequence[Train]) -> None:
        self._decay_rate = column(trains, "l2") + column(trains, "weight_decay")
        self._learning_rate = self._decay = np.empty(0)
        self._step_log = self._scale_log = 0.0  # no scale moved further from 1 than the latter

    def begin(self, learning_rate: Floats, n_rows: int, scale: Floats) -> Floats:
        if learning_rate is not self._learning_rate:  # the same array if it is constant
            self._learning_rate = learning_rate
            self._decay = 1.0 - learning_rate * self._decay_rate
            self._step_log = _largest_log(self._decay)
        self._next_scale = scale * self._decay
        self._scale_log += self._step_log
        self._folds = self._scale_log > LARGEST_LOG
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

    def freeze(self, cells: NDArray[np.bool_]) -> None:
        self._decay_rate[cells] = 0.0
        self._learning_rate = np.empty(0)


class _Remembering(Update):
    """Optimizers that keep averages of past gradients, for the weights and for the bias.

    The averages have shape (n, d), or (n, 1) of the bias. The scale of the weights stays 1.
    """

    n_averages: int

    def __init__(self, trains: Sequence[Train]) -> None:
        self._l2 = column(trains, "l2")
        self._weight_decay = column(trains, "weight_decay")
        self._averages: list[NDArray[Any]] = []
        self._bias_averages = [np.zeros((len(trains), 1)) for _ in range(self.n_averages)]
        self._n_updates = 0

    def begin(self, learning_rate: Floats, n_rows: int, scale: Floats) -> Floats:
        self._learning_rate = learning_rate
        self._n_updates += 1
        return np.full(len(learning_rate), 1.0 / n_rows)

    def move(self, V: NDArray[Any], scale: Floats, total: NDArray[Any]) -> None:
        if not self._averages:
            self._averages = [np.zeros_like(V) for _ in range(self.n_averages)]
        decay = 1.0 - self._learning_rate * self._weight_decay
        gradient = total + _as_column(self._l2, V) * V
        V *= _as_column(decay, V)
        V -= _as_column(self._learning_rate, V) * self._direction(gradient, self._averages)

    def move_bias(self, bias: Floats, mean_derivative: Floats) -> None:
        direction = self._direction(mean_derivative[:, None], self._bias_averages)
        bias -= self._learning_rate * direction[:, 0]

    def freeze(self, cells: NDArray[np.bool_]) -> None:
        for average in (*self._averages, *self._bias_averages):
            average[cells] = 0.0

    @abstractmethod
    def _direction(self, gradient: NDArray[Any], averages: list[NDArray[Any]]) -> NDArray[Any]:
        """What is subtracted, apart from the learning rate; updates the averages in place."""


class Momentum(_Remembering):
    """``v = momentum * v + gradient; w -= learning_rate * v`` (Polyak 1964).

    With ``nesterov`` the step is ``gradient + momentum * v`` (Sutskever et al. 2013, in PyTorch's
    form).
    """

    n_averages = 1

    def __init__(self, trains: Sequence[Train]) -> None:
        super().__init__(trains)
        self._momentum = column(trains, "momentum")
        self._is_nesterov = trains[0].optimizer == "nesterov"

    def _direction(self, gradient: NDArray[Any], averages: list[NDArray[Any]]) -> NDArray[Any]:
        (velocity,) = averages
        momentum = _as_column(self._momentum, gradient)
        velocity *= momentum
        velocity += gradient
        return gradient + momentum * velocity if self._is_nesterov else velocity


class Adam(_Remembering):
    """Gradients over the root of their mean square (Kingma and Ba 2015, arXiv:1412.6980).

    ``weight_decay`` is decoupled from the gradient (Loshchilov and Hutter 2019, arXiv:1711.05101);
    ``l2`` is part of it.
    """

    n_averages = 2

    def __init__(self, trains: Sequence[Train]) -> None:
        super().__init__(trains)
        self._beta1 = column(trains, "beta1")
        self._beta2 = column(trains, "beta2")
        self._epsilon = column(trains, "epsilon")

    def _direction(self, gradient: NDArray[Any], averages: list[NDArray[Any]]) -> NDArray[Any]:
        mean, mean_square = averages
        for average, value, beta in (
            (mean, gradient, self._beta1),
            (mean_square, np.square(gradient), self._beta2),
        ):
            average *= _as_column(beta, gradient)
            average += _as_column(1.0 - beta, gradient) * value
        unbiased = mean / _as_column(1.0 - self._beta1**self._n_updates, gradient)
        root = np.sqrt(mean_square / _as_column(1.0 - self._beta2**self._n_updates, gradient))
        direction: NDArray[Any] = unbiased / (root + _as_column(self._epsilon, gradient))
        return direction


def make_update(trains: Sequence[Train]) -> Update:
    """The steps of cells that have the same optimizer."""
    optimizer = trains[0].optimizer
    if optimizer == "sgd":
        return Sgd(trains)
    return Adam(trains) if optimizer == "adam" else Momentum(trains)


def _largest_log(values: Floats) -> float:
    """Of all distances from 1, on a logarithmic scale; infinite if a value is 0."""
    with np.errstate(divide="ignore"):
        return float(np.abs(np.log(np.abs(values))).max())


def _as_column(values: Floats, like: NDArray[Any]) -> NDArray[Any]:
    return values.astype(like.dtype)[:, None]
