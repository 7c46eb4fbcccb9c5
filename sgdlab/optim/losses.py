"""The losses that are reported of any model, whatever it minimised."""

import math
from dataclasses import dataclass

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
        return rmse_of(self.half_mse)


def rmse_of(half_mse: float) -> float:
    """Root of the mean squared error, of half of that; NaN for NaN."""
    if half_mse > 1:
        return 2 * math.sqrt(half_mse / 2)  # the same digits, and no overflow
    return math.sqrt(2 * half_mse)


@np.errstate(over="ignore", invalid="ignore")
def losses_of(errors: NDArray[np.float64]) -> Losses:
    """Losses of predictions minus targets, shape (n_rows,) or (replicates, n_rows): one mean.

    Infinite or NaN where an error or its square is, as in a training that diverges.
    """
    return Losses(float(np.mean(np.square(errors)) / 2), float(np.mean(np.abs(errors))))
