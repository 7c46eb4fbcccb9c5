"""The end of a search: the best cell is selected, evaluated and written down."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sgdlab import diagnosis
from sgdlab.arrays import Arrays, npz_bytes
from sgdlab.config import Config
from sgdlab.data.dataset import Dataset
from sgdlab.data.rows import READ_BYTES, Chunk, RowSet, rows_in
from sgdlab.diagnosis import Difference
from sgdlab.engine.evaluation import ErrorSums, prediction_errors
from sgdlab.errors import NothingToSelectError
from sgdlab.grid import Grid
from sgdlab.optim.losses import Losses, losses_of
from sgdlab.results import CellResult, csv_bytes, result_row, select
from sgdlab.runs import OpenRun

Extent = Literal["best", "all"]
CELLS_TESTED_TOGETHER = 64


def finish(
    run: OpenRun,
    dataset: Dataset,
    config: Config,
    grid: Grid,
    experiment: dict[str, Any],
    tested: Extent,
    kept: Extent,
) -> None:
    """Select the best cell, evaluate it, and write the run's last files.

    If every cell diverged, the run is complete all the same, and has no best cell.

    Parameters
    ----------
    experiment
        The content of ``experiment.json`` so far; completed here.
    tested, kept
        Whether the test losses and the weights of the best or of all cells are wanted.
    """
    results = run.directory.results()
    completed = [result for result in results if result.status == "completed"]
    counts = {"completed": len(completed), "diverged": len(results) - len(completed)}
    experiment |= {"status": "completed", "cells": counts, "tested": tested, "kept": kept}
    test_losses: dict[int, Losses] = {}
    files: dict[Path, bytes] = {}
    try:
        best = select(results, config.select.metric)
    except NothingToSelectError as error:
        experiment |= {"best": None, "reason": str(error)}
    else:
        test_losses = _test_losses(run, dataset, completed if tested == "all" else [best])
        comparison, predictions = _compare_with_constant(run, dataset, config, best)
        weights = _kept_weights(run, dataset, completed if kept == "all" else [best])
        files[run.directory.weights_file] = npz_bytes(weights)
        files[run.directory.predictions_file] = npz_bytes(predictions)
        experiment |= {"best": best.cell.name, **comparison}
        experiment["findings"] += diagnosis.on_the_edge(best.cell, grid.cells, grid.axes)
        experiment["test_losses"] = {
            f"{cell:04d}": asdict(each) for cell, each in test_losses.items()
        }
    rows = [result_row(each, grid.axes, test_losses.get(each.cell.index)) for each in results]
    files[run.directory.results_file] = csv_bytes(rows)
    run.finish(files, experiment)


def _compare_with_constant(
    run: OpenRun, dataset: Dataset, config: Config, best: CellResult
) -> tuple[dict[str, Any], Arrays]:
    """The best cell beside the constant predictor on held-out rows, and its predictions."""
    metric, precision = config.select.metric, best.cell.train.precision
    weights, bias = run.weights(best)
    training_targets = dataset.training(np.float64).targets
    constant = diagnosis.constant_prediction(metric, training_targets)
    losses: dict[str, Losses] = {"training": losses_of(constant - training_targets)}
    differences: dict[str, Difference] = {}
    predictions: Arrays = {}
    for name, rows in _held_out(dataset, precision):
        targets = rows.targets.astype(np.float64)
        errors = prediction_errors(weights, bias, _chunks(rows))
        losses[name] = losses_of(constant - targets)
        differences[name] = diagnosis.paired_difference(metric, errors, constant - targets)
        predictions |= {name: errors + targets, f"{name}_targets": targets}
    comparison = {
        "constant": constant,
        "constant_losses": {name: asdict(each) for name, each in losses.items()},
        "differences": {name: asdict(each) for name, each in differences.items()},
        "findings": [diagnosis.compared_with_constant(f"cell {best.cell.name}", differences)],
    }
    return comparison, predictions


def _held_out(dataset: Dataset, precision: str) -> Iterator[tuple[str, RowSet]]:
    yield "validation", dataset.validation(precision)
    yield "test", dataset.test(precision)


def _test_losses(
    run: OpenRun, dataset: Dataset, results: Sequence[CellResult]
) -> dict[int, Losses]:
    """By the cell's index; the mean over replicates."""
    found: dict[int, Losses] = {}
    for start in range(0, len(results), CELLS_TESTED_TOGETHER):
        together = results[start : start + CELLS_TESTED_TOGETHER]
        for precision in {each.cell.train.precision for each in together}:
            chosen = [each for each in together if each.cell.train.precision == precision]
            weights, bias = zip(*(run.weights(each) for each in chosen), strict=True)
            found |= _losses(chosen, np.stack(weights), np.stack(bias), dataset.test(precision))
    return found


def _losses(
    results: Sequence[CellResult],
    weights: NDArray[Any],
    bias: NDArray[np.float64],
    rows: RowSet,
) -> dict[int, Losses]:
    """``weights`` (n_results, replicates, n_features), ``bias`` (n_results, replicates)."""
    sums = ErrorSums(bias.size)
    flat = weights.reshape(bias.size, -1)
    for chunk, targets in _chunks(rows):
        sums.add(flat @ chunk.T + bias.reshape(-1, 1), targets)
    half_mse = sums.half_mse.reshape(bias.shape).mean(axis=1)
    mae = sums.mae.reshape(bias.shape).mean(axis=1)
    return {
        each.cell.index: Losses(float(half_mse[n]), float(mae[n])) for n, each in enumerate(results)
    }


def _kept_weights(run: OpenRun, dataset: Dataset, results: Sequence[CellResult]) -> Arrays:
    """The content of ``weights.npz``."""
    weights, bias = zip(*(run.weights(each) for each in results), strict=True)
    transform = dataset.transform
    empty = np.zeros(0)
    return {
        "cells": np.array([each.cell.index for each in results]),
        "weights": np.stack(weights),
        "bias": np.stack(bias),
        "divide_by": np.array(transform.divide_by),
        "mean": empty if transform.mean is None else transform.mean,
        "scale": empty if transform.scale is None else transform.scale,
    }


def _chunks(rows: RowSet) -> Iterator[Chunk]:
    return rows.chunks(rows_in(READ_BYTES, rows.n_features))
