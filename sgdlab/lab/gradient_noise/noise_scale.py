"""How large a batch must be before its noise no longer matters: McCandlish et al. 2018.

"An Empirical Model of Large-Batch Training", arXiv:1812.06162, equations 2.8 and 2.9.

Both scales are a noise over a signal, B = tr(Sigma)/G.G or tr(H Sigma)/G.H G, at the gradient G of
the n rows that there are. These were drawn from a population, and from its gradient G' that of the
rows differs by noise: E G.G = G'.G' + tr(Sigma)/n (their appendix A.1, with all rows for the large
batch and one for the small). This finite-population correction makes 1/B too large by 1/n, with H
too, so that the population has the scale 1/(1/B - 1/n), which is not known where B >= n.
"""

import math
from dataclasses import dataclass

import numpy as np

from sgdlab.lab.gradient_noise.curvatures import curvature_along, row_curvatures
from sgdlab.lab.gradient_noise.row_gradients import Moments, RowGradients, Vector
from sgdlab.uncertainty.student_t import critical_value, is_clear

FEWEST_ROWS = 100  # fewer give no interval
# Of tr(Sigma), relative: where it looks larger, rows that were not drawn may rule it. Rows show
# less of a long tail than there is, so that this is stricter than what an interval needs.
LARGEST_ERROR = 0.1


@dataclass(frozen=True)
class PopulationScale:
    """A noise scale of the population that the rows were drawn from, estimated from them.

    Attributes
    ----------
    value
        1/(1/B - 1/n); None where B >= n.
    low, high
        A 95 % interval: Student's t for 1/value, whose standard error comes from what every row
        adds to it, to first order (Efron 1982, doi:10.1137/1.9781611970319, chapter 6). ``high`` is
        None where no scale is too large; both are where ``no_interval_because`` says why.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    no_interval_because: str | None = None


# Of the rows and of their population; None where the gradient is 0.
Scales = tuple[float | None, PopulationScale | None]


@dataclass(frozen=True)
class NoiseScales:
    """Two ratios of noise to signal, in rows, and what they suggest.

    Attributes
    ----------
    gradient_norm, standard_error
        \\|G\\|, and ``sqrt(tr(Sigma) / (n - 1))``: how far G is from that of the population.
    simple
        ``tr(Sigma) / G.G``: the batch size at which a gradient is as much noise as signal.
    curved
        ``tr(H Sigma) / G.H G``: the same as the loss sees it, which is curved along some directions
        and flat along others. None unless the loss is squared, whose Hessian H is known.
    simple_of_population, curved_of_population
        The same for the population; None where those of these rows are.
    no_curved_because
        Why there is no ``curved``, or None.
    suggested_batch_size
        Or None, and ``verdict`` says why.
    """

    gradient_norm: float
    standard_error: float
    simple: float | None
    simple_of_population: PopulationScale | None
    curved: float | None
    curved_of_population: PopulationScale | None
    no_curved_because: str | None
    suggested_batch_size: int | None
    verdict: str


def measure_noise_scales(gradients: RowGradients, moments: Moments) -> NoiseScales:
    """Those of the rows exactly, by passes over them."""
    norm = math.sqrt(moments.squared_norm)
    standard_error = math.sqrt(moments.trace / (gradients.n_rows - 1))
    squares = np.concatenate([np.einsum("ij,ij->i", rows, rows) for rows in gradients.deviations()])
    no_interval = _no_interval_because(squares)
    scale = simple, population = _simple(gradients, moments, squares, no_interval)
    curved = of_curved = reason = None
    if not gradients.has_known_hessian:
        reason = "the Hessian is known for the squared loss alone"
    else:
        curved, of_curved = _curved(gradients, moments, no_interval)
        reason = "the gradient is 0" if curved is None else None
        scale = (curved, of_curved) if reason is None else scale
    suggested, verdict = _suggestion(*scale, norm, standard_error, gradients.n_rows)
    return NoiseScales(
        norm, standard_error, simple, population, curved, of_curved, reason, suggested, verdict
    )


def _simple(
    gradients: RowGradients, moments: Moments, squares: Vector, no_interval: str | None
) -> Scales:
    """tr(Sigma)/G.G; ``squares`` are the rows' squared distances from G, shape (n_rows,)."""
    signal, noise = moments.squared_norm, moments.trace
    if not signal > 0:
        return None, None
    along = [deviations @ moments.gradient for deviations in gradients.deviations()]
    added = 2 * np.concatenate(along), squares - noise
    return noise / signal, _of_population(signal, noise, *added, no_interval)


def _curved(gradients: RowGradients, moments: Moments, no_interval: str | None) -> Scales:
    """tr(H Sigma)/G.H G, to which a row adds by its gradient and by its part in H."""
    signal = curvature_along(gradients, moments.gradient)
    if not signal > 0:
        return None, None
    if moments.trace == 0:
        alike = np.zeros(gradients.n_rows)
        return 0.0, _of_population(signal, 0.0, alike, alike, no_interval)
    rows = row_curvatures(gradients, moments)
    noise = float(rows.of_gradients.mean())
    slope = gradients.l2 * gradients.is_penalised * moments.gradient  # H G
    squares = []
    for inputs, _ in gradients.chunks():
        along = inputs @ moments.gradient
        slope += along @ inputs / gradients.n_rows
        squares.append(np.square(along))
    to_signal = 2 * np.concatenate([rows @ slope for rows in gradients.deviations()])
    to_signal += np.concatenate(squares) - np.mean(np.concatenate(squares))
    to_noise = rows.of_gradients + rows.of_inputs - 2 * noise
    return noise / signal, _of_population(signal, noise, to_signal, to_noise, no_interval)


def _of_population(
    signal: float, noise: float, to_signal: Vector, to_noise: Vector, no_interval: str | None
) -> PopulationScale:
    """From what every row adds to both; ``no_interval`` is why there is no interval."""
    n_rows = len(to_signal)
    if not noise > 0:
        return PopulationScale(0.0, no_interval_because="no interval: all rows are alike")
    share = signal / noise - 1 / n_rows
    if not share > 0:
        reason = f"no interval: the noise scale is not below the {n_rows} rows there are"
        return PopulationScale(None, no_interval_because=reason)
    if no_interval is not None:
        return PopulationScale(1 / share, no_interval_because=no_interval)
    influence = (to_signal - signal / noise * to_noise) / noise
    width = critical_value(n_rows - 1) * float(np.linalg.norm(influence)) / n_rows
    high = 1 / (share - width) if share > width else None
    return PopulationScale(1 / share, 1 / (share + width), high)


def _no_interval_because(squares: Vector) -> str | None:
    """What is wrong with rows at such squared distances from G."""
    n_rows, mean = len(squares), float(squares.mean())
    if n_rows < FEWEST_ROWS:
        return f"no interval from so few rows: {n_rows} are fewer than {FEWEST_ROWS}"
    error = float(squares.std()) / math.sqrt(n_rows)
    if error > LARGEST_ERROR * mean:
        found = f"gradients vary so much that tr(Sigma) is off by {error / mean:.0%}"
        return f"no interval: {found}, and {LARGEST_ERROR:.0%} is the most"
    return None


def _suggestion(
    scale: float | None,
    of_population: PopulationScale | None,
    norm: float,
    standard_error: float,
    n_rows: int,
) -> tuple[int | None, str]:
    """What a scale suggests, if \\|G\\| is clearly above 0.

    It never is where one of a single parameter with this trace were not: of all covariances that
    have the same trace, one along a single direction makes \\|G\\| look large most easily (Szekely
    and Bakirov 2003, doi:10.1007/s00440-003-0262-6).
    """
    no = "no batch size is suggested"
    if scale is None or not is_clear(norm, standard_error, n_rows - 1):
        found = f"|G| is within {critical_value(n_rows - 1):.3g} standard errors of 0"
        return None, f"{no}: {found}, so other rows might turn it around"
    if of_population is None or of_population.value is None:
        return None, f"{no}: the noise scale is not below the {n_rows} rows there are"
    if scale < 1:
        return 1, "batch size 1 suits these weights: one row's gradient is more signal than noise"
    suggested = round(scale)
    rows = f"a batch size around {suggested} suits these weights on these rows"
    population = f"around {of_population.value:.0f} on the population that they are from"
    effect = "with far fewer rows noise rules the steps, far more hardly improve them"
    return suggested, f"{rows}, and {population} ({_interval(of_population)}): {effect}"


def _interval(scale: PopulationScale) -> str:
    if scale.low is None:
        return scale.no_interval_because or ""
    if scale.high is None:
        return f"95 %: {scale.low:.0f} or more"
    return f"95 %: {scale.low:.0f} to {scale.high:.0f}"
