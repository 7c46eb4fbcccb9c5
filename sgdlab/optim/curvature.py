"""The steepest curvature of a linear model's squared loss, and what learning rate it allows."""

import math

import numpy as np
from numpy.typing import NDArray

from sgdlab.data.rows import RowSet
from sgdlab.optim.lanczos import lanczos_largest
from sgdlab.optim.moments import Moments, check_range, moments
from sgdlab.optim.triangle import Triangle
from sgdlab.system import machine

MAX_MATRIX_BYTES = 10**9
MATRICES = 8  # as large as X.T X at the same time, at most


def largest_eigenvalue(of: Moments | Triangle, with_bias: bool) -> float:
    """That of the Hessian X.T X / n, with a column of ones in X if the bias is trained too."""
    if isinstance(of, Triangle):
        columns = of.factor[:, 0 if with_bias else 1 : -1]
        return lanczos_largest(lambda v: columns.T @ (columns @ v) / of.n_rows, columns.shape[1])
    if not with_bias:
        return lanczos_largest(lambda v: of.gram_times(v) / of.n_rows, len(of.means))

    def hessian_times(vector: NDArray[np.float64]) -> NDArray[np.float64]:
        weights, bias = vector[:-1], vector[-1]
        above = of.gram_times(weights) / of.n_rows + of.means * bias
        return np.append(above, of.means @ weights + bias)

    return lanczos_largest(hessian_times, len(of.means) + 1)


def largest_eigenvalue_of_rows(rows: RowSet, with_bias: bool) -> float:
    """The same from rows, by X.T X or, where that is larger than X or too large, without it.

    Then every step of the iteration is a walk over the rows.

    Raises
    ------
    DataError
        If squares of the values do not fit float64.
    """
    n_features = rows.n_features
    largest = min(MAX_MATRIX_BYTES, machine.memory_bytes() // MATRICES)
    if n_features <= rows.n_rows and 8 * n_features**2 <= largest:
        return largest_eigenvalue(moments(rows.walk()), with_bias)
    for chunk in rows.walk():
        check_range(*chunk)

    def hessian_times(vector: NDArray[np.float64]) -> NDArray[np.float64]:
        weights, bias = vector[:n_features], vector[n_features:].sum()
        product = np.zeros_like(vector)
        for chunk, _ in rows.walk():
            predictions = chunk @ weights + bias
            product[:n_features] += predictions @ chunk / rows.n_rows
            product[n_features:] += predictions.sum() / rows.n_rows
        return product

    return lanczos_largest(hessian_times, n_features + with_bias)


def stability_limit(curvature: float) -> float:
    """The learning rate from which full-batch gradient descent diverges: ``2 / curvature``.

    The curvature is the largest eigenvalue of the Hessian, L2 included. Minibatches diverge from
    there or below (Mulayoff and Michaeli 2024, arXiv:2306.07850).
    """
    return 2 / curvature if curvature > 0 else math.inf
