"""One step of subgradient descent on the mean absolute error."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgdlab.data.rows import Chunk

# Powers of two, which round nothing: one more than rows are ever added up, and one that leaves room
# for products of rows and weights.
HEADROOM, FAR_BEYOND = 40, 1000


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
    """The subgradient at ``weights`` (n_features,) and ``bias``; sign(0) is taken as 0.

    Sums and residuals may be beyond float64, but their signs and the mean are not.
    """
    n_rows = n_above = n_below = 0
    total = np.zeros(len(weights))
    for rows, targets in chunks:
        rows = rows.astype(np.float64, copy=False)
        signs = _signs(rows, weights, bias, targets)
        n_rows += len(signs)
        n_above += int(np.count_nonzero(signs > 0))
        n_below += int(np.count_nonzero(signs < 0))
        total += signs @ np.ldexp(rows, -HEADROOM)
    subgradient = (n_above - n_below) / n_rows
    return MaeStep(
        n_rows=n_rows,
        n_above=n_above,
        n_below=n_below,
        bias_subgradient=subgradient,
        weights_subgradient=np.ldexp(total / n_rows, HEADROOM),
        learning_rate=learning_rate,
        bias=bias,
        bias_after=bias - learning_rate * subgradient,
    )


@np.errstate(over="ignore", invalid="ignore")
def _signs(
    rows: NDArray[np.float64],
    weights: NDArray[Any],
    bias: float,
    targets: NDArray[Any],
) -> NDArray[np.float64]:
    """Of predictions minus targets, shape (n_rows,)."""
    residuals = rows @ weights + bias - targets
    if (beyond := ~np.isfinite(residuals)).any():
        offset = np.ldexp(bias, -FAR_BEYOND) - np.ldexp(targets[beyond], -FAR_BEYOND)
        residuals[beyond] = np.ldexp(rows[beyond], -FAR_BEYOND) @ weights + offset
    signs: NDArray[np.float64] = np.sign(residuals)
    return signs
