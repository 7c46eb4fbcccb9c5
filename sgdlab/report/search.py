"""A search as a table within 80 columns where the values allow it, and as a document."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from sgdlab.config.grid import FIRST_NAMES
from sgdlab.optim.losses import rmse_of
from sgdlab.report.layout import new_table, new_title
from sgdlab.report.numbers import ABSENT, number, plain, setting
from sgdlab.runs.cell_log import CellResult
from sgdlab.search.result import SearchResult
from sgdlab.system.safe_text import printable
from sgdlab.words.metrics import METRICS, HalfMse, Metric

AXIS_HEADINGS = {"batch_size": "batch\nsize", "learning_rate": "learning\nrate", "l2": "\nL2"}

SHOWN = 10  # cells of a table


def table(result: SearchResult, n_cells: int | None = None) -> RenderableType:
    """The best cells, the constant predictor as a row of its own, and what the numbers mean."""
    axes = [AXIS_HEADINGS.get(axis, "\n" + axis.replace("_", " ")) for axis in result.axes]
    rmse = f"RMSE\n{result.config.data.target_unit}"
    other = _other_metric(result)
    metrics = (f"valid.\n{other.label}", f"test*\n{other.label}") if other else ()
    headings = ("valid.\nloss", "valid.\n+ L2", rmse, "\nbias", "test*\nloss", "test*\n+ L2")
    optional = ("test*\n+ L2", rmse, "\nbias", "valid.\n+ L2")
    cells = new_table("\ncell", *axes, *metrics, *headings, optional=optional)
    for cell_result in result.results[: n_cells or SHOWN]:
        cells.add_row(
            *_cell_values(result, cell_result), style="bold" if cell_result is result.best else None
        )
    cells.add_section()
    cells.add_row(*_constant_values(result))
    which = "all cells" if len(result.test_losses) > 1 else "the best cell"
    note = f"* of {which}; the test rows played no part in the selection"
    if result.shape.folds:
        note = f"* of {which}, trained on all rows; the test rows played no part in the selection"
        note += "\nvalid.: mean over folds ± standard error, by models that had not seen the rows;"
        note += "\n  the error takes folds as independent, although they share training rows"
    return Group(title_of(result), cells, Text(note, style="dim"), *explanations(result))


def metric_of(result: SearchResult) -> Metric:
    """What the cells were selected by."""
    return METRICS.make(result.config.select.metric)


def _other_metric(result: SearchResult) -> Metric | None:
    """The same, where it is another than half the mean squared error, which is always shown."""
    metric = metric_of(result)
    return None if isinstance(metric, HalfMse) else metric


def _cell_values(result: SearchResult, cell_result: CellResult) -> Iterator[str]:
    yield cell_result.cell.name
    for axis in result.axes:
        yield setting(getattr(cell_result.cell.train, axis))
    loss, regularized = (
        cell_result.mean("validation_loss"),
        cell_result.mean("validation_loss_regularized"),
    )
    test = result.test_losses.get(cell_result.cell.index)
    values = [_with_error(cell_result, "validation_loss"), number(regularized)]
    model = result.model(cell_result)
    values += [number(rmse_of(loss)), plain(model.mean("bias"))]
    values += [number(test.half_mse if test else None)]
    values += [number(test.half_mse + model.penalty if test else None)]
    if other := _other_metric(result):
        yield from (
            _with_error(cell_result, other.logged_as),
            number(other.of(test) if test else None),
        )
        values[0] = number(loss)
    if cell_result.status == "diverged":
        values[0] = "diverged"
    yield from values


def _with_error(result: CellResult, name: str) -> str:
    """The mean over folds or replicates, with its standard error if there are several."""
    return number(result.mean(name)) + _plus_minus(result.standard_error(name))


def _plus_minus(standard_error: float) -> str:
    return "" if np.isnan(standard_error) else f" ±{standard_error:.2g}"


def _constant_values(result: SearchResult) -> Iterator[str]:
    validation, test = (result.constant_losses[name] for name in ("validation", "test"))
    yield "constant"
    yield from (ABSENT for _ in result.axes)
    if other := _other_metric(result):
        yield from (number(other.of(validation)), number(other.of(test)))
    yield from (number(validation.half_mse), ABSENT, number(validation.rmse))
    yield from (number(result.constant), number(test.half_mse), ABSENT)


def title_of(result: SearchResult) -> Text:
    shape, n_cells = result.shape, len(result.results)
    counted = f"{n_cells} cells" if n_cells > 1 else "1 cell"
    if (n_replicates := result.best.cell.train.replicates) > 1:
        counted += f" of {n_replicates} replicates"
    rows = f"{shape.n_train} rows to train, {shape.n_validation} to validate"
    if shape.folds:
        rows = f"{shape.n_train} rows in {shape.folds} folds"
    rows += f", {shape.n_test} to test"
    title = new_title(f"{result.config.name}: {counted}, {rows}", result.is_synthetic)
    train = result.best.cell.train
    fixed = [name for name in FIRST_NAMES if name not in result.axes]
    if fixed:
        title.append(f"\n{', '.join(f'{name} {setting(getattr(train, name))}' for name in fixed)}")
    return title


def explanations(result: SearchResult) -> Iterator[Text]:
    statistic = metric_of(result).constant
    value = f"{number(result.constant)} {result.config.data.target_unit}".rstrip()
    yield Text(f"  constant: always predicts the training {statistic}, {value}", style="dim")
    yield Text()
    for finding in result.findings:
        yield Text(printable(f"{finding[0].upper()}{finding[1:]}."))
    path = printable(str(result.directory.path))
    yield Text(f"run: {path}", no_wrap=True, overflow="ignore")


def document(result: SearchResult, n_cells: int | None = None) -> dict[str, Any]:
    """The result of ``train`` and ``grid-search``; ``cells`` are rows of ``results.csv``."""
    return {
        "run": str(result.directory.path),
        "synthetic": result.is_synthetic,
        "n_cells": len(result.results),
        "axes": result.axes,
        "metric": result.config.select.metric,
        "rule": result.config.select.rule,
        "folds": result.shape.folds,
        "best": result.best.cell.name,
        "best_bias": result.model(result.best).mean("bias"),
        "constant": result.constant,
        "constant_losses": {
            name: asdict(losses) for name, losses in result.constant_losses.items()
        },
        "differences": {
            name: asdict(difference) for name, difference in result.differences.items()
        },
        "findings": result.findings,
        "test_used_for_selection": False,
        "cells": result.rows(n_cells),
    }


def rows(result: SearchResult, n_cells: int | None = None) -> list[dict[str, Any]]:
    """The best cells, by default all, as rows of ``results.csv``."""
    return result.rows(n_cells)
