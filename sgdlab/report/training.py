"""A single training as tables: its losses, and how it came to them; and as a document."""

from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sgdlab.optim.losses import rmse_of
from sgdlab.report import search
from sgdlab.report.layout import new_table
from sgdlab.report.numbers import ABSENT, number
from sgdlab.report.search import explanations, metric_of, title_of
from sgdlab.runs.cell_log import CellResult
from sgdlab.search.result import SearchResult

HISTORY_LINES = 8


def table(result: SearchResult) -> RenderableType:
    """A single training: its losses beside the constant predictor's, and how it came to them."""
    best, model = result.best, result.model(result.best)
    losses = {
        "training": model.mean("train_loss"),
        "validation": best.mean("validation_loss"),
        "test": result.test_losses[best.cell.index].half_mse,
    }
    errors = {
        "validation": best.mean("validation_mae"),
        "test": result.test_losses[best.cell.index].mae,
    }
    rmse = f"RMSE\n{result.config.data.target_unit}"
    gap = f"difference\nin {metric_of(result).label}"
    headings = ("half-\nMSE", "\n+ L2", rmse, "\nMAE", "constant\nhalf-MSE", "constant\nMAE", gap)
    shown = new_table("\nrows", *headings)
    for name, loss in losses.items():
        constant = result.constant_losses[name]
        penalty = (best if name == "validation" else model).penalty
        values = (loss, loss + penalty, rmse_of(loss), errors.get(name))
        gap = str(result.differences[name]) if name in result.differences else ABSENT
        shown.add_row(name, *map(number, (*values, constant.half_mse, constant.mae)), gap)
    return Group(title_of(result), _history(best), Text(), shown, *explanations(result))


def _history(result: CellResult) -> Table:
    """Losses after some epochs of the first training, evenly spread, with the last."""
    first, *others = result.replicates
    which = "fold 0" if result.folds else "replicate 0" if others else ""
    heading = f"{which}\nepoch"
    history = new_table(heading, "running\nloss", "validation\nloss")
    epochs = np.unique(np.linspace(1, first.epochs, HISTORY_LINES).round().astype(int))
    for epoch in epochs.tolist():
        names = ("running_loss", "validation_loss")
        history.add_row(str(epoch), *(number(first.history[name][epoch - 1]) for name in names))
    return history


def document(result: SearchResult) -> dict[str, Any]:
    """The same as that of a search with one cell."""
    return search.document(result, 1)


def rows(result: SearchResult) -> list[dict[str, Any]]:
    return search.rows(result, 1)
