"""Which cell is the best."""

import math
from collections.abc import Iterable, Sequence

from sgdlab.errors import NothingToSelectError
from sgdlab.runs.cell_log import CellResult
from sgdlab.uncertainty.rounding import differences
from sgdlab.words.metrics import METRICS


def rank(results: Iterable[CellResult], metric: str) -> list[CellResult]:
    """From the best to the worst by the validation metric; ties to the earlier cell.

    Cells without a finite value stand last, in their own order.
    """

    def key(result: CellResult) -> tuple[bool, float, int]:
        value = result.mean(METRICS[metric].logged_as)
        is_finite = math.isfinite(value)
        return (not is_finite, value if is_finite else 0.0, result.cell.index)

    return sorted(results, key=key)


def select(results: Sequence[CellResult], metric: str, rule: str) -> CellResult:
    """The cell with the smallest validation metric, or the simplest of those that come near it.

    Parameters
    ----------
    rule
        ``minimum``, or ``one_standard_error`` of the smallest mean over folds (Breiman et al. 1984,
        Classification and Regression Trees, section 3.4.3): a rule that prefers what is simple, and
        no test of whether cells differ.

    Raises
    ------
    NothingToSelectError
        If no cell has a finite one.
    """
    best = rank(results, metric)[0]
    if not math.isfinite(best.mean(METRICS[metric].logged_as)):
        who = f"all {len(results)} cells" if len(results) > 1 else "the only cell"
        if all(result.status == "diverged" for result in results):
            hint = "try smaller learning rates"
            raise NothingToSelectError("selection", f"{who} diverged", "one that did not", hint)
        found = f"no number that float64 holds as the {METRICS[metric].label} of {who}"
        hint = "look at the values of the rows to validate"
        raise NothingToSelectError("selection", found, "one", hint)
    if rule == "minimum":
        return best
    return min(within_one_standard_error(results, metric), key=_complexity)  # the first, if equal


def within_one_standard_error(results: Iterable[CellResult], metric: str) -> list[CellResult]:
    """The cells whose validation metric is at most the smallest plus its standard error, ranked."""
    ranked, name = rank(results, metric), METRICS[metric].logged_as
    best, error = ranked[0].mean(name), ranked[0].standard_error(name)
    # Those that are as good as the best but for rounding are within an error of 0.
    return [result for result in ranked if differences(result.mean(name), best) <= error]


def _complexity(result: CellResult) -> tuple[float, float]:
    """Least where training is most restrained: by L2, then by the way that it can go."""
    train = result.cell.train
    return (-train.l2, train.learning_rate * train.epochs)
