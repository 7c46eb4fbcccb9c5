"""What the batches of a window do: their learning rates, and how far L2 shrinks the weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sgdlab.config.model import Train
from sgdlab.config.objects import column
from sgdlab.optim.learning_rates import LearningRates
from sgdlab.optim.updates import decay

# The scale shrinks within a window by at least exp(-2 * this); where the decay of a trajectory
# might be stronger, or near 0, what is held of the window is multiplied by it at every step
# instead.
LARGEST_DECAY_OF_A_WINDOW = 10.0
LARGEST_DECAY_OF_A_STEP = 0.5

When = tuple[int, int, int]  # epoch and row of the epoch, from 0, and the rows of the epoch


@dataclass(frozen=True)
class Rates:
    """For the batches of a window of T rows; most shapes are (n_batches, n_trajectories).

    Attributes
    ----------
    minus_scale
        The scale where a batch begins, negative.
    factor
        What derivatives are multiplied with to become coefficients.
    bias
        What the sum of a batch's derivatives is multiplied with in the step of the bias.
    decay : (n_batches, n_multiplied)
        For the trajectories whose scale stays 1.
    minus_scale_of_rows, factor_of_rows : (T, n_trajectories)
        The same for every row of the window.
    end : (n_trajectories,)
        The scale at the end.
    linear : (n_trajectories,)
        f of the linear system, where there is one.
    """

    minus_scale: NDArray[Any]
    factor: NDArray[Any]
    bias: NDArray[np.float64]
    decay: NDArray[Any]
    minus_scale_of_rows: NDArray[Any]
    factor_of_rows: NDArray[Any]
    end: NDArray[np.float64]
    linear: NDArray[np.float64]


class WindowRates:
    """The rates of one window after the other, for the trajectories of one batch size.

    Attributes
    ----------
    is_multiplied : bool array, shape (n_trajectories,)
        Whose scale stays 1.
    is_constant
        Whether all windows of equal length have the same rates.
    learning_rate : float64 array, shape (n_trajectories,)
        As it is where that is so; 0 of trajectories that are frozen.
    """

    def __init__(self, trains: Sequence[Train], window_rows: int, dtype: DTypeLike) -> None:
        self._window_rows = window_rows
        self._batch_size = trains[0].batch_size
        self._dtype = dtype
        self._learning_rates = LearningRates.of_stack(trains)
        self._decay_rate = column(trains, "l2") + column(trains, "weight_decay")
        self._trains_bias = column(trains, "train_bias")
        self._moves = np.ones(len(trains))  # 0 for trajectories that are frozen
        self._kept: Rates | None = None  # of a whole window, where they are constant
        strongest = column(trains, "learning_rate") * self._decay_rate
        in_a_window = strongest * window_rows / self._batch_size
        self.is_multiplied = (strongest > LARGEST_DECAY_OF_A_STEP) | (
            in_a_window > LARGEST_DECAY_OF_A_WINDOW
        )
        self.is_constant = self._learning_rates.is_constant
        self.learning_rate = column(trains, "learning_rate").astype(np.float64)

    def stop(self, is_frozen: NDArray[np.bool_]) -> None:
        """Let frozen trajectories move no more."""
        self._moves = np.where(is_frozen, 0.0, 1.0)
        self.learning_rate[is_frozen] = 0.0
        self._kept = None

    def of_window(self, when: When, n_rows: int) -> Rates:
        """The rates of the batches in the next rows."""
        is_usual = self.is_constant and n_rows == self._window_rows
        if is_usual and self._kept is not None:
            return self._kept
        batch_rows = np.full(-(-n_rows // self._batch_size), self._batch_size)
        batch_rows[-1] = n_rows - batch_rows[:-1].sum()
        rates = self._new(self._learning_rates_at(when, batch_rows), batch_rows)
        if is_usual:
            self._kept = rates
        return rates

    def _new(self, learning_rate: NDArray[np.float64], batch_rows: NDArray[np.int64]) -> Rates:
        rate = learning_rate / batch_rows[:, None]
        shrunk = decay(learning_rate, self._decay_rate)
        after = np.cumprod(np.where(self.is_multiplied, 1.0, shrunk), axis=0)
        before = np.concatenate([np.ones((1, len(self._decay_rate))), after[:-1]])
        return Rates(
            minus_scale=-before.astype(self._dtype),
            factor=(rate / after).astype(self._dtype),
            bias=rate * self._trains_bias,
            decay=shrunk[:, self.is_multiplied].astype(self._dtype),
            minus_scale_of_rows=np.repeat(-before, batch_rows, axis=0).astype(self._dtype),
            factor_of_rows=np.repeat(rate / after, batch_rows, axis=0).astype(self._dtype),
            end=after[-1],
            linear=rate[0] / after[0],
        )

    def _learning_rates_at(self, when: When, batch_rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Shape (n_batches, n_trajectories)."""
        epoch, position, n_rows = when
        ends = position + np.cumsum(batch_rows)[:, None]
        begins = ends - batch_rows[:, None]
        rates = self._learning_rates.at(epoch + begins / n_rows, epoch + ends / n_rows)
        return np.broadcast_to(rates * self._moves, (len(batch_rows), len(self._decay_rate)))
