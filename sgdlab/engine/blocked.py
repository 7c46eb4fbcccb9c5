"""Plain SGD on small batches, with the two large products taken once for many batches.

Over a *window* of T rows the weights are ``w = scale * (V - C.T X)``: V from the window's start,
and in C a row of coefficients for every row of X that has had its step. A prediction is then
``scale * (V x_j - sum_i C_i (x_i . x_j))``, so that ``P = V X.T`` and the Gram matrix ``K = X X.T``
are all that is needed of X until the window ends and ``V -= C.T X``. The rows of X are gone through
twice a window instead of twice a batch, and every step is arithmetic on T-sized arrays. This is the
idea of communication-avoiding and s-step methods (Devarakonda and Demmel 2018, arXiv:1710.08883).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sgdlab.config import Train, column
from sgdlab.engine.kernels import Kernel, groups
from sgdlab.optim.losses import derivative
from sgdlab.optim.schedules import LearningRates

# The scale shrinks within a window by at least exp(-2 * this); where the decay of a cell might be
# stronger, or near 0, what is held of the window is multiplied by it at every step instead.
LARGEST_DECAY_OF_A_WINDOW = 10.0
LARGEST_DECAY_OF_A_STEP = 0.5


class BlockedKernel(Kernel):
    """The optimizer is ``sgd``; windows of ``window_rows`` rows from the start of every epoch."""

    def __init__(
        self,
        trains: Sequence[Train],
        weights: NDArray[np.float64],
        dtype: DTypeLike,
        window_rows: int,
    ) -> None:
        super().__init__(trains, weights, dtype)
        self._window_rows = window_rows
        self._groups = []
        for _, cells in groups(trains):
            views = (self._V[cells], self._scale[cells], self.bias[cells])
            self._groups.append((_Group(trains[cells], window_rows, *views), cells))
        n_features = self._V.shape[1]
        self._held_rows = np.empty((window_rows, n_features), self.dtype)
        self._held_targets = np.empty(window_rows, self.dtype)
        self._n_held = 0

    def step(self, rows: NDArray[Any], targets: NDArray[Any]) -> None:
        first, n_rows = 0, len(rows)
        while first < n_rows:
            n_missing = min(self._window_rows, self._n_rows - self._position) - self._n_held
            piece = slice(first, min(first + n_missing, n_rows))
            n_new = piece.stop - piece.start
            if n_new == n_missing and self._n_held == 0:
                self._train(rows[piece], targets[piece])
            else:
                self._hold(rows[piece], targets[piece])
                if n_new == n_missing:
                    held = slice(self._n_held)
                    self._n_held = 0
                    self._train(self._held_rows[held], self._held_targets[held])
            first = piece.stop

    def _hold(self, rows: NDArray[Any], targets: NDArray[Any]) -> None:
        """Keep rows of a window that is not complete."""
        held = slice(self._n_held, self._n_held + len(rows))
        self._held_rows[held], self._held_targets[held] = rows, targets
        self._n_held = held.stop

    def _train(self, X: NDArray[Any], y: NDArray[Any]) -> None:
        """Train on the rows of one window."""
        with np.errstate(over="ignore", invalid="ignore"):  # divergence is looked for by the block
            for group, _ in self._groups:
                group.fold()
            P = np.ascontiguousarray((self._V @ X.T).T)
            K = X @ X.T
            C = np.empty_like(P)
            for group, cells in self._groups:
                window = _Window(X, y[:, None], K, P[:, cells], C[:, cells])
                group.walk(window, self._epoch, self._position, self._n_rows)
            self.squared_errors += np.einsum("ij,ij->j", P, P, dtype=np.float64)
            self._V -= C.T @ X
        self._position += len(X)

    def _freeze_groups(self, cells: NDArray[np.bool_]) -> None:
        for group, of_group in self._groups:
            group.freeze(cells[of_group])


@dataclass(frozen=True)
class _Window:
    """What the cells of one batch size see of a window of T rows.

    ``X`` (T, n_features), ``targets`` (T, 1), ``K`` (T, T). ``P`` (T, n) holds predictions from
    the weights at the window's start, and residuals where the walk has been; ``C`` (T, n) the
    coefficients of the rows, filled by the walk.
    """

    X: NDArray[Any]
    targets: NDArray[Any]
    K: NDArray[Any]
    P: NDArray[Any]
    C: NDArray[Any]


class _Group:
    """The cells of one batch size; ``V``, ``scale`` and ``bias`` are views of the kernel's."""

    def __init__(
        self,
        trains: Sequence[Train],
        window_rows: int,
        V: NDArray[Any],
        scale: NDArray[np.float64],
        bias: NDArray[np.float64],
    ) -> None:
        self._loss = trains[0].loss
        self._batch_size = trains[0].batch_size
        self._V, self._scale, self._bias = V, scale, bias
        self._huber_delta = column(trains, "huber_delta").astype(V.dtype)
        self._learning_rates = LearningRates(trains)
        self._decay_rate = column(trains, "l2") + column(trains, "weight_decay")
        self._trains_bias = column(trains, "train_bias")
        self._is_any_bias_trained = bool(self._trains_bias.any())
        strongest = column(trains, "learning_rate") * self._decay_rate
        in_a_window = strongest * (window_rows / self._batch_size + 1)
        self._is_multiplied = (strongest > LARGEST_DECAY_OF_A_STEP) | (
            in_a_window > LARGEST_DECAY_OF_A_WINDOW
        )
        self._is_any_multiplied = bool(self._is_multiplied.any())
        self._n_filled = 0  # rows of the batch so far
        self._carried: NDArray[Any] | None = None  # the step of a batch's rows in earlier windows

    def freeze(self, cells: NDArray[np.bool_]) -> None:
        self._learning_rates.freeze(cells)

    def fold(self) -> None:
        """Multiply the scale into V."""
        if self._n_filled == 0 and (self._scale != 1.0).any():
            self._V *= self._scale.astype(self._V.dtype)[:, None]
            self._scale[:] = 1.0

    def walk(self, window: _Window, epoch: int, position: int, n_rows: int) -> None:
        """Go through the batches of a window that begins at a row of an epoch, counted from 0."""
        start = n_done = 0  # rows behind, and those of them whose batches have ended
        while start < len(window.X):
            if self._n_filled == 0:
                self._begin_batch(epoch, position + start, n_rows)
            stop = min(start + self._batch_rows - self._n_filled, len(window.X))
            self._take_rows(window, slice(start, stop), n_done)
            if self._n_filled == self._batch_rows:
                self._end_batch(window, n_done, stop)
                n_done = stop
            start = stop
        self._carry(window, n_done)

    def _begin_batch(self, epoch: int, position: int, n_rows: int) -> None:
        self._batch_rows = min(self._batch_size, n_rows - position)
        begin, end = epoch + position / n_rows, epoch + (position + self._batch_rows) / n_rows
        learning_rate = self._learning_rates.at(begin, end)
        self._decay = 1.0 - learning_rate * self._decay_rate
        self._rate = learning_rate / self._batch_rows
        self._next_scale = self._scale * self._decay
        if self._is_any_multiplied:
            self._next_scale[self._is_multiplied] = 1.0
        self._factor = (self._rate / self._next_scale).astype(self._V.dtype, copy=False)
        if self._is_any_bias_trained:
            self._bias_derivative = np.zeros(len(self._rate))

    def _take_rows(self, window: _Window, rows: slice, n_done: int) -> None:
        """Residuals and coefficients of some rows of the current batch."""
        residuals, coefficients = window.P[rows], window.C[rows]
        if n_done:
            residuals -= window.K[rows, :n_done] @ window.C[:n_done]
        residuals *= self._scale.astype(residuals.dtype, copy=False)
        residuals += self._bias.astype(residuals.dtype, copy=False)
        residuals -= window.targets[rows]
        derivatives = derivative(self._loss, residuals, self._huber_delta)
        if self._is_any_bias_trained:
            self._bias_derivative += np.add.reduce(derivatives, axis=0, dtype=np.float64)
        np.multiply(derivatives, self._factor, out=coefficients)
        self._n_filled += rows.stop - rows.start

    def _end_batch(self, window: _Window, n_done: int, stop: int) -> None:
        """Make the step; rows before ``n_done`` had theirs, those before ``stop`` have it now."""
        if self._is_any_multiplied:
            self._multiply(window, n_done, stop)
        if self._carried is not None:
            self._V -= self._carried
            window.P[stop:] -= window.X[stop:] @ self._carried.T
            self._carried = None
        self._scale[:] = self._next_scale
        if self._is_any_bias_trained:
            step = self._rate * self._bias_derivative
            np.subtract(self._bias, step, out=self._bias, where=self._trains_bias)
        self._n_filled = 0

    def _multiply(self, window: _Window, n_done: int, stop: int) -> None:
        """The decay of cells whose scale stays 1."""
        cells = self._is_multiplied
        decay = self._decay[cells].astype(self._V.dtype)
        self._V[cells] *= decay[:, None]
        window.P[stop:, cells] *= decay
        window.C[:n_done, cells] *= decay

    def _carry(self, window: _Window, n_done: int) -> None:
        """Take the rows of the batch that has not ended out of the window."""
        if n_done == len(window.X):
            return
        rest = window.C[n_done:].T @ window.X[n_done:]
        self._carried = rest if self._carried is None else self._carried + rest
        window.C[n_done:] = 0.0
