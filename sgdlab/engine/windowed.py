"""Plain SGD on small batches, with the two large products taken once for many batches.

Over a *window* of T rows the weights are ``w = scale * (V - C.T X)``: V from the window's start,
and in C a row of coefficients for every row of X that has had its step. A prediction is then
``scale * (V x_j - sum_i C_i (x_i . x_j))``, so that ``P = X V.T`` and the Gram matrix ``K = X X.T``
are all that is needed of X until the window ends and ``V -= C.T X``. The rows of X are gone through
twice a window instead of twice a batch, and every step is arithmetic on T-sized arrays, in
:mod:`sgdlab.engine.window_steps`. This is the idea of communication-avoiding and s-step methods
(Devarakonda and Demmel 2018, arXiv:1710.08883).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sgdlab.config.model import Train
from sgdlab.engine.direct import DirectKernel
from sgdlab.engine.kernels import Arrays, Kernel, groups
from sgdlab.engine.window_steps import Products, Walk
from sgdlab.optim.updates import SMALLEST_SCALE

PIECE_COLUMNS = 1024  # of V that are updated at once, so that the product stays in the cache


class WindowedKernel(Kernel):
    """The optimizer is ``sgd``; windows of ``window_rows`` rows from the start of every epoch.

    Parameters
    ----------
    window_rows
        A multiple of every batch size: no batch goes on into the next window.
    keeps_products
        Whether Gram matrices are kept from one epoch to the next, all of which have the same rows
        in the same order.
    """

    def __init__(
        self,
        trains: Sequence[Train],
        weights: NDArray[np.float64],
        dtype: DTypeLike,
        window_rows: int,
        keeps_products: bool = False,
    ) -> None:
        super().__init__(trains, weights, dtype)
        self._trains = trains
        self._window_rows = window_rows
        self._keeps_products = keeps_products
        self._walks = [
            (Walk(trains[members], window_rows, self.dtype), members)
            for _, members in groups(trains)
        ]
        self._kept: dict[int, list[Products]] = {}  # by a window's first row
        self._held_rows: NDArray[Any] | None = None
        self._held_targets = np.empty(window_rows, self.dtype)
        self._n_held = 0

    def step(self, rows: NDArray[Any], targets: NDArray[Any]) -> None:
        """Train on the next rows of the epoch, shapes (n, n_features) and (n,), any n."""
        first, n_rows = 0, len(rows)
        while first < n_rows:
            n_missing = min(self._window_rows, self._n_rows - self._position) - self._n_held
            piece = slice(first, min(first + n_missing, n_rows))
            is_complete = piece.stop - piece.start == n_missing
            if is_complete and self._n_held == 0:
                self._train(rows[piece], targets[piece])
            else:
                held = self._hold(rows[piece], targets[piece])
                if is_complete:
                    self._n_held = 0
                    self._train(*held)
            first = piece.stop

    def _hold(self, rows: NDArray[Any], targets: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Keep rows of a window that is not complete; gives all of it that is there."""
        if self._held_rows is None:
            self._held_rows = np.empty((self._window_rows, rows.shape[1]), self.dtype)
        new = slice(self._n_held, self._n_held + len(rows))
        self._held_rows[new], self._held_targets[new] = rows, targets
        self._n_held = new.stop
        return self._held_rows[: new.stop], self._held_targets[: new.stop]

    def _train(self, X: NDArray[Any], y: NDArray[Any]) -> None:
        """Train on the rows of one window."""
        self._fold()
        P = X @ self._V.T
        C, ways = np.empty_like(P), []
        before = {name: array.copy() for name, array in self._arrays_of_steps().items()}
        for (walk, members), products in zip(self._walks, self._products(X), strict=True):
            scale = self._scale[members]
            when = (self._epoch, self._position, self._n_rows)
            predictions = P[:, members] * scale.astype(P.dtype)
            walked = walk.go(when, products, predictions, y, self.bias[members])
            np.divide(walked.coefficients, scale, out=C[:, members], casting="same_kind")
            residuals = walked.residuals
            squares = np.einsum("ij,ij->j", residuals, residuals, dtype=np.float64)
            self.squared_errors[members] += squares
            self._scale[members] *= walked.scale
            ways.append((walk, members, walked))
        lost = self._lost(before["squared_errors"])
        before["V"] = self._V.copy() if len(lost) else self._V
        for walk, members, walked in ways:
            walk.decay(self._V[members], walked)
        for first in range(0, X.shape[1], PIECE_COLUMNS):
            piece = slice(first, first + PIECE_COLUMNS)
            self._V[:, piece] -= C.T @ X[:, piece]
        if len(lost):
            self._train_directly(lost, before, X, y)
        self._position += len(X)

    def _arrays_of_steps(self) -> Arrays:
        """What of the state every window changes, the weights aside."""
        return {"scale": self._scale, "bias": self.bias, "squared_errors": self.squared_errors}

    def _lost(self, squared_errors: NDArray[np.float64]) -> NDArray[np.int64]:
        """The trajectories whose losses were finite before a window and are no more."""
        is_finite = np.isfinite(self.squared_errors)
        if is_finite.all():
            return np.empty(0, np.int64)
        return np.flatnonzero(np.isfinite(squared_errors) & ~is_finite & ~self._is_frozen)

    def _train_directly(
        self, members: NDArray[np.int64], before: Arrays, X: NDArray[Any], y: NDArray[Any]
    ) -> None:
        """Make the steps of some trajectories again, from before the window and one by one.

        Products of rows, and of factors by which weights shrink, may leave the range of their
        numbers although no weights and no predictions do. Where these do, the direct kernel ends
        with what is not finite, too.
        """
        direct = DirectKernel([self._trains[n] for n in members], before["V"][members], self.dtype)
        place = np.array([self._epoch, self._position, self._n_rows])
        state = {name: array[members] for name, array in (super()._arrays() | before).items()}
        direct.restore(direct.state() | state | {"place": place})
        direct.step(X, y)
        ended = direct.state()
        for name in before:
            self._arrays()[name][members] = ended[name]

    def _fold(self) -> None:
        """Multiply small scales into V before a window begins."""
        members = np.abs(self._scale) < SMALLEST_SCALE
        if members.any():
            self._V[members] *= self._scale[members].astype(self.dtype)[:, None]
            self._scale[members] = 1.0

    def _products(self, X: NDArray[Any]) -> list[Products]:
        """For every walk what it needs of the products of a window's rows."""
        if self._position in self._kept:
            return self._kept[self._position]
        K = X @ X.T
        products = [walk.products(K) for walk, _ in self._walks]
        if self._keeps_products:
            self._kept[self._position] = products
        return products

    def _forget(self, members: NDArray[np.bool_]) -> None:
        """Plain SGD remembers nothing of past steps."""

    def _n_waiting(self, state: Mapping[str, NDArray[Any]]) -> int:
        return len(state["held_targets"])

    def _make_room(self, state: Mapping[str, NDArray[Any]]) -> None:
        self._n_held = len(state["held_targets"])
        is_at_start = self._position == self._n_rows or self._position % self._window_rows == 0
        if not is_at_start or self._n_held >= self._window_rows:
            raise ValueError(f"{self._n_held} rows held of a window from {self._position}")
        if self._n_held and self._held_rows is None:
            self._held_rows = np.empty((self._window_rows, self._V.shape[1]), self.dtype)

    def _take_up(self) -> None:
        for walk, members in self._walks:
            walk.stop(self._is_frozen[members])

    def _arrays(self) -> Arrays:
        own = {"held_targets": self._held_targets[: self._n_held]}
        if self._n_held and self._held_rows is not None:
            own["held_rows"] = self._held_rows[: self._n_held]
        return super()._arrays() | own
