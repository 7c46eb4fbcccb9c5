"""An evaluated model, as tables and documents."""

from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from sgdlab.evaluation.evaluate_run import EvaluationResult
from sgdlab.evaluation.mae_step import MaeStep
from sgdlab.report.layout import new_table
from sgdlab.report.numbers import finite, length, number, setting
from sgdlab.system.safe_text import printable


def table(result: EvaluationResult) -> RenderableType:
    """Losses on each set of rows, beside those in the log and the constant predictor's."""
    unit = result.config.data.target_unit
    losses_table = new_table(
        "\nrows", "\nnumber", "\nhalf-MSE", "as\nlogged", f"RMSE\n{unit}", f"MAE\n{unit}",
        "90 % of\nerrors <", "largest\nerror", "constant\nhalf-MSE",
    )  # fmt: skip
    for found in result.evaluated:
        losses, constant = found.losses, found.constant_losses
        values = (losses.half_mse, found.logged_loss, losses.rmse, losses.mae, found.error_90)
        figures = (*values, found.largest_error, constant.half_mse)
        losses_table.add_row(found.rows, str(found.n_rows), *map(number, figures))
    n_replicates = result.result.cell.train.replicates
    means = f", means over {n_replicates} replicates" if n_replicates > 1 else ""
    heading = f"{result.directory.name}: cell {result.result.cell.name}{means}"
    title = Text(printable(heading), style="bold")
    if result.is_synthetic:
        title.append(" on a synthetic stand-in", style="yellow")
    notes = [Text(printable(f"{warning}."), style="yellow") for warning in result.warnings]
    if any(found.rows == "validation" for found in result.evaluated) and result.result.folds:
        note = "validation: every row by the model of its fold; losses are means over folds"
        notes.append(Text(note, style="dim"))
    steps = {found.rows: found.step for found in result.evaluated if found.step is not None}
    of_which = ", replicate 0" if n_replicates > 1 else ""
    return Group(title, losses_table, *notes, *([_steps_table(steps, of_which)] if steps else []))


def _steps_table(steps: dict[str, MaeStep], of_which: str) -> RenderableType:
    steps_table = new_table(
        "\nrows", "above\nn+", "below\nn-", "(n+ - n-)\n/ n", "subgradient\nof w, norm", "\nbias",
        "bias after\none step",
    )  # fmt: skip
    for name, step in steps.items():
        norm = length(step.weights_subgradient)
        counts = (str(step.n_above), str(step.n_below))
        values = (step.bias_subgradient, norm, step.bias)
        steps_table.add_row(name, *counts, *map(number, values), f"{step.bias_after:.9g}")
    rate = setting(next(iter(steps.values())).learning_rate)
    heading = f"\nOne step on the mean absolute error, learning rate {rate}{of_which}"
    return Group(Text(heading, style="bold"), steps_table)


def document(result: EvaluationResult) -> dict[str, Any]:
    """The result of ``evaluate``."""
    return {
        "run": str(result.directory.path),
        "synthetic": result.is_synthetic,
        "cell": result.result.cell.name,
        "evaluated": _all_rows(result),
        "warnings": result.warnings,
    }


def rows(result: EvaluationResult) -> list[dict[str, Any]]:
    """A row for each set of rows; vectors, such as a subgradient, have no place in CSV."""
    found = _all_rows(result)
    for row in found:
        row.pop("weights_subgradient", None)
    return found


def _all_rows(result: EvaluationResult) -> list[dict[str, Any]]:
    found = []
    for evaluated in result.evaluated:
        row: dict[str, Any] = {"rows": evaluated.rows, "n_rows": evaluated.n_rows}
        row |= {"half_mse": evaluated.losses.half_mse, "logged_half_mse": evaluated.logged_loss}
        row |= {"is_as_logged": evaluated.is_as_logged}
        row |= {"rmse": evaluated.losses.rmse, "mae": evaluated.losses.mae}
        row |= {"error_90": finite(evaluated.error_90)}
        row |= {"largest_error": finite(evaluated.largest_error)}
        row |= {"constant_half_mse": evaluated.constant_losses.half_mse}
        if (step := evaluated.step) is not None:
            row |= {"step_replicate": 0}
            row |= {name: value for name, value in vars(step).items() if name != "n_rows"}
        found.append(row)
    return found
