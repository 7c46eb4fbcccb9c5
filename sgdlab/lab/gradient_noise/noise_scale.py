"""How large a batch must be before its noise no longer matters: McCandlish et al. 2018.

"An Empirical Model of Large-Batch Training", arXiv:1812.06162, equations 2.8 and 2.9.
"""

import math
from dataclasses import dataclass

import numpy as np

from sgdlab.lab.gradient_noise.row_gradients import Moments, RowGradients, Vector
from sgdlab.uncertainty.differences import CLEAR_DIFFERENCE

MAX_HESSIAN_BYTES = 10**9


@dataclass(frozen=True)
class NoiseScales:
    """Two ratios of noise to signal, in rows, and what they suggest.

    Attributes
    ----------
    gradient_norm, standard_error
        \\|G\\|, and ``sqrt(tr(Sigma) / n)``: how far that of n other rows would lie from it.
    simple
        ``tr(Sigma) / G.G``: the batch size at which a gradient is as much noise as signal.
    curved
        ``tr(H Sigma) / G.H G``: the same as the loss sees it, which is curved along some directions
        and flat along others. None unless the loss is squared, whose Hessian H is known.
    no_curved_because
        Why there is no ``curved``, or None.
    suggested_batch_size
        Or None, and ``verdict`` says why.
    """

    gradient_norm: float
    standard_error: float
    simple: float | None
    curved: float | None
    no_curved_because: str | None
    suggested_batch_size: int | None
    verdict: str


def measure_noise_scales(gradients: RowGradients, moments: Moments) -> NoiseScales:
    """Exactly, by passes over the rows."""
    norm = math.sqrt(moments.squared_norm)
    standard_error = math.sqrt(moments.trace / gradients.n_rows)
    simple, curved, reason = _ratio(moments.trace, moments.squared_norm), None, None
    if gradients.has_known_hessian:
        noise = trace_of_hessian_times_covariance(gradients, moments)
        curved = _ratio(noise, curvature_along(gradients, moments.gradient))
    if curved is None:
        known = gradients.has_known_hessian
        reason = "the gradient is 0" if known else "the Hessian is known for the squared loss alone"
    is_clear = norm > CLEAR_DIFFERENCE * standard_error
    suggested, verdict = _suggestion(simple if curved is None else curved, is_clear, gradients)
    return NoiseScales(norm, standard_error, simple, curved, reason, suggested, verdict)


def curvature_along(gradients: RowGradients, direction: Vector) -> float:
    """``v.H v = mean((x.v)**2) + l2 v.v`` of the squared loss, v of shape (n_parameters,)."""
    total = sum(float(np.square(inputs @ direction).sum()) for inputs, _ in gradients.chunks())
    return total / gradients.n_rows + gradients.l2 * float(
        gradients.is_penalised @ np.square(direction)
    )


def trace_of_hessian_times_covariance(gradients: RowGradients, moments: Moments) -> float:
    """tr(H Sigma) of the squared loss, where H is the mean of x x.T, plus l2.

    Since Sigma is the mean of ``(g_i - G) (g_i - G).T``, the trace is the mean over rows i of
    ``(g_i - G).H (g_i - G)``.
    """
    if moments.trace == 0:
        return 0.0
    n_parameters = gradients.n_parameters
    is_small = 8 * n_parameters**2 <= MAX_HESSIAN_BYTES and n_parameters <= gradients.n_rows
    along = _with_hessian if is_small else _with_products_of_rows
    penalised = float(gradients.is_penalised @ moments.variance)
    return along(gradients) / gradients.n_rows + gradients.l2 * penalised


def _with_hessian(gradients: RowGradients) -> float:
    """The sum over i of ``(g_i - G).H (g_i - G)``; memory for H alone."""
    hessian = np.zeros((gradients.n_parameters, gradients.n_parameters))
    for inputs, _ in gradients.chunks():
        hessian += inputs.T @ inputs / gradients.n_rows
    return sum(
        float(np.einsum("ij,ij->", deviations @ hessian, deviations))
        for deviations in gradients.deviations()
    )


def _with_products_of_rows(gradients: RowGradients) -> float:
    """The same from ``v.H v = mean_j (v.x_j)**2``, where H has more entries than X."""
    return sum(
        float(np.square(deviations @ others.T).sum()) / gradients.n_rows
        for deviations in gradients.deviations()
        for others, _ in gradients.chunks()
    )


def _ratio(noise: float, signal: float) -> float | None:
    return noise / signal if signal > 0 else None


def _suggestion(
    scale: float | None, is_clear: bool, gradients: RowGradients
) -> tuple[int | None, str]:
    no = "no batch size is suggested"
    if scale is None or not is_clear:
        found = f"|G| is within {CLEAR_DIFFERENCE:g} standard errors of 0"
        return None, f"{no}: {found}, so other rows might turn it around"
    if scale >= gradients.n_rows:
        return None, f"{no}: the noise scale is not below the {gradients.n_rows} rows there are"
    if scale < 1:
        return 1, "batch size 1 suits these weights: one row's gradient is more signal than noise"
    suggested = round(scale)
    effect = "with far fewer rows noise rules the steps, far more hardly improve them"
    return suggested, f"a batch size around {suggested} suits these weights: {effect}"
