"""Whether a number is good: the constant predictor, paired differences, the edge of the grid."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sgdlab.grid import Cell

# Of a standard error: below this, nothing is called better or worse.
CLEAR_DIFFERENCE = 2.0


@dataclass(frozen=True)
class Difference:
    """A mean over rows of paired differences, and the standard error of that mean."""

    mean: float
    standard_error: float

    @property
    def is_clear(self) -> bool:
        return abs(self.mean) > CLEAR_DIFFERENCE * self.standard_error


def constant_prediction(metric: str, targets: NDArray[np.float64]) -> float:
    """The constant with the smallest metric on these targets: the mean, or for MAE the median."""
    return float(np.median(targets) if metric == "mae" else np.mean(targets))


def paired_difference(
    metric: str, errors: NDArray[np.float64], baseline_errors: NDArray[np.float64]
) -> Difference:
    """How much larger a model's loss is than a baseline's, compared row by row.

    Parameters
    ----------
    metric
        ``half_mse`` or ``mae``.
    errors : float64 array, shape (replicates, n_rows)
        Predictions minus targets; a row's loss is the mean over replicates.
    baseline_errors : float64 array, shape (n_rows,)
    """
    differences = _row_losses(metric, errors).mean(axis=0) - _row_losses(metric, baseline_errors)
    n_rows = len(differences)
    spread = np.std(differences, ddof=1) if n_rows > 1 else math.nan
    return Difference(float(np.mean(differences)), float(spread / math.sqrt(n_rows)))


def _row_losses(metric: str, errors: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.abs(errors) if metric == "mae" else np.square(errors) / 2


def compared_with_constant(model: str, differences: dict[str, Difference]) -> str:
    """One sentence on a model and the constant predictor, for every set of rows."""
    parts = [
        f"{rows} {each.mean:+.2f} ±{each.standard_error:.2f} ({_verdict(each)})"
        for rows, each in differences.items()
    ]
    what = f"{model} minus the constant predictor, paired by row, ± standard error"
    return f"{what}: {', '.join(parts)}"


def _verdict(difference: Difference) -> str:
    if not difference.is_clear:
        return "no clear difference"
    return "worse" if difference.mean > 0 else "better"


def on_the_edge(best: Cell, cells: Sequence[Cell], axes: Sequence[str]) -> list[str]:
    """A sentence on the numeric axes at whose end the best cell lies; none if there are none.

    A value of 0 is no end: there is nothing beyond it.
    """
    ends = []
    for axis in axes:
        values = {getattr(cell.train, axis) for cell in cells}
        if any(isinstance(value, str | bool) for value in values):
            continue
        value = getattr(best.train, axis)
        if value in (min(values), max(values)) and value != 0:
            ends.append(f"{axis} ({'smallest' if value == min(values) else 'largest'})")
    if not ends:
        return []
    return [f"cell {best.name} lies on the edge of the grid: {', '.join(ends)}; look beyond it"]
