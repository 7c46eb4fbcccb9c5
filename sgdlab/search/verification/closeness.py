"""How near numbers must be that were computed in different environments."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

RELATIVE = {"float64": 1e-9, "float32": 1e-4}
# Of a prediction, in roundings of the largest target times the root of the number of features: sums
# in another order differ by about one (Higham and Mary 2019, doi:10.1137/18M1226312).
ROUNDINGS = 8
LOSSES = ("_loss", "_loss_regularized", "half_mse")
IN_TARGET_UNITS = ("mae", "rmse", "bias", "constant", "predictions")


@dataclass(frozen=True)
class Closeness:
    """By how much numbers of a training may differ, in another environment.

    Numbers may differ by a part of themselves, and by the rounding of predictions: a loss that is
    nothing else has no digit in common with another one.

    Attributes
    ----------
    relative
        Part of the number itself.
    rounding
        Of a prediction, in target units.
    """

    relative: float
    rounding: float

    @classmethod
    def of(cls, precision: str, largest_target: float, n_features: int) -> "Closeness":
        """That of trainings in a precision."""
        unit = ROUNDINGS * math.sqrt(n_features) * float(np.finfo(precision).eps)
        return cls(RELATIVE[precision], unit * largest_target)

    def allowed(self, quantity: str, size: ArrayLike) -> Floats:
        """By how much a quantity of a size, or of several, may differ.

        Parameters
        ----------
        quantity
            As logs and tables call it.
        size
            Its own, or of what it is the difference of.
        """
        size = np.abs(np.asarray(size, np.float64))
        if quantity.endswith(LOSSES):  # of errors that are off by a rounding
            rounding: Floats = self.rounding * (np.sqrt(2 * size) + self.rounding)
            return self.relative * size + rounding
        if quantity.endswith(IN_TARGET_UNITS):
            return self.relative * size + self.rounding
        return self.relative * size
