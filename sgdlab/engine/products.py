"""Products of weights and rows, in the shapes that are fast.

Few trajectories spend their time on loading rows, so their rows are taken in pieces that stay in a
processor's cache from the first product to the second. OpenBLAS has routines of its own for small
products, twice as fast where the processor has AVX-512, and for float32 its fast routines are those
that write the predictions of one row beside each other.
"""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

FEW_TRAJECTORIES = 8
CACHED_BYTES = 768 * 1024
SMALL_PRODUCT = 1_000_000  # multiply-adds, at most, of OpenBLAS's routines for small products


def pieces(n_trajectories: int, rows: NDArray[Any]) -> Iterator[slice]:
    """Parts of some rows, shape (n_rows, n_features), that are multiplied at a time."""
    n_rows, step = len(rows), max(1, len(rows))
    if 1 < n_trajectories <= FEW_TRAJECTORIES:
        n_features = rows.shape[1]
        cached = CACHED_BYTES // (n_features * rows.itemsize)
        step = max(1, min(cached, SMALL_PRODUCT // (n_trajectories * n_features)))
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


def empty_predictions(n_trajectories: int, n_rows: int, dtype: DTypeLike) -> NDArray[Any]:
    """Room for predictions, (n_trajectories, n_rows), in the memory order that is fast."""
    order: Literal["C", "F"] = "C"
    if np.dtype(dtype) == np.float32 and n_trajectories > FEW_TRAJECTORIES:
        order = "F"
    return np.empty((n_trajectories, n_rows), dtype, order)


def predictions(weights: NDArray[Any], rows: NDArray[Any]) -> NDArray[Any]:
    """``weights @ rows.T``, shape (n_trajectories, n_rows)."""
    found = empty_predictions(len(weights), len(rows), weights.dtype)
    for piece in pieces(len(weights), rows):
        np.matmul(weights, rows[piece].T, out=found[:, piece])
    return found
