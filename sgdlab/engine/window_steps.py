"""The steps of small batches inside a window, in arrays with one row for every row of the window.

For the trajectories of one batch size, with the scale 1 at the window's start, ``state`` holds in
the rows of batches that had their step their coefficients C, and in all others ``-(P + (b - y) /
scale)``: predictions P from the weights at the window's start, and what residuals have beside them.
With the Gram matrix of the rows, in which the identity stands for each batch's own rows, the
product ``earlier @ state`` is then ``-residuals / scale`` of a batch. To keep its rows short, a
*piece* of several batches is brought up to date with all that is before it at once.

For the squared loss all residuals r of a piece follow from one linear system ``(I + f N) r = p``.
N, the products with rows of earlier batches, is the same for all trajectories, and some power of it
is 0, so that the inverse is exactly ``(I - f N) (I + (f N)^2) (I + (f N)^4) ...`` with few factors.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sgdlab.config.model import Train
from sgdlab.config.objects import column, loss_of_stack
from sgdlab.engine.window_rates import Rates, When, WindowRates
from sgdlab.planning.memory import PIECE_ROWS

# The factors of the inverse may grow so much larger than the inverse, which costs as many digits.
# Where they might, a trajectory makes its steps one by one, whatever the others do.
LARGEST_GROWTH = 100.0


class _Batch(NamedTuple):
    """One batch of a window: its rows, and views of the walk's arrays."""

    start: int
    rows: int | slice
    known: slice  # rows of its piece up to its own last
    state: NDArray[Any]  # of those
    residuals: NDArray[Any]
    coefficients: NDArray[Any]


_Pieces = list[tuple[slice, list[_Batch]]]


@dataclass(frozen=True)
class Products:
    """Products of a window's rows with each other.

    Attributes
    ----------
    earlier : float array, shape (T, T)
        With the rows of earlier batches; the identity in each batch, 0 in later ones.
    powers : list of lists of float arrays
        For every piece N, N^2, N^4 and so on; empty where all make their steps one by one.
    unit
        Of N in the powers: the largest product of two rows.
    """

    earlier: NDArray[Any]
    powers: list[list[NDArray[Any]]]
    unit: float


@dataclass(slots=True)
class _Window:
    """A window that is being walked through.

    ``offset`` (T, n_trajectories) is what residuals have beside predictions, over the scale;
    ``bias_change`` (n_trajectories,) what the bias has moved by since the window's start.
    """

    rates: Rates
    offset: NDArray[Any]
    bias_change: NDArray[np.float64]


@dataclass(frozen=True)
class Walked:
    """What came of a window; the arrays hold it until the next one.

    Attributes
    ----------
    coefficients : float array, shape (T, n_trajectories)
        C at the window's end.
    residuals : float array, shape (T, n_trajectories)
        Of its rows, a row before its own update.
    scale : float64 array, shape (n_trajectories,)
        What the scale has shrunk to.
    decay : float array, shape (n_multiplied,)
        What the weights of the trajectories whose scale stayed 1 are to be multiplied with.
    """

    coefficients: NDArray[Any]
    residuals: NDArray[Any]
    scale: NDArray[np.float64]
    decay: NDArray[Any]


class Walk:
    """Through one window after the other, for the trajectories of one batch size."""

    def __init__(self, trains: Sequence[Train], window_rows: int, dtype: DTypeLike) -> None:
        self._loss = loss_of_stack(trains, lambda numbers: numbers.astype(dtype))
        self._batch_size = trains[0].batch_size
        self._rates = WindowRates(trains, window_rows, dtype)
        self._is_any_bias_trained = bool(column(trains, "train_bias").any())
        self._is_multiplied = self._rates.is_multiplied
        self._is_any_multiplied = bool(self._is_multiplied.any())
        # Whether one linear system has all steps of a piece: nothing but the coefficients changes.
        changes_more = self._is_any_bias_trained or self._is_any_multiplied
        self._is_linear = self._loss.is_linear and self._rates.is_constant and not changes_more
        self._state = np.empty((window_rows, len(trains)), dtype)
        self._residuals = np.empty_like(self._state)
        self._piece_rows = self._batch_size * max(1, PIECE_ROWS // self._batch_size)
        batch = np.arange(window_rows) // self._batch_size
        self._is_earlier = batch[:, None] > batch
        self._whole_window = self._pieces(window_rows)

    def stop(self, is_frozen: NDArray[np.bool_]) -> None:
        """Let frozen trajectories move no more."""
        self._rates.stop(is_frozen)

    def products(self, K: NDArray[Any]) -> Products:
        """What ``go`` needs of the Gram matrix of a window, shape (T, T)."""
        n = len(K)
        is_earlier = self._is_earlier[:n, :n]
        powers, unit = [], float(np.abs(K).max()) or 1.0
        if self._is_linear and self._is_solved(unit).any():
            N = np.where(is_earlier, K, 0) / unit
            pieces = self._pieces_of(n)
            powers = [_powers(N[piece, piece], len(batches)) for piece, batches in pieces]
        return Products(np.where(is_earlier, K, np.eye(n, dtype=K.dtype)), powers, unit)

    def _is_solved(self, unit: float) -> NDArray[np.bool_]:
        """Which trajectories have all steps of a piece from one linear system."""
        n_batches = self._piece_rows // self._batch_size
        growth = (1.0 + self._rates.learning_rate * unit) ** n_batches
        is_small: NDArray[np.bool_] = growth <= LARGEST_GROWTH
        return is_small

    def go(
        self,
        when: When,
        products: Products,
        P: NDArray[Any],
        targets: NDArray[Any],
        bias: NDArray[np.float64],
    ) -> Walked:
        """Make all steps of a window.

        Parameters
        ----------
        products
            From :meth:`products`.
        P : float array, shape (T, n_trajectories)
            Predictions without bias.
        targets : float array, shape (T,)
        bias : float64 array, shape (n_trajectories,)
            Changed in place.
        """
        n, state, earlier = len(P), self._state[: len(P)], products.earlier
        rates = self._rates.of_window(when, n)
        offset = (targets[:, None] - bias.astype(P.dtype)) / rates.minus_scale_of_rows
        window = _Window(rates, offset, np.zeros(len(bias)))
        np.negative(P + offset, out=state)
        gain = (-products.unit * rates.linear).astype(P.dtype)
        is_solved = self._is_solved(products.unit) & bool(products.powers)
        for number, (piece, batches) in enumerate(self._pieces_of(n)):
            state[piece] += earlier[piece, : piece.start] @ state[: piece.start]
            if not is_solved.any():
                self._step_by_step(batches, earlier, window)
                continue
            begun = None if is_solved.all() else state[piece].copy()
            self._solve(piece, products.powers[number], gain, rates)
            if begun is not None:
                solved = state[piece].copy(), self._residuals[piece].copy()
                state[piece] = begun
                self._step_by_step(batches, earlier, window)
                for array, found in zip((state, self._residuals), solved, strict=True):
                    np.copyto(array[piece], found, where=is_solved)
        bias += window.bias_change
        return Walked(state, self._residuals[:n], rates.end, rates.decay.prod(axis=0))

    def decay(self, V: NDArray[Any], walked: Walked) -> None:
        """Multiply the weights of the trajectories whose scale stayed 1, in place."""
        if self._is_any_multiplied:
            V[self._is_multiplied] *= walked.decay[:, None]

    def _solve(
        self, piece: slice, powers: Sequence[NDArray[Any]], gain: NDArray[Any], rates: Rates
    ) -> None:
        """All steps of a piece at once; ``gain`` is -f in the unit of the powers."""
        rows = self._state[piece]
        for power in powers:
            rows += power @ (rows * gain)
            gain = np.square(gain)
        np.multiply(rows, rates.minus_scale_of_rows[piece], out=self._residuals[piece])
        np.multiply(self._residuals[piece], rates.factor_of_rows[piece], out=rows)

    def _step_by_step(
        self, batches: Sequence[_Batch], earlier: NDArray[Any], window: _Window
    ) -> None:
        """All steps of a piece one after the other."""
        for k, batch in enumerate(batches, batches[0].start // self._batch_size):
            np.dot(earlier[batch.rows, batch.known], batch.state, out=batch.residuals)
            self._step(k, batch, window)

    def _step(self, k: int, batch: _Batch, window: _Window) -> None:
        """The step of batch k, whose residuals are there but for scale and change of bias."""
        residuals = batch.residuals
        residuals *= window.rates.minus_scale[k]
        if self._is_any_bias_trained:
            residuals += window.bias_change
        derivatives = self._loss.derivative(residuals)
        np.multiply(derivatives, window.rates.factor[k], out=batch.coefficients)
        if self._is_any_bias_trained:
            if self._batch_size > 1:
                derivatives = np.add.reduce(derivatives, axis=0, dtype=np.float64)
            window.bias_change -= window.rates.bias[k] * derivatives
        if self._is_any_multiplied:
            self._multiply(k, slice(batch.start), slice(batch.known.stop, None), window)

    def _multiply(self, k: int, earlier: slice, later: slice, window: _Window) -> None:
        """The decay of those whose scale stays 1: of earlier rows' coefficients, and of P."""
        members, shrunk = self._is_multiplied, window.rates.decay[k]
        state, offset = self._state[: len(window.offset)], window.offset
        state[earlier, members] *= shrunk
        state[later, members] *= shrunk
        state[later, members] -= (1 - shrunk) * offset[later, members]

    def _pieces_of(self, n_rows: int) -> _Pieces:
        """How a window of so many rows is cut."""
        return self._whole_window if n_rows == len(self._state) else self._pieces(n_rows)

    def _pieces(self, n_rows: int) -> _Pieces:
        pieces = []
        for first in range(0, n_rows, self._piece_rows):
            piece = slice(first, min(first + self._piece_rows, n_rows))
            starts = range(first, piece.stop, self._batch_size)
            pieces.append((piece, [self._batch(first, start, piece.stop) for start in starts]))
        return pieces

    def _batch(self, first: int, start: int, last: int) -> _Batch:
        known = slice(first, min(start + self._batch_size, last))
        rows = start if self._batch_size == 1 else slice(start, known.stop)  # one row is a vector
        views = (self._state[known], self._residuals[rows], self._state[rows])
        return _Batch(start, rows, known, *views)


def _powers(N: NDArray[Any], n_batches: int) -> list[NDArray[Any]]:
    """``N, N^2, N^4, ...`` as long as they are not 0 for so many batches."""
    powers: list[NDArray[Any]] = []
    while 2 ** len(powers) < n_batches:
        powers.append(powers[-1] @ powers[-1] if powers else np.ascontiguousarray(N))
    return powers
