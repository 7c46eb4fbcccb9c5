"""Minibatch SGD as it is defined, for a stack of cells that see the same rows.

The rows of one batch size end their batches at the same places. A *tile* is what lies between two
such places of any cell, so that within a tile no weights change and all cells share two matrix
products: predictions ``V @ rows.T`` and gradients ``derivatives @ rows``.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sgdlab.config import Train, column
from sgdlab.engine.kernels import Kernel, groups
from sgdlab.optim.losses import derivative
from sgdlab.optim.schedules import LearningRates
from sgdlab.optim.updates import make_update


class DirectKernel(Kernel):
    """Two products a tile; any optimizer."""

    def __init__(
        self, trains: Sequence[Train], weights: NDArray[np.float64], dtype: DTypeLike
    ) -> None:
        super().__init__(trains, weights, dtype)
        self._total = np.empty_like(self._V)
        self._huber_delta = column(trains, "huber_delta").astype(self.dtype)[:, None]
        self._groups = [_Group(size, cells, trains[cells]) for size, cells in groups(trains)]

    def step(self, rows: NDArray[Any], targets: NDArray[Any]) -> None:
        """Train on the next rows of the epoch, shapes (n, n_features) and (n,), any n."""
        first = self._position
        with np.errstate(over="ignore", invalid="ignore"):  # divergence is looked for by the block
            for stop in self._tile_ends(len(rows)):
                tile = slice(self._position - first, stop - first)
                self._tile(rows[tile], targets[tile])

    def _freeze_groups(self, cells: NDArray[np.bool_]) -> None:
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
        residuals = self._predict(rows, slice(None))
        residuals -= targets
        self.squared_errors += np.vecdot(residuals, residuals, dtype=np.float64)
        derivatives = derivative(self.loss, residuals, self._huber_delta)
        for group in self._groups:
            group.weigh(derivatives[group.cells])
        np.matmul(derivatives, rows, out=self._total)
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
        self._some_train_bias = bool(self._trains_bias.any())
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
        if self._some_train_bias:
            self._bias_derivative = np.zeros(len(self._factor))
        self._n_tiles = 0

    def weigh(self, derivatives: NDArray[Any]) -> None:
        """Multiply the derivatives of a tile by their factor, once the bias has had its part."""
        if self._some_train_bias:
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
        if self._some_train_bias:
            mean_derivative = np.where(
                self._trains_bias, self._bias_derivative / self._batch_rows, 0.0
            )
            self._update.move_bias(bias[self.cells], mean_derivative)
