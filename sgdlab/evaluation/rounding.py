"""Whether losses that were computed twice differ by more than their rounding."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sgdlab.optim.losses import Losses
from sgdlab.runs.kept import Weights

# Of an error, in roundings of its largest parts times the root of the number of features: sums in
# another order differ by about one (Higham and Mary 2019, doi:10.1137/18M1226312).
ROUNDINGS = 8
OF_SUMS = 1e-9  # of a mean over rows that are added in another order, relative to it


@dataclass(frozen=True)
class Rounding:
    """By how much losses may differ that were computed with other shapes of products.

    Attributes
    ----------
    half_mse, mae
        The largest differences that rounding explains.
    """

    half_mse: float
    mae: float

    @classmethod
    @np.errstate(over="ignore", invalid="ignore")
    def of(
        cls,
        weights: Weights,
        norms: NDArray[np.float64],
        errors: NDArray[np.float64],
        targets: NDArray[np.float64],
    ) -> "Rounding":
        """Of errors on some rows.

        Parameters
        ----------
        weights
            Whose dtype is the precision; the largest norm counts, of all that stand in them.
        norms : float64 array, shape (n_rows,)
            Of the rows that the weights saw.
        errors : float64 array, shape (replicates, n_rows)
        """
        models = weights[0].astype(np.float64)
        norm = float(np.sqrt(np.square(models).sum(axis=-1)).max())
        unit = ROUNDINGS * math.sqrt(models.shape[-1]) * float(np.finfo(weights[0].dtype).eps)
        parts = norms * norm + np.abs(weights[1]).max() + np.abs(targets)
        rounding = unit * parts
        sizes = np.abs(errors)
        return cls(
            float(np.mean(sizes * rounding + np.square(rounding))),
            float(np.mean(rounding)),
        )

    def unexplained(self, found: Losses, logged: Losses) -> tuple[str, ...]:
        """Which of the losses are not what was logged; what was not logged is not compared."""
        return tuple(
            name
            for name in ("half_mse", "mae")
            if not _is_near(getattr(found, name), getattr(logged, name), getattr(self, name))
        )


def _is_near(found: float, logged: float, rounding: float) -> bool:
    """NaN stands for what was not logged, or was beyond float64."""
    if not math.isfinite(logged):
        return True
    return abs(found - logged) <= rounding + OF_SUMS * abs(logged)
