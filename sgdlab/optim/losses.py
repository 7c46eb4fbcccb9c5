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


def derivative(loss: str, residuals: NDArray[Any], delta: NDArray[Any]) -> NDArray[Any]:
    r"""The derivative of each row's loss at residuals ``r = prediction - target``.

    Parameters
    ----------
    loss
        ``squared``: r**2 / 2, derivative r (the factor 1/2 is the homework's and Bishop's;
        scikit-learn's mean squared error has none). ``absolute``: \|r\|, subgradient sign(r), and 0
        at 0. ``huber``: r**2 / 2 up to \|r\| = delta, beyond it delta * (\|r\| - delta / 2)
        (Huber 1964, doi:10.1214/aoms/1177703732).
    residuals : float array, any shape
        Itself given back for ``squared``.
    delta : float array that broadcasts against the residuals
        Used by ``huber`` alone.
    """
    derivatives = residuals
    if loss == "absolute":
        derivatives = np.sign(residuals)
    elif loss == "huber":
        derivatives = np.clip(residuals, -delta, delta)
    return derivatives
