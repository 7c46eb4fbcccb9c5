"""One step of subgradient descent on the mean absolute error."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgdlab.data.rows import Chunk


@dataclass(frozen=True)
class MaeStep:
    """The subgradient of mean|x.w + b - y| at some weights, and the bias after one step.

    Attributes
    ----------
    n_above, n_below
        Rows whose prediction is above or below the target; the others are met exactly.
    bias_subgradient
        ``(n_above - n_below) / n_rows``.
    weights_subgradient : float64 array, shape (n_features,)
        ``sum(sign(x.w + b - y) * x) / n_rows``.
    bias, bias_after
        Before and after ``b -= learning_rate * bias_subgradient``.
    """

    n_rows: int
    n_above: int
    n_below: int
    bias_subgradient: float
    weights_subgradient: NDArray[np.float64]
    learning_rate: float
    bias: float
    bias_after: float


def mae_step(
    weights: NDArray[Any], bias: float, chunks: Iterable[Chunk], learning_rate: float
) -> MaeStep:
    """The subgradient at ``weights`` (n_features,) and ``bias``; sign(0) is taken as 0."""
    n_rows = n_above = n_below = 0
    total = np.zeros(len(weights))
    for rows, targets in chunks:
        rows = rows.astype(np.float64, copy=False)
        signs = np.sign(rows @ weights + bias - targets)
        n_rows += len(signs)
        n_above += int(np.count_nonzero(signs > 0))
        n_below += int(np.count_nonzero(signs < 0))
        total += signs @ rows
    subgradient = (n_above - n_below) / n_rows
    return MaeStep(
        n_rows=n_rows,
        n_above=n_above,
        n_below=n_below,
        bias_subgradient=subgradient,
        weights_subgradient=total / n_rows,
        learning_rate=learning_rate,
        bias=bias,
        bias_after=bias - learning_rate * subgradient,
    )
