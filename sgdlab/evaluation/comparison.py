"""Whether a number is good: the constant predictor, paired differences, the edge of the grid."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sgdlab.config.grid import Cell
from sgdlab.config.objects import matters
from sgdlab.uncertainty.differences import Difference
from sgdlab.uncertainty.means import standard_error
from sgdlab.uncertainty.rounding import EPSILON, is_rounding, without_rounding
from sgdlab.words.metrics import METRICS

FOLDS_SHARE_ROWS = "validation takes rows as independent, although folds share training rows"


@np.errstate(over="ignore", invalid="ignore")
def constant_prediction(metric: str, targets: NDArray[np.float64]) -> float:
    """The constant with the smallest metric on these targets; may be beyond float64."""
    return METRICS.make(metric).best_constant(targets)


@np.errstate(over="ignore", invalid="ignore")
def paired_difference(
    metric: str,
    errors: NDArray[np.float64],
    baseline_errors: NDArray[np.float64],
    targets: NDArray[np.float64],
    epsilon: float = EPSILON,
) -> Difference:
    """How much larger a model's loss is than a baseline's, compared row by row.

    Parameters
    ----------
    metric
        Its name.
    errors : float64 array, shape (replicates, n_rows)
        Predictions minus targets; a row's loss is the mean over replicates.
    baseline_errors, targets : float64 arrays, shape (n_rows,)
    epsilon
        Of the precision in which predictions were computed: those that are equal but for rounding
        do not differ.
    """
    row_losses = METRICS.make(metric).row_losses
    are_equal = is_rounding(
        errors - baseline_errors, np.abs(targets) + np.abs(baseline_errors), epsilon
    )
    losses = row_losses(np.where(are_equal, baseline_errors, errors)).mean(axis=0)
    baseline = row_losses(baseline_errors)
    differences, size = losses - baseline, float(np.mean(losses + baseline))
    n_rows, error = len(differences), math.nan
    if n_rows > 1:
        error = float(without_rounding(standard_error(differences), size))
    mean = float(without_rounding(np.mean(differences), size))
    return Difference(metric, mean, error if math.isfinite(error) else None, n_rows)


def compared_with_constant(
    model: str, differences: Mapping[str, Difference], has_folds: bool = False
) -> str:
    """One sentence on a model and the constant predictor, for every set of rows.

    With folds it says what the error leaves out: models that predict different rows were trained on
    rows that they share, and the variance of that cannot be estimated without bias (Bengio and
    Grandvalet 2004, jmlr.org/papers/v5/grandvalet04a.html).
    """
    metric = METRICS[next(iter(differences.values())).metric].label
    parts = [f"{rows} {difference.with_verdict}" for rows, difference in differences.items()]
    what = f"{model} minus the constant predictor in {metric}, paired by row"
    sentence = f"{what}, ± standard error: {', '.join(parts)}"
    return f"{sentence}; {FOLDS_SHARE_ROWS}" if has_folds else sentence


def on_the_edge(best: Cell, cells: Sequence[Cell], axes: Sequence[str]) -> list[str]:
    """A sentence on the numeric axes at whose end the best cell lies; none if there are none.

    A value of 0 is no end: there is nothing beyond it. Cells on which an axis has no influence have
    no place on it.
    """
    ends = []
    for axis in (name for name in axes if matters(best.train, name)):
        values = {getattr(cell.train, axis) for cell in cells if matters(cell.train, axis)}
        if len(values) < 2 or any(isinstance(value, str | bool) for value in values):
            continue
        value = getattr(best.train, axis)
        if value in (min(values), max(values)) and value != 0:
            ends.append(f"{axis} ({'smallest' if value == min(values) else 'largest'})")
    if not ends:
        return []
    return [f"cell {best.name} lies on the edge of the grid: {', '.join(ends)}; look beyond it"]
