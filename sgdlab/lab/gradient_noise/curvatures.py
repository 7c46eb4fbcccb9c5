"""How the loss curves along the rows' gradients: squares with the Hessian of the squared loss."""

from dataclasses import dataclass

import numpy as np

from sgdlab.lab.gradient_noise.row_gradients import Moments, RowGradients, Vector
from sgdlab.system.interruptible import product


@dataclass(frozen=True)
class RowCurvatures:
    """What every row adds to tr(H Sigma), with H the mean of x x.T, plus l2; shape (n_rows,).

    Attributes
    ----------
    of_gradients
        ``(g_i - G).H (g_i - G)``, whose mean is tr(H Sigma).
    of_inputs
        ``x_i.Sigma x_i`` and what L2 adds, whose mean is the same.
    """

    of_gradients: Vector
    of_inputs: Vector


def curvature_along(gradients: RowGradients, direction: Vector) -> float:
    """``v.H v = mean((x.v)**2) + l2 v.v`` of the squared loss, v of shape (n_parameters,)."""
    total = sum(float(np.square(inputs @ direction).sum()) for inputs, _ in gradients.chunks())
    return total / gradients.n_rows + gradients.l2 * float(
        gradients.is_penalised @ np.square(direction)
    )


def row_curvatures(gradients: RowGradients, moments: Moments) -> RowCurvatures:
    """By passes over the rows, or over all pairs of them where H has more entries than X."""
    along = _with_matrices if gradients.has_small_matrices else _with_products_of_rows
    of_gradients, of_inputs = along(gradients)
    penalised, l2 = gradients.is_penalised, gradients.l2
    if l2:
        squares = [np.square(rows) @ penalised for rows in gradients.deviations()]
        of_gradients += l2 * np.concatenate(squares)
        of_inputs += l2 * float(penalised @ moments.variance)
    return RowCurvatures(of_gradients, of_inputs)


def _with_matrices(gradients: RowGradients) -> tuple[Vector, Vector]:
    """Memory for H and Sigma."""
    shape = 2 * (gradients.n_parameters,)
    hessian, covariance = np.zeros(shape), np.zeros(shape)
    for inputs, derivatives in gradients.chunks():
        deviations = derivatives[:, None] * inputs - gradients.mean
        hessian += product(inputs.T, inputs) / gradients.n_rows
        covariance += product(deviations.T, deviations) / gradients.n_rows
    of_gradients, of_inputs = [], []
    for inputs, derivatives in gradients.chunks():
        deviations = derivatives[:, None] * inputs - gradients.mean
        of_gradients.append(np.einsum("ij,ij->i", product(deviations, hessian), deviations))
        of_inputs.append(np.einsum("ij,ij->i", product(inputs, covariance), inputs))
    return np.concatenate(of_gradients), np.concatenate(of_inputs)


def _with_products_of_rows(gradients: RowGradients) -> tuple[Vector, Vector]:
    """The same from ``v.H v = mean_j (v.x_j)**2`` and ``x.Sigma x = mean_j (x.(g_j - G))**2``."""
    of_gradients, of_inputs = [], []
    for inputs, derivatives in gradients.chunks():
        deviations = derivatives[:, None] * inputs - gradients.mean
        along, across = np.zeros(len(inputs)), np.zeros(len(inputs))
        for others, psi in gradients.chunks():
            along += np.square(product(deviations, others.T)).sum(axis=1) / gradients.n_rows
            apart = psi[:, None] * others - gradients.mean
            across += np.square(product(inputs, apart.T)).sum(axis=1) / gradients.n_rows
        of_gradients.append(along)
        of_inputs.append(across)
    return np.concatenate(of_gradients), np.concatenate(of_inputs)
