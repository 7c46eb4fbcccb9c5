"""Minibatch SGD as it is defined, for a stack of trajectories that see the same rows.

Trajectories of one batch size end their batches at the same rows. A *tile* is what lies between two
such places of any trajectory, so that within a tile no weights change and all trajectories share
two matrix products: predictions ``V @ rows.T`` and gradients ``derivatives @ rows``. For few
trajectories a tile is cut into pieces, and both products are taken of one piece after the other.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sgdlab.config.model import Train
from sgdlab.config.objects import column, loss_of_stack
from sgdlab.engine.kernels import Arrays, Kernel, groups
from sgdlab.engine.products import empty_predictions, pieces
from sgdlab.optim.learning_rates import LearningRates
from sgdlab.optim.updates import make_update


class DirectKernel(Kernel):
    """Two products a tile; any optimizer.

    Parameters
    ----------
    is_literal
        Whether all operations have the order of the definition, as :mod:`sgdlab.optim.extremes`
        asks for.
    """

    def __init__(
        self,
        trains: Sequence[Train],
        weights: NDArray[np.float64],
        dtype: DTypeLike,
        is_literal: bool = False,
    ) -> None:
        super().__init__(trains, weights, dtype)
        self._loss = loss_of_stack(trains, self._put)
        self._total = np.empty_like(self._V)
        self._part = np.empty_like(self._V)  # of it, by one piece
        self._residuals = self._weighed = self._total[:, :0]  # of a tile, (n_trajectories, n_rows)
        self._factor = np.empty((len(trains), 1), self.dtype)  # of derivatives in a batch
        self._bias_derivative = np.zeros(len(trains))  # sum over the rows of a batch so far
        self._is_any_bias_trained = bool(column(trains, "train_bias").any())
        self._groups = [
            _Group(size, members, trains[members], self._V[members], is_literal)
            for size, members in groups(trains)
        ]

    def step(self, rows: NDArray[Any], targets: NDArray[Any]) -> None:
        """Train on the next rows of the epoch, shapes (n, n_features) and (n,), any n."""
        first = self._position
        for stop in self._tile_ends(len(rows)):
            tile = slice(self._position - first, stop - first)
            self._tile(rows[tile], targets[tile])

    def _forget(self, members: NDArray[np.bool_]) -> None:
        for group in self._groups:
            group.forget(members)

    def _make_room(self, state: Mapping[str, NDArray[Any]]) -> None:
        for group in self._groups:
            group.make_room(self._is_inside(group), self._V[group.members])

    def _take_up(self) -> None:
        for group in self._groups:
            group.stop(self._is_frozen)
            if self._is_inside(group):
                self._begin_batch(group, self._position - self._position % group.batch_size)

    def _arrays(self) -> Arrays:
        own = {"bias_derivative": self._bias_derivative}
        for group in self._groups:
            own |= group.arrays()
        return super()._arrays() | own

    def _is_inside(self, group: "_Group") -> bool:
        """Whether a batch of a group is begun and not ended."""
        return self._position % group.batch_size > 0 and self._position < self._n_rows

    def _put(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """One number a trajectory beside residuals of shape (n_trajectories, n_rows)."""
        return numbers.astype(self.dtype)[:, None]

    def _tile_ends(self, n_rows: int) -> list[int]:
        """Where the next rows are cut: where any batch ends, and at their own end."""
        start, stop = self._position, self._position + n_rows
        ends = {stop}
        for group in self._groups:
            size = group.batch_size
            ends.update(range(start - start % size + size, stop, size))
        return sorted(ends)

    def _tile(self, rows: NDArray[Any], targets: NDArray[Any]) -> None:
        for group in self._groups:
            if self._position % group.batch_size == 0:
                self._begin_batch(group, self._position)
                if self._is_any_bias_trained:
                    self._bias_derivative[group.members] = 0.0
        self._multiply(rows, targets)
        self._position += len(rows)
        for group in self._groups:
            is_last = self._position % group.batch_size == 0 or self._position == self._n_rows
            total = group.collect(self._total[group.members], is_last)
            if is_last:
                self._end_batch(group, total)

    def _begin_batch(self, group: "_Group", position: int) -> None:
        """Begin the batch of a group whose first row stands there in the epoch."""
        when = (self._epoch, position, self._n_rows)
        self._factor[group.members, 0] = group.begin_batch(*when, self._scale[group.members])

    def _multiply(self, rows: NDArray[Any], targets: NDArray[Any]) -> None:
        """Both products, into the total of a tile; the losses and the bias have their parts."""
        scale = self._scale.astype(self.dtype)[:, None]
        offset = targets - self.bias.astype(self.dtype)[:, None]
        self._fit_tile(len(rows))
        total = self._total
        for piece in pieces(len(scale), rows):
            some = rows[piece]
            residuals = np.matmul(self._V, some.T, out=self._residuals[:, piece])
            residuals *= scale
            residuals -= offset[:, piece]
            derivatives = self._loss.derivative(residuals)
            derivatives = np.multiply(derivatives, self._factor, out=self._weighed[:, piece])
            np.matmul(derivatives, some, out=total)
            if total is self._part:
                self._total += total
            total = self._part
        self.squared_errors += np.vecdot(self._residuals, self._residuals, dtype=np.float64)
        if self._is_any_bias_trained:
            derivatives = self._loss.derivative(self._residuals)
            self._bias_derivative += derivatives.sum(axis=1, dtype=np.float64)

    def _fit_tile(self, n_rows: int) -> None:
        """Have room for residuals and weighed derivatives; most tiles are as long as the last."""
        if self._residuals.shape[1] != n_rows:
            self._residuals = empty_predictions(len(self._V), n_rows, self.dtype)
            self._weighed = empty_predictions(len(self._V), n_rows, self.dtype)

    def _end_batch(self, group: "_Group", total: NDArray[Any]) -> None:
        members = group.members
        group.move(self._V[members], self._scale[members], total)
        if self._is_any_bias_trained:
            group.move_bias(self.bias[members], self._bias_derivative[members])


class _Group:
    """The trajectories of one batch size, between the beginning and the end of a batch.

    Parameters
    ----------
    weights : float array, shape (n_trajectories, n_features)
        Of the group's trajectories; their shape and dtype alone play a part.
    """

    def __init__(
        self,
        batch_size: int,
        members: slice,
        trains: Sequence[Train],
        weights: NDArray[Any],
        is_literal: bool,
    ) -> None:
        self.batch_size = batch_size
        self.members = members
        self._learning_rates = LearningRates.of_stack(trains)
        self._update = make_update(trains, weights, is_literal)
        self._trains_bias = column(trains, "train_bias")
        self._moves = np.ones(len(trains))  # 0 for trajectories that are frozen
        self._constant_rate = self._learning_rates.base
        self._batch_rows = 0
        self._collected: NDArray[Any] | None = None  # once a batch has had several tiles
        self._is_inside = False  # a batch that has had a tile

    def forget(self, members: NDArray[np.bool_]) -> None:
        """Remember nothing more of some trajectories of the stack."""
        self._update.forget(members[self.members])

    def stop(self, is_frozen: NDArray[np.bool_]) -> None:
        """Let the frozen trajectories of the stack move no more."""
        self._moves = np.where(is_frozen[self.members], 0.0, 1.0)
        self._constant_rate = self._learning_rates.base * self._moves

    def begin_batch(
        self, epoch: int, position: int, n_rows: int, scale: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Look forward to the batch that begins at a row of an epoch, both counted from 0.

        Gives what the derivatives of its rows are multiplied with.
        """
        self._batch_rows = min(self.batch_size, n_rows - position)
        learning_rate = self._constant_rate
        if not self._learning_rates.is_constant:
            begin, end = epoch + position / n_rows, epoch + (position + self._batch_rows) / n_rows
            learning_rate = self._learning_rates.at(begin, end) * self._moves
        return self._update.begin(learning_rate, self._batch_rows, scale)

    def collect(self, total: NDArray[Any], is_last: bool) -> NDArray[Any]:
        """Add a tile's part of the batch, and give all so far; a batch of one tile is that part."""
        is_first, self._is_inside = not self._is_inside, not is_last
        if is_first and is_last:
            return total
        if self._collected is None:
            self._collected = np.empty_like(total)
        if is_first:
            self._collected[:] = total
        else:
            self._collected += total
        return self._collected

    def move(self, V: NDArray[Any], scale: NDArray[np.float64], total: NDArray[Any]) -> None:
        """Make the step, in place."""
        self._update.move(V, scale, total)

    def move_bias(self, bias: NDArray[np.float64], derivative: NDArray[np.float64]) -> None:
        """Make the bias's step, in place; the derivative is a sum over the rows of the batch."""
        mean_derivative = np.where(self._trains_bias, derivative / self._batch_rows, 0.0)
        self._update.move_bias(bias, mean_derivative)

    def arrays(self) -> Arrays:
        """What of the state is the group's own, by name."""
        own = dict(self._update.arrays)
        if self._is_inside and self._collected is not None:
            own["collected"] = self._collected
        return {f"batch_{self.batch_size}.{name}": array for name, array in own.items()}

    def make_room(self, is_inside: bool, weights: NDArray[Any]) -> None:
        """Have an array for what a state has collected of a batch, if it is inside one."""
        self._is_inside = is_inside
        if is_inside and self._collected is None:
            self._collected = np.empty_like(weights)
