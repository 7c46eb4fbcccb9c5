"""What every kernel is: a stack of cells that see the same rows, trained row after row."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sgdlab.config import Train, column
from sgdlab.engine.products import predictions


class Kernel(ABC):
    """The weights of a stack of cells; every cell makes one step at the end of each of its batches.

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
        Sum over the rows of this epoch so far, each before its own update; complete when all rows
        of the epoch have been handed in.
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

    @abstractmethod
    def step(self, rows: NDArray[Any], targets: NDArray[Any]) -> None:
        """Train on the next rows of the epoch, shapes (n, n_features) and (n,), any n."""

    @abstractmethod
    def _freeze_groups(self, cells: NDArray[np.bool_]) -> None:
        """No more steps of some cells."""

    @np.errstate(over="ignore", invalid="ignore")
    def predict(self, rows: NDArray[Any], cells: slice | NDArray[np.int64]) -> NDArray[Any]:
        """Predictions of some cells, shape (n_chosen_cells, n_rows); infinite ones are no error."""
        found = predictions(self._V[cells], rows)
        found *= self._scale[cells].astype(self.dtype)[:, None]
        found += self.bias[cells].astype(self.dtype)[:, None]
        return found

    def freeze(self, cells: NDArray[np.bool_]) -> None:
        """Set cells to zero for good; their rows stay, so that no product changes its shape."""
        self._V[cells] = 0.0
        self._scale[cells] = 1.0
        self.bias[cells] = 0.0
        self._freeze_groups(cells)


def groups(trains: Sequence[Train]) -> Iterator[tuple[int, slice]]:
    """Every batch size, with the cells that have it."""
    sizes, firsts = np.unique(column(trains, "batch_size"), return_index=True)
    stops = [*firsts[1:].tolist(), len(trains)]
    for size, first, stop in zip(sizes.tolist(), firsts.tolist(), stops, strict=True):
        yield size, slice(first, stop)
