"""The arithmetic of minibatch SGD for a stack of cells that see the same rows.

The rows of one batch size end their batches at the same places. A *tile* is what lies between two
such places of any cell, so that within a tile no weights change and all cells share two matrix
products: predictions ``V @ rows.T`` and gradients ``derivatives @ rows``.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sgdlab.config import Train, column
from sgdlab.optim.losses import derivative_in_place
from sgdlab.optim.schedules import LearningRates
from sgdlab.optim.updates import make_update


class DirectKernel:
    """Every cell makes one step at the end of each of its batches.

    Parameters
    ----------
    trains
        Of every cell, by ascending batch size; loss and optimizer are those of all.
    weights : float64 array, shape (n_cells, n_features)
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
        self, trains: Sequence[Train], weights: NDArray[np.float64], dtype: DTypeLike
    ) -> None:
        self.loss = trains[0].loss
        self.dtype = np.dtype(dtype)
        self.bias = column(trains, "initial_bias").astype(np.float64)
        self.squared_errors = np.zeros(len(trains))
        self._V = weights.astype(self.dtype)
        self._scale = np.ones(len(trains))  # w = scale * V
        self._total = np.empty_like(self._V)
        self._huber_delta = column(trains, "huber_delta").astype(self.dtype)[:, None]
        self._groups = list(_groups(trains))
        self._epoch = -1
        self._position = self._n_rows = 0

    @property
    def weights(self) -> NDArray[Any]:
        """``w`` of every cell, a new array of shape (n_cells, n_features)."""
        weights: NDArray[Any] = self._V * self._scale.astype(self.dtype)[:, None]
        return weights

    def start_epoch(self, n_rows: int) -> None:
        """Begin an epoch of ``n_rows`` rows; no batch goes on into the next one."""
        self._epoch += 1
        self._position, self._n_rows = 0, n_rows
        self.squared_errors[:] = 0.0

    def step(self, rows: NDArray[Any], targets: NDArray[Any]) -> None:
        """Train on the next rows of the epoch, shapes (n, n_features) and (n,), any n."""
        first = self._position
        with np.errstate(over="ignore", invalid="ignore"):  # divergence is looked for by the block
            for stop in self._tile_ends(len(rows)):
                tile = slice(self._position - first, stop - first)
                self._tile(rows[tile], targets[tile])

    @np.errstate(over="ignore", invalid="ignore")
    def predict(self, rows: NDArray[Any], cells: slice | NDArray[np.int64]) -> NDArray[Any]:
        """Predictions of some cells, shape (n_chosen_cells, n_rows); infinite ones are no error."""
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
                group.begin_batch(self._epoch, self._position, self._n_rows, self._scale)
        residuals = self.predict(rows, slice(None))
        residuals -= targets
        self.squared_errors += np.einsum("ij,ij->i", residuals, residuals, dtype=np.float64)
        derivative_in_place(self.loss, residuals, self._huber_delta)
        for group in self._groups:
            group.weigh(residuals[group.cells])
        np.matmul(residuals, rows, out=self._total)
        self._position += len(rows)
        for group in self._groups:
            is_last = self._position % group.batch_size == 0 or self._position == self._n_rows
            group.collect(self._total, is_last)
            if is_last:
                group.end_batch(self._V, self._scale, self.bias)


class _Group:
    """The cells of one batch size, between the beginning and the end of a batch."""

    def __init__(self, batch_size: int, cells: slice, trains: Sequence[Train]) -> None:
        self.batch_size = batch_size
        self.cells = cells
        self._learning_rates = LearningRates(trains)
        self._update = make_update(trains)
        self._trains_bias = column(trains, "train_bias")
        self._collected: NDArray[Any] | None = None
        self._total: NDArray[Any]

    def freeze(self, cells: NDArray[np.bool_]) -> None:
        self._learning_rates.freeze(cells)
        self._update.freeze(cells)

    def begin_batch(
        self, epoch: int, position: int, n_rows: int, scale: NDArray[np.float64]
    ) -> None:
        """Look forward to the batch that begins at a row of an epoch, both counted from 0."""
        self._batch_rows = min(self.batch_size, n_rows - position)
        begin, end = epoch + position / n_rows, epoch + (position + self._batch_rows) / n_rows
        learning_rate = self._learning_rates.at(begin, end)
        self._factor = self._update.begin(learning_rate, self._batch_rows, scale[self.cells])
        self._bias_derivative = np.zeros(len(self._factor))
        self._n_tiles = 0

    def weigh(self, derivatives: NDArray[Any]) -> None:
        """Multiply the derivatives of a tile by their factor, once the bias has had its part."""
        if self._trains_bias.any():
            self._bias_derivative += derivatives.sum(axis=1, dtype=np.float64)
        derivatives *= self._factor.astype(derivatives.dtype)[:, None]

    def collect(self, totals: NDArray[Any], is_last: bool) -> None:
        """Add a tile's part of the batch; the only part of a batch is used where it is."""
        total = totals[self.cells]
        if self._n_tiles > 0:
            self._total += total
        elif is_last:
            self._total = total
        else:
            if self._collected is None:
                self._collected = np.empty_like(total)
            self._collected[:] = total
            self._total = self._collected
        self._n_tiles += 1

    def end_batch(
        self, V: NDArray[Any], scale: NDArray[np.float64], bias: NDArray[np.float64]
    ) -> None:
        """Make the step, in place."""
        self._update.move(V[self.cells], scale[self.cells], self._total)
        if self._trains_bias.any():
            mean_derivative = np.where(
                self._trains_bias, self._bias_derivative / self._batch_rows, 0.0
            )
            self._update.move_bias(bias[self.cells], mean_derivative)


def _groups(trains: Sequence[Train]) -> Iterator[_Group]:
    sizes, firsts = np.unique(column(trains, "batch_size"), return_index=True)
    stops = [*firsts[1:].tolist(), len(trains)]
    for size, first, stop in zip(sizes.tolist(), firsts.tolist(), stops, strict=True):
        yield _Group(size, slice(first, stop), trains[first:stop])
