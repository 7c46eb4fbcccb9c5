"""Errors of predictions, summed over chunks of rows in float64."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgdlab.data.rows import Chunk


class ErrorSums:
    """Squared and absolute errors of some models on the rows seen so far.

    Both results have shape (n_models,): ``half_mse`` in squared target units, ``mae`` in target
    units. They are infinite or NaN where predictions were, and NaN if there were no rows.
    """

    def __init__(self, n_models: int) -> None:
        self._squared = np.zeros(n_models)
        self._absolute = np.zeros(n_models)
        self._n_rows = 0

    def add(self, predictions: NDArray[Any], targets: NDArray[Any]) -> None:
        """Count some rows; ``predictions`` of shape (n_models, n_rows) is overwritten."""
        with np.errstate(over="ignore", invalid="ignore"):
            predictions -= targets
            self._squared += np.vecdot(predictions, predictions, dtype=np.float64)
            np.abs(predictions, out=predictions)
            self._absolute += predictions.sum(axis=1, dtype=np.float64)
        self._n_rows += len(targets)

    @property
    def half_mse(self) -> NDArray[np.float64]:
        return self._mean(self._squared / 2)

    @property
    def mae(self) -> NDArray[np.float64]:
        return self._mean(self._absolute)

    def _mean(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        return sums / self._n_rows if self._n_rows else np.full_like(sums, np.nan)


@np.errstate(over="ignore", invalid="ignore")
def prediction_errors(
    weights: NDArray[Any], bias: NDArray[np.float64], chunks: Iterable[Chunk]
) -> NDArray[np.float64]:
    """``weights @ x + bias - y`` for all rows, shape (n_models, n_rows).

    ``weights`` has shape (n_models, n_features), ``bias`` (n_models,). Where predictions are
    infinite or NaN, so are their errors.
    """
    pieces = [
        (weights @ rows.T).astype(np.float64) + bias[:, None] - targets for rows, targets in chunks
    ]
    return np.concatenate(pieces, axis=1)
