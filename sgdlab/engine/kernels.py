"""The arithmetic of minibatch SGD for a stack of cells that see the same rows.

The rows of one batch size end their batches at the same places. A *tile* is what lies between two
such places of any cell, so that within a tile no weights change and all cells share two matrix
products: predictions ``V @ rows.T`` and gradients ``derivatives @ rows``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sgdlab.optim.losses import derivative_in_place

# L2 shrinks the weights w = scale * V by scale alone. Outside these limits the scale is multiplied
# into V, so that dividing by it neither overflows nor loses digits.
SMALLEST_SCALE = 1e-3
LARGEST_SCALE = 1e3


@dataclass(frozen=True)
class Hyperparameters:
    """One value a cell for everything that may differ within a stack, each of shape (n_cells,)."""

    batch_size: NDArray[np.int64]  # ascending
    learning_rate: NDArray[np.float64]
    l2: NDArray[np.float64]
    train_bias: NDArray[np.bool_]
    huber_delta: NDArray[np.float64]


class DirectKernel:
    """Plain SGD: every cell makes one step at the end of each of its batches.

    Parameters
    ----------
    loss
        ``squared``, ``absolute`` or ``huber``.
    weights : float64 array, shape (n_cells, n_features)
        At the start.
    bias : float64 array, shape (n_cells,)
        At the start.
    dtype
        float64 or float32, of the products and the weights.

    Attributes
    ----------
    bias : float64 array, shape (n_cells,)
    squared_errors : float64 array, shape (n_cells,)
        Sum over the rows of this epoch so far, each before its own update.
    """

    def __init__(
        self,
        loss: str,
        hyperparameters: Hyperparameters,
        weights: NDArray[np.float64],
        bias: NDArray[np.float64],
        dtype: DTypeLike,
    ) -> None:
        self.loss = loss
        self.dtype = np.dtype(dtype)
        self.bias = bias.astype(np.float64)
        self.squared_errors = np.zeros(len(bias))
        self._V = weights.astype(self.dtype)
        self._scale = np.ones(len(bias))  # w = scale * V
        self._gradient = np.empty_like(self._V)
        self._huber_delta = hyperparameters.huber_delta.astype(self.dtype)[:, None]
        self._groups = list(_groups(hyperparameters))
        self._position = self._n_rows = 0

    @property
    def weights(self) -> NDArray[Any]:
        """``w`` of every cell, a new array of shape (n_cells, n_features)."""
        weights: NDArray[Any] = self._V * self._scale.astype(self.dtype)[:, None]
        return weights

    def start_epoch(self, n_rows: int) -> None:
        """Begin an epoch of ``n_rows`` rows; no batch goes on into the next one."""
        self._position, self._n_rows = 0, n_rows
        self.squared_errors[:] = 0.0

    def step(self, rows: NDArray[Any], targets: NDArray[Any]) -> None:
        """Train on the next rows of the epoch, shapes (n, n_features) and (n,), any n."""
        first = self._position
        with np.errstate(over="ignore", invalid="ignore"):  # divergence is looked for by the block
            for stop in self._tile_ends(len(rows)):
                tile = slice(self._position - first, stop - first)
                self._tile(rows[tile], targets[tile])

    def predict(self, rows: NDArray[Any], cells: slice | NDArray[np.int64]) -> NDArray[Any]:
        """Predictions of some cells, shape (n_chosen_cells, n_rows)."""
        predictions: NDArray[Any] = self._V[cells] @ rows.T
        predictions *= self._scale[cells].astype(self.dtype)[:, None]
        predictions += self.bias[cells].astype(self.dtype)[:, None]
        return predictions

    def freeze(self, cells: NDArray[np.bool_]) -> None:
        """Set cells to zero for good; their rows stay, so that no product changes its shape."""
        self._V[cells] = 0.0
        self._scale[cells] = 1.0
        self.bias[cells] = 0.0
        for group in self._groups:
            group.freeze(cells[group.cells])

    def _tile_ends(self, n_rows: int) -> list[int]:
        """Where the next rows are cut: at the end of any cell's batch, and at their own end."""
        start, stop = self._position, self._position + n_rows
        ends = {stop}
        for group in self._groups:
            size = group.batch_size
            ends.update(range(start - start % size + size, stop, size))
        return sorted(ends)

    def _tile(self, rows: NDArray[Any], targets: NDArray[Any]) -> None:
        for group in self._groups:
            if self._position % group.batch_size == 0:
                group.begin_batch(self._scale, self._n_rows - self._position)
        residuals = self.predict(rows, slice(None))
        residuals -= targets
        self.squared_errors += np.einsum("ij,ij->i", residuals, residuals, dtype=np.float64)
        derivative_in_place(self.loss, residuals, self._huber_delta)
        for group in self._groups:
            group.weigh(residuals[group.cells])
        np.matmul(residuals, rows, out=self._gradient)
        self._position += len(rows)
        for group in self._groups:
            is_last = self._position % group.batch_size == 0 or self._position == self._n_rows
            group.collect(self._gradient, is_last)
            if is_last:
                group.end_batch(self._V, self._scale, self.bias)


class _Group:
    """The cells of one batch size, between the beginning and the end of a batch.

    A step is ``w = decay * w - rate * X.T psi``, where ``decay = 1 - learning_rate * l2`` and
    ``rate = learning_rate / m``. With ``w = scale * V`` it becomes ``scale *= decay`` and
    ``V -= (rate / scale) * X.T psi``. Since ``rate / scale`` is known when the batch begins, it
    multiplies the derivatives psi (a value a row) rather than the gradient (a value a feature).
    """

    def __init__(self, batch_size: int, cells: slice, hyperparameters: Hyperparameters) -> None:
        self.batch_size = batch_size
        self.cells = cells
        self._learning_rate = hyperparameters.learning_rate[cells].copy()
        self._decay = 1.0 - self._learning_rate * hyperparameters.l2[cells]
        self._trains_bias = hyperparameters.train_bias[cells]
        self._collected: NDArray[Any] | None = None
        self._step: NDArray[Any]

    def freeze(self, cells: NDArray[np.bool_]) -> None:
        self._learning_rate[cells] = 0.0
        self._decay[cells] = 1.0

    def begin_batch(self, scale: NDArray[np.float64], rows_left: int) -> None:
        self._rate = self._learning_rate / min(self.batch_size, rows_left)
        self._next_scale = scale[self.cells] * self._decay
        size = np.abs(self._next_scale)
        self._is_folded = (size < SMALLEST_SCALE) | (size > LARGEST_SCALE)
        self._folded_scale = self._next_scale[self._is_folded]
        self._next_scale[self._is_folded] = 1.0
        self._bias_derivative = np.zeros(len(self._rate))
        self._n_tiles = 0

    def weigh(self, derivatives: NDArray[Any]) -> None:
        """Multiply the derivatives of a tile by the step size, once the bias has had its part."""
        if self._trains_bias.any():
            self._bias_derivative += derivatives.sum(axis=1, dtype=np.float64)
        derivatives *= (self._rate / self._next_scale).astype(derivatives.dtype)[:, None]

    def collect(self, gradients: NDArray[Any], is_last: bool) -> None:
        """Add a tile's part of the step; the only part of a batch is used where it is."""
        gradient = gradients[self.cells]
        if self._n_tiles > 0:
            self._step += gradient
        elif is_last:
            self._step = gradient
        else:
            if self._collected is None:
                self._collected = np.empty_like(gradient)
            self._collected[:] = gradient
            self._step = self._collected
        self._n_tiles += 1

    def end_batch(
        self, V: NDArray[Any], scale: NDArray[np.float64], bias: NDArray[np.float64]
    ) -> None:
        """Make the step, in place."""
        V = V[self.cells]
        if self._is_folded.any():
            V[self._is_folded] *= self._folded_scale.astype(V.dtype)[:, None]
        V -= self._step
        scale[self.cells] = self._next_scale
        step = self._rate * self._bias_derivative
        bias[self.cells] -= np.where(self._trains_bias, step, 0.0)


def _groups(hyperparameters: Hyperparameters) -> Iterator[_Group]:
    sizes, firsts = np.unique(hyperparameters.batch_size, return_index=True)
    stops = [*firsts[1:].tolist(), len(hyperparameters.batch_size)]
    for size, first, stop in zip(sizes.tolist(), firsts.tolist(), stops, strict=True):
        yield _Group(size, slice(first, stop), hyperparameters)
