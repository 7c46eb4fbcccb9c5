"""How single values look in tables, and results as plain documents for JSON."""

import math
from dataclasses import asdict
from typing import Any

from sgdlab.data.describe import Description
from sgdlab.evaluation.comparison import Mean
from sgdlab.evaluation.evaluate_run import EvaluationResult
from sgdlab.search.planned import PlannedSearch
from sgdlab.search.result import SearchResult

ABSENT = "-"


def number(value: float | None) -> str:
    """Five significant digits with trailing zeros: losses and errors."""
    return ABSENT if value is None or math.isnan(value) else f"{value:#.5g}"


def plain(value: float) -> str:
    """Five significant digits without trailing zeros: biases, ranges."""
    return ABSENT if math.isnan(value) else f"{value:.5g}"


def setting(value: object) -> str:
    """A hyperparameter as one would write it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def measured(mean: Mean, sign: str = "") -> str:
    """With one digit of the standard error, and as many places of the mean; sign may be "+"."""
    error = mean.standard_error
    places = math.ceil(-math.log10(error)) if 1e-5 <= error < 1 else None
    if places is None:
        return f"{mean.value:{sign}.3g} ±{error:.1g}"
    return f"{mean.value:{sign}.{places}f} ±{error:.{places}f}"


def finite(value: float) -> float | None:
    """None for what is not finite, as CSV and JSON write it."""
    return value if math.isfinite(value) else None


def n_bytes(value: float) -> str:
    """With a decimal unit: 58.9 MB."""
    return _scaled(value, ("B", "kB", "MB", "GB", "TB"))


def seconds(value: float) -> str:
    """With two digits, or with minutes and hours: 3.1 s, 12 min 30 s, 5 h 20 min."""
    if value < 99.5:
        return f"{value:.2g} s"
    minutes = round(value / 60)
    if value < 5970:
        return f"{round(value) // 60} min {round(value) % 60} s"
    return f"{minutes // 60} h {minutes % 60} min"


def n_operations(value: float) -> str:
    """Floating-point operations: 139 Gflop."""
    return _scaled(value, ("flop", "kflop", "Mflop", "Gflop", "Tflop", "Pflop"))


def _scaled(value: float, units: tuple[str, ...]) -> str:
    for unit in units[:-1]:
        if value < 999.5:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} {units[-1]}"


def search_document(result: SearchResult, n_cells: int) -> dict[str, Any]:
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
        "constant_losses": {name: asdict(each) for name, each in result.constant_losses.items()},
        "differences": {name: asdict(each) for name, each in result.differences.items()},
        "findings": result.findings,
        "test_used_for_selection": False,
        "cells": result.rows(n_cells),
    }


def plan_document(planned: PlannedSearch) -> dict[str, Any]:
    """The result of ``--dry-run``."""
    about: dict[str, Any] = {"name": planned.name, "synthetic": planned.is_synthetic}
    if planned.prediction is not None:
        about["prediction"] = asdict(planned.prediction)
    return {**about, **asdict(planned.cost), "passes": planned.plan.to_log()}


def plan_rows(planned: PlannedSearch) -> list[dict[str, Any]]:
    """The same as one row, without the blocks."""
    prediction = planned.prediction
    predicted = {} if prediction is None else asdict(prediction)
    return [asdict(planned.cost) | {f"predicted_{name}": predicted[name] for name in predicted}]


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


def description_document(description: Description) -> dict[str, Any]:
    """The result of ``data describe``."""
    return {
        "folder": str(description.folder),
        "prefix": description.prefix,
        "synthetic": description.is_synthetic,
        "files": file_rows(description),
        "labels": [asdict(each) for each in description.labels],
        "remarks": description.remarks,
    }


def file_rows(description: Description) -> list[dict[str, Any]]:
    return [
        vars(each) | {"path": str(each.path), "shape": "x".join(map(str, each.shape))}
        for each in description.files
    ]
