"""What every kernel is: a stack of trajectories that see the same rows, trained row after row.

A kernel is made from hyperparameters alone and does not change what it was made from. What training
changes is a state of named arrays, whose values can be put into another kernel that was made in the
same way.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sgdlab.config.model import Train
from sgdlab.config.objects import column
from sgdlab.engine.products import predictions

Arrays = dict[str, NDArray[Any]]


class Place(NamedTuple):
    """An epoch, from 0, how many of its rows have been handed in, and how many it has."""

    epoch: int
    n_seen: int
    n_rows: int


class Kernel(ABC):
    """The weights of a stack of trajectories, which step at the ends of their own batches.

    ``members`` are some trajectories of the stack.

    Parameters
    ----------
    trains
        A trajectory's hyperparameters, by ascending batch size; all have the same loss and
        optimizer.
    weights : float64 array, shape (n_trajectories, n_features)
        At the start.
    dtype
        float64 or float32, of the products and the weights.

    Attributes
    ----------
    bias : float64 array, shape (n_trajectories,)
    squared_errors : float64 array, shape (n_trajectories,)
        Sum over the rows of this epoch so far, a row before its own update; complete when all rows
        of the epoch have been handed in.
    """

    def __init__(
        self, trains: Sequence[Train], weights: NDArray[np.float64], dtype: DTypeLike
    ) -> None:
        self.dtype = np.dtype(dtype)
        self.bias = column(trains, "initial_bias").astype(np.float64)
        self.squared_errors = np.zeros(len(trains))
        self._V = weights.astype(self.dtype)
        self._scale = np.ones(len(trains))  # w = scale * V
        self._is_frozen = np.zeros(len(trains), dtype=bool)
        self._epoch = -1
        self._position = self._n_rows = 0

    @property
    def weights(self) -> NDArray[Any]:
        """``w`` of every trajectory, a new array of shape (n_trajectories, n_features)."""
        weights: NDArray[Any] = self._V * self._scale.astype(self.dtype)[:, None]
        return weights

    def start_epoch(self, n_rows: int) -> None:
        """Begin an epoch of ``n_rows`` rows; no batch goes on into the next one."""
        self._epoch += 1
        self._position, self._n_rows = 0, n_rows
        self.squared_errors[:] = 0.0

    @abstractmethod
    def step(self, rows: NDArray[Any], targets: NDArray[Any]) -> None:
        """Train on the next rows of the epoch, shapes (n, n_features) and (n,), any n."""

    def predict(self, rows: NDArray[Any], members: slice | NDArray[np.int64]) -> NDArray[Any]:
        """Predictions of some trajectories, shape (n_members, n_rows); they may be infinite."""
        found = predictions(self._V[members], rows)
        found *= self._scale[members].astype(self.dtype)[:, None]
        found += self.bias[members].astype(self.dtype)[:, None]
        return found

    def freeze(self, members: NDArray[np.bool_]) -> None:
        """Set trajectories to zero for good; they stay, so that no product changes its shape."""
        self._V[members] = 0.0
        self._scale[members] = 1.0
        self.bias[members] = 0.0
        self._is_frozen |= members
        self._forget(members)
        self._take_up()

    def state(self) -> Arrays:
        """All that training goes on from, by name, whenever no rows are being worked on.

        Also inside an epoch or a batch. These are the arrays themselves: what is to outlast the
        next rows is copied.
        """
        place = np.array([self._epoch, self._position, self._n_rows])
        return self._arrays() | {"place": place}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from where a kernel of the same hyperparameters had this state.

        Raises
        ------
        ValueError
            If an array of it has another shape or dtype than here, or counts below 0.
        KeyError
            If one is not there.
        """
        self._epoch, self._position, self._n_rows = state["place"].tolist()
        self._make_room(state)
        for name, array in self._arrays().items():
            put_back(array, state[name])
        self._take_up()

    def place_of(self, state: Mapping[str, NDArray[Any]]) -> Place:
        """Where in its training a kernel had this state.

        Raises
        ------
        KeyError, ValueError
            If it does not say so.
        """
        check_alike(state["place"], np.int64, (3,))
        epoch, position, n_rows = state["place"].tolist()
        return Place(epoch, position + self._n_waiting(state), n_rows)

    def _n_waiting(self, state: Mapping[str, NDArray[Any]]) -> int:
        """How many rows have been handed in and not been used."""
        return 0

    @abstractmethod
    def _forget(self, members: NDArray[np.bool_]) -> None:
        """Remember nothing more of the past steps of some trajectories."""

    @abstractmethod
    def _make_room(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Have arrays for what is only there inside a batch, after the place has changed."""

    @abstractmethod
    def _take_up(self) -> None:
        """Have what follows from a state that has changed: which trajectories move no more."""

    def _arrays(self) -> Arrays:
        """The arrays of the state themselves, but for the place in the epoch."""
        return {
            "V": self._V,
            "scale": self._scale,
            "bias": self.bias,
            "squared_errors": self.squared_errors,
            "is_frozen": self._is_frozen,
        }


def put_back(array: NDArray[Any], saved: NDArray[Any]) -> None:
    """Copy a saved array into the one that it was copied from, or into one that is alike.

    Integers of a state count something, or say where something is: none is below 0.
    """
    check_alike(saved, array.dtype, array.shape)
    if saved.dtype.kind == "i" and saved.size and saved.min() < 0:
        raise ValueError(f"{saved.min()} in the place of a count")
    array[...] = saved


def check_alike(saved: NDArray[Any], dtype: DTypeLike, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless a saved array has this dtype and shape."""
    if saved.shape != shape or saved.dtype != dtype:
        found = f"{saved.dtype} of shape {saved.shape}"
        raise ValueError(f"{found} in the place of {np.dtype(dtype)} of shape {shape}")


def groups(trains: Sequence[Train]) -> Iterator[tuple[int, slice]]:
    """Every batch size, with the trajectories that have it."""
    sizes, firsts = np.unique(column(trains, "batch_size"), return_index=True)
    stops = [*firsts[1:].tolist(), len(trains)]
    for size, first, stop in zip(sizes.tolist(), firsts.tolist(), stops, strict=True):
        yield size, slice(first, stop)
