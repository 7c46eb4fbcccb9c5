"""The gradient of every row at fixed weights: what all statements on minibatches start from."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgdlab.config.model import Train
from sgdlab.config.objects import loss_of
from sgdlab.data.constant import is_constant
from sgdlab.data.rows import READ_BYTES, RowSet, rows_in
from sgdlab.system import machine
from sgdlab.uncertainty.rounding import differences

Vector = NDArray[np.float64]

MAX_MATRIX_BYTES = 10**9
MATRICES = 8  # so large at the same time, at most


@dataclass(frozen=True)
class Moments:
    """Mean and variance of the rows' gradients, with divisor n.

    Attributes
    ----------
    gradient : float64 array, shape (n_parameters,)
        Their mean G: the gradient of the objective, L2 included.
    variance : float64 array, shape (n_parameters,)
        The diagonal of their covariance Sigma.
    """

    gradient: Vector
    variance: Vector

    @property
    def trace(self) -> float:
        """tr(Sigma): the mean squared distance of a row's gradient from G."""
        return float(self.variance.sum())

    @property
    def squared_norm(self) -> float:
        """G.G"""
        return float(self.gradient @ self.gradient)


class RowGradients:
    """``g_i = psi(x_i.w + b - y_i) * (x_i, 1) + l2 * (w, 0)``, some rows at a time.

    The last parameter, the bias, is there only if it is trained. Rows that are not held in memory
    are read again in every pass.

    Parameters
    ----------
    rows
        In float64.
    train
        Gives the loss, the L2 and whether the bias is trained.
    weights : float array, shape (n_features,)
    """

    def __init__(self, rows: RowSet, train: Train, weights: NDArray[Any], bias: float) -> None:
        self._rows = rows
        self._train = train
        self._loss = loss_of(train)
        self._bias = bias
        self.weights = weights.astype(np.float64)
        self.n_rows = rows.n_rows
        self.n_parameters = rows.n_features + train.train_bias
        self.l2 = train.l2

    @property
    def has_known_hessian(self) -> bool:
        """Whether it is the mean of x x.T, plus l2: for the squared loss alone."""
        return self._loss.is_linear

    @property
    def has_small_matrices(self) -> bool:
        """Whether a matrix of all parameters is smaller than X, and fits into memory."""
        largest = min(MAX_MATRIX_BYTES, machine.memory_bytes() // MATRICES)
        return 8 * self.n_parameters**2 <= largest and self.n_parameters <= self.n_rows

    @property
    def parameters(self) -> Vector:
        """The weights and, if it is trained, the bias; shape (n_parameters,)."""
        return np.append(self.weights, [self._bias] * self._train.train_bias)

    @property
    def is_penalised(self) -> Vector:
        """1 for weights, 0 for the bias; shape (n_parameters,)."""
        return (np.arange(self.n_parameters) < len(self.weights)).astype(np.float64)

    @property
    def penalty(self) -> Vector:
        """What L2 adds to the gradient of every row: it has no variance."""
        return self.l2 * self.is_penalised * self.parameters

    def chunks(self, chunk_rows: int | None = None) -> Iterator[tuple[Vector, Vector]]:
        """Inputs ``(x_i, 1)``, shape (rows, n_parameters), and derivatives psi, shape (rows,)."""
        for inputs, targets in self.inputs(chunk_rows):
            yield inputs, self.derivatives(inputs, targets)

    def inputs(self, chunk_rows: int | None = None) -> Iterator[tuple[Vector, Vector]]:
        """The same inputs, with their targets."""
        size = chunk_rows or rows_in(READ_BYTES, self.n_parameters)
        for rows, targets in self._rows.chunks(size):
            if self._train.train_bias:
                yield np.column_stack([rows, np.ones(len(rows))]), targets
            else:
                yield rows, targets

    def derivatives(self, inputs: Vector, targets: Vector) -> Vector:
        """psi of rows that may have been changed since they were handed out, shape (rows,)."""
        predictions = inputs[:, : len(self.weights)] @ self.weights + self._bias
        return self._loss.derivative(differences(predictions, targets))

    def moments(self) -> Moments:
        """In two passes, since a mean may be far larger than what rows deviate from it."""
        square = np.zeros(self.n_parameters)
        for deviations in self.deviations():
            square += np.square(deviations, out=deviations).sum(axis=0) / self.n_rows
        # And not what is left of rows that are alike.
        square[is_constant(square, self.mean, self.n_rows)] = 0.0
        return Moments(self.mean + self.penalty, square)

    @cached_property
    def mean(self) -> Vector:
        """Of the rows' gradients, without the penalty; shape (n_parameters,)."""
        total = np.zeros(self.n_parameters)
        for inputs, derivatives in self.chunks():
            total += derivatives @ inputs / self.n_rows
        return total

    def deviations(self, chunk_rows: int | None = None) -> Iterator[Vector]:
        """The rows' gradients minus their mean, shape (rows, n_parameters)."""
        for inputs, derivatives in self.chunks(chunk_rows):
            yield derivatives[:, None] * inputs - self.mean
