"""The largest eigenvalue of a symmetric matrix that is known by its products with vectors."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

RELATIVE_ERROR = 1e-11
STEPS_BETWEEN_LOOKS = 8


def lanczos_largest(apply: Callable[[Vector], Vector], size: int) -> float:
    """The largest eigenvalue of a positive semidefinite matrix, by its products with vectors.

    Lanczos with full reorthogonalisation starts from a fixed random vector, so that repeating it
    gives the same bits. It ends when the Ritz value's error, at most ``residual**2 / gap`` to the
    next one, is 1e-11 of the value (Parlett, The Symmetric Eigenvalue Problem, 1998, theorem
    11.7.1), at the latest after ``size`` steps.

    Parameters
    ----------
    apply
        Multiplies a float64 vector of shape (size,) by the matrix.
    """
    vector = np.random.default_rng(0).standard_normal(size)
    basis = [vector / np.linalg.norm(vector)]
    # In a unit that is a power of two, which rounds nothing, so that no square leaves float64.
    unit = math.frexp(float(np.max(np.abs(apply(basis[0])))))[1]
    diagonal, beside = [], []
    while True:
        image = np.ldexp(apply(basis[-1]), -unit)
        diagonal.append(float(basis[-1] @ image))
        known = np.array(basis)
        for _ in range(2):  # once is not enough in floating point (Parlett: "twice is")
            image = image - (known @ image) @ known
        beside.append(float(np.linalg.norm(image)))
        is_last = len(basis) == size or beside[-1] <= RELATIVE_ERROR * max(map(abs, diagonal))
        if is_last or len(basis) % STEPS_BETWEEN_LOOKS == 0:
            value, error = _largest_ritz_value(diagonal, beside)
            if is_last or error <= RELATIVE_ERROR * value:
                return math.ldexp(value, unit)
        basis.append(image / beside[-1])


def _largest_ritz_value(diagonal: list[float], beside: list[float]) -> tuple[float, float]:
    """With a bound of its error; the last of ``beside`` is outside the tridiagonal matrix."""
    inner = np.array(beside[:-1])
    values, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(inner, 1) + np.diag(inner, -1))
    residual = beside[-1] * abs(vectors[-1, -1])
    gap = values[-1] - values[-2] if len(values) > 1 else 0.0
    return float(values[-1]), float(min(residual, residual**2 / gap if gap > 0 else np.inf))
