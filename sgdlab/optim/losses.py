"""The losses that are reported, and the derivatives of those that can be minimised."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Losses:
    """On some rows: ``half_mse`` in squared target units, ``mae`` in target units."""

    half_mse: float
    mae: float

    @property
    def rmse(self) -> float:
        """Root of the mean squared error, in target units."""
        return math.sqrt(2 * self.half_mse)


@np.errstate(over="ignore", invalid="ignore")
def losses_of(errors: NDArray[np.float64]) -> Losses:
    """Of predictions minus targets, shape (n_rows,) or (replicates, n_rows); the mean over all.

    Infinite or NaN where an error or its square is, as in a training that diverges.
    """
    return Losses(float(np.mean(np.square(errors)) / 2), float(np.mean(np.abs(errors))))


def derivative_in_place(loss: str, residuals: NDArray[Any], delta: NDArray[Any]) -> None:
    r"""Replace residuals ``r = prediction - target`` by the derivative of each row's loss.

    Parameters
    ----------
    loss
        ``squared``: r**2 / 2, derivative r (the factor 1/2 is the homework's and Bishop's;
        scikit-learn's mean squared error has none). ``absolute``: \|r\|, subgradient sign(r), and 0
        at 0. ``huber``: r**2 / 2 up to \|r\| = delta, beyond it delta * (\|r\| - delta / 2)
        (Huber 1964, doi:10.1214/aoms/1177703732).
    residuals : float array, shape (n_cells, n_rows)
        Overwritten.
    delta : float array, shape (n_cells, 1)
        Used by ``huber`` alone.
    """
    if loss == "absolute":
        np.sign(residuals, out=residuals)
    elif loss == "huber":
        np.clip(residuals, -delta, delta, out=residuals)
