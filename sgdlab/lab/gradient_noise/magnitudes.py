"""Whether the gradients of some rows have a size that can be studied in float64."""

import math

import numpy as np

from sgdlab.errors import DataError
from sgdlab.lab.gradient_noise.row_gradients import RowGradients

LARGEST = 1e70  # whose fourth power, summed over rows and parameters, float64 holds; so its inverse


def check_magnitudes(gradients: RowGradients) -> None:
    """Refuse what overflows, or vanishes as if there were no gradient, when squares are squared.

    Standard errors square the squares of gradients, and curvatures multiply them by two of inputs.

    Raises
    ------
    DataError
        If the largest of the gradients, or of the inputs where the Hessian is known, are too large
        or too small.
    """
    largest_input = largest_derivative = 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        for inputs, derivatives in gradients.chunks():
            largest_input = max(largest_input, _largest(inputs))
            largest_derivative = max(largest_derivative, _largest(derivatives))
        penalty = _largest(gradients.penalty) * max(1.0, gradients.l2)
    sizes = {"gradients of rows": largest_input * largest_derivative}
    if gradients.has_known_hessian:
        sizes |= {"inputs": largest_input}
    for name, size in sizes.items():
        if size and not 1 / LARGEST < size < LARGEST:
            raise _too_extreme(name, size)
    if largest_input and largest_derivative and not sizes["gradients of rows"]:
        raise _too_extreme("gradients of rows", 0.0)
    if not penalty < LARGEST:
        raise _too_extreme("gradients of the L2 penalty", penalty)


def _largest(values: np.ndarray) -> float:
    """In absolute value; infinite where some are no numbers."""
    largest = float(np.max(np.abs(values), initial=0.0))
    return math.inf if math.isnan(largest) else largest


def _too_extreme(name: str, size: float) -> DataError:
    found = f"{name} up to {size:.2g}, whose fourth powers do not fit float64"
    return DataError("training rows", found, "moderate ones", "see data.divide_by")
