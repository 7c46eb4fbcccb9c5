"""An evaluated model, as tables and documents."""

from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from sgdlab.evaluation.evaluate_run import EvaluationResult
from sgdlab.evaluation.mae_step import MaeStep
from sgdlab.report.layout import new_table
from sgdlab.report.numbers import finite, number, setting
from sgdlab.system.safe_text import printable


def evaluation_table(result: EvaluationResult) -> RenderableType:
    """Losses on each set of rows, beside those in the log and the constant predictor's."""
    unit = result.config.data.target_unit
    table = new_table(
        "\nrows", "\nnumber", "\nhalf-MSE", "as\nlogged", f"RMSE\n{unit}", f"MAE\n{unit}",
        "90 % of\nerrors <", "largest\nerror", "constant\nhalf-MSE",
    )  # fmt: skip
    for each in result.evaluated:
        losses, constant = each.losses, each.constant_losses
        values = (losses.half_mse, each.logged_loss, losses.rmse, losses.mae, each.error_90)
        figures = (*values, each.largest_error, constant.half_mse)
        table.add_row(each.rows, str(each.n_rows), *map(number, figures))
    n_replicates = result.result.cell.train.replicates
    means = f", means over {n_replicates} replicates" if n_replicates > 1 else ""
    heading = f"{result.directory.name}: cell {result.result.cell.name}{means}"
    title = Text(printable(heading), style="bold")
    if result.is_synthetic:
        title.append(" on a synthetic stand-in", style="yellow")
    notes = [Text(printable(f"{each}."), style="yellow") for each in result.warnings]
    if any(each.rows == "validation" for each in result.evaluated) and result.result.folds:
        note = "validation: every row by the model of its fold; losses are means over folds"
        notes.append(Text(note, style="dim"))
    steps = {each.rows: each.step for each in result.evaluated if each.step is not None}
    of_which = ", replicate 0" if n_replicates > 1 else ""
    return Group(title, table, *notes, *([_steps_table(steps, of_which)] if steps else []))


def _steps_table(steps: dict[str, MaeStep], of_which: str) -> RenderableType:
    table = new_table(
        "\nrows", "above\nn+", "below\nn-", "(n+ - n-)\n/ n", "subgradient\nof w, norm", "\nbias",
        "bias after\none step",
    )  # fmt: skip
    for name, step in steps.items():
        norm = float(np.linalg.norm(step.weights_subgradient))
        counts = (str(step.n_above), str(step.n_below))
        values = (step.bias_subgradient, norm, step.bias)
        table.add_row(name, *counts, *map(number, values), f"{step.bias_after:.9g}")
    rate = setting(next(iter(steps.values())).learning_rate)
    heading = f"\nOne step on the mean absolute error, learning rate {rate}{of_which}"
    return Group(Text(heading, style="bold"), table)


def evaluation_document(result: EvaluationResult) -> dict[str, Any]:
    """The result of ``evaluate``."""
    return {
        "run": str(result.directory.path),
        "synthetic": result.is_synthetic,
        "cell": result.result.cell.name,
        "evaluated": evaluation_rows(result, with_vectors=True),
        "warnings": result.warnings,
    }


def evaluation_rows(result: EvaluationResult, with_vectors: bool) -> list[dict[str, Any]]:
    """A row for each set of rows; vectors, such as a subgradient, have no place in CSV."""
    rows = []
    for each in result.evaluated:
        row: dict[str, Any] = {"rows": each.rows, "n_rows": each.n_rows}
        row |= {"half_mse": each.losses.half_mse, "logged_half_mse": each.logged_loss}
        row |= {"rmse": each.losses.rmse, "mae": each.losses.mae}
        row |= {"error_90": finite(each.error_90), "largest_error": finite(each.largest_error)}
        row |= {"constant_half_mse": each.constant_losses.half_mse}
        if each.step is not None:
            row |= {"step_replicate": 0}
            row |= {name: value for name, value in vars(each.step).items() if name != "n_rows"}
            if not with_vectors:
                row.pop("weights_subgradient")
        rows.append(row)
    return rows
