"""The end of a search: the best cell is selected, evaluated and written down."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgdlab import diagnosis
from sgdlab.arrays import Arrays, npz_bytes
from sgdlab.conclusion import Conclusion, Counts, WithBest, WithoutBest
from sgdlab.config import Select
from sgdlab.data.dataset import Dataset
from sgdlab.data.rows import READ_BYTES, Chunk, RowSet, rows_in
from sgdlab.diagnosis import Difference
from sgdlab.engine.evaluation import ErrorSums, prediction_errors
from sgdlab.errors import NothingToSelectError
from sgdlab.experiment_log import Extent
from sgdlab.grid import Cell, Grid
from sgdlab.open_run import OpenRun
from sgdlab.optim.losses import Losses, losses_of
from sgdlab.out_of_fold import out_of_fold
from sgdlab.results import (
    METRICS,
    CellResult,
    csv_bytes,
    result_row,
    select,
    within_one_standard_error,
)

Files = dict[Path, bytes]
CELLS_TESTED_TOGETHER = 64


def cells_needed(results: Sequence[CellResult], rule: Select, extent: Extent) -> set[int]:
    """The cells whose weights are wanted: those of the best cell, or all that there are."""
    completed = {each.cell.index for each in results if each.status == "completed"}
    if extent == "all" or not completed:
        return completed
    return {select(results, rule.metric, rule.rule).cell.index}


@dataclass(frozen=True)
class Ending:
    """A search whose cells are trained: selects the best and evaluates it.

    Attributes
    ----------
    tested, kept
        Whether the test losses and the weights of the best or of all cells are wanted.
    """

    run: OpenRun
    dataset: Dataset
    grid: Grid
    select: Select
    tested: Extent
    kept: Extent

    def finish(self, results: Sequence[CellResult]) -> tuple[Conclusion, Files]:
        """What is found, and the files of the run that are still to be written.

        If every cell diverged, the run is complete all the same, and has no best cell.

        Parameters
        ----------
        results
            Of all cells, in the order of the grid.
        """
        final = self.run.directory.final_results()  # with folds alone
        n_completed = sum(each.status == "completed" for each in results)
        counts = Counts(completed=n_completed, diverged=len(results) - n_completed)
        try:
            best = select(results, self.select.metric, self.select.rule)
            _check_final(best, final)
        except NothingToSelectError as error:
            files = self._table(results, {}, final)
            hashes = _hashes(files)
            return WithoutBest(cells=counts, best=None, reason=str(error), files=hashes), files
        models = [final[n] for n in sorted(final)] if final else results
        usable = [each.cell for each in models if each.status == "completed"]
        tested = usable if self.tested == "all" else [best.cell]
        test_losses = _test_losses(self.run, self.dataset, tested)
        compared, predictions = _compare_with_constant(
            self.run, self.dataset, self.select.metric, best
        )
        kept = usable if self.kept == "all" else [best.cell]
        weights = _kept_weights(self.run, self.dataset, kept)
        files = {
            self.run.directory.weights_file: npz_bytes(weights),
            self.run.directory.predictions_file: npz_bytes(predictions),
            **self._table(results, test_losses, final),
        }
        conclusion = WithBest(
            cells=counts,
            best=best.cell.name,
            constant=compared.constant,
            constant_losses=compared.losses,
            differences=compared.differences,
            findings=findings(best, compared.differences, results, self.grid, self.select),
            test_losses={f"{cell:04d}": each for cell, each in test_losses.items()},
            files=_hashes(files),
        )
        return conclusion, files

    def _table(
        self,
        results: Sequence[CellResult],
        test_losses: Mapping[int, Losses],
        final: Mapping[int, CellResult],
    ) -> Files:
        """The content of ``results.csv``."""
        rows = [
            result_row(each, self.grid.axes, test_losses.get(n), final.get(n))
            for n, each in enumerate(results)  # which are all cells
        ]
        return {self.run.directory.results_file: csv_bytes(rows)}


def _hashes(files: Files) -> dict[str, str]:
    return {path.name: sha256(content).hexdigest() for path, content in files.items()}


def findings(
    best: CellResult,
    differences: Mapping[str, Difference],
    results: Sequence[CellResult],
    grid: Grid,
    rule: Select,
) -> tuple[str, ...]:
    """What the numbers mean, a sentence each."""
    compared = diagnosis.compared_with_constant(f"cell {best.cell.name}", differences)
    edge = diagnosis.on_the_edge(best.cell, grid.cells, grid.axes)
    return (compared, *edge, *_why_selected(results, rule))


def _check_final(best: CellResult, final: Mapping[int, CellResult]) -> None:
    """With folds, the selected cell must have weights."""
    if best.cell.index in final and final[best.cell.index].status == "diverged":
        found = f"cell {best.cell.name}, selected by cross-validation, diverged on all rows"
        raise NothingToSelectError(
            f"selection: {found}; expected one that does not (try smaller learning rates)"
        )


def _why_selected(results: Sequence[CellResult], rule: Select) -> list[str]:
    """Which cell has the smallest mean, and why that one or another is taken."""
    if rule.rule == "minimum" or len(results) == 1:
        return []
    name = METRICS[rule.metric]
    near = within_one_standard_error(results, rule.metric)
    chosen = select(results, rule.metric, rule.rule)
    best, taken = (
        f"cell {each.cell.name} ({each.mean(name):.5g} ±{each.standard_error(name):.2g})"
        for each in (near[0], chosen)
    )
    if len(near) == 1:
        return [f"{best} has the smallest mean over folds, and no other is within its error"]
    what = f"of the {len(near)} cells within one standard error of the smallest mean over folds"
    why = "the largest l2, then the smallest learning_rate * epochs"
    if chosen is near[0]:
        return [f"{best} has the smallest mean over folds and is taken: {what}, {why}"]
    return [f"{best} has the smallest mean; {taken} is taken: {what}, {why}"]


@dataclass(frozen=True)
class _Compared:
    """The constant predictor: what it predicts, and what that costs."""

    constant: float
    losses: dict[str, Losses]
    differences: dict[str, Difference]


def _compare_with_constant(
    run: OpenRun, dataset: Dataset, metric: str, best: CellResult
) -> tuple[_Compared, Arrays]:
    """The best cell beside the constant predictor on held-out rows, and its predictions."""
    training_targets = dataset.training(np.float64).targets
    constant = diagnosis.constant_prediction(metric, training_targets)
    losses: dict[str, Losses] = {"training": losses_of(constant - training_targets)}
    differences: dict[str, Difference] = {}
    predictions: Arrays = {}
    if dataset.shape.folds is not None:
        models = [run.weights(best.cell, fold) for fold in range(dataset.shape.folds)]
        found = out_of_fold(models, dataset, best.cell.train.precision, metric)
        losses["validation"] = found.constant_losses
        differences["validation"] = diagnosis.paired_difference(
            metric, found.errors, found.constant_errors
        )
        predictions |= {"validation": found.errors + found.targets}
        predictions |= {"validation_targets": found.targets, "validation_folds": found.folds}
    for name, rows in _held_out(dataset, best.cell.train.precision):
        targets = rows.targets.astype(np.float64)
        errors = prediction_errors(*run.weights(best.cell), _chunks(rows))
        losses[name] = losses_of(constant - targets)
        differences[name] = diagnosis.paired_difference(metric, errors, constant - targets)
        predictions |= {name: errors + targets, f"{name}_targets": targets}
    return _Compared(constant, losses, differences), predictions


def _held_out(dataset: Dataset, precision: str) -> Iterator[tuple[str, RowSet]]:
    """The rows that played no part in the training of the best cell on all rows to train."""
    if dataset.shape.n_validation:
        yield "validation", dataset.validation(precision)
    yield "test", dataset.test(precision)


def _test_losses(run: OpenRun, dataset: Dataset, cells: Sequence[Cell]) -> dict[int, Losses]:
    """By the cell's index; the mean over replicates."""
    found: dict[int, Losses] = {}
    for start in range(0, len(cells), CELLS_TESTED_TOGETHER):
        together = cells[start : start + CELLS_TESTED_TOGETHER]
        for precision in {each.train.precision for each in together}:
            chosen = [each for each in together if each.train.precision == precision]
            weights, bias = zip(*(run.weights(each) for each in chosen), strict=True)
            found |= _losses(chosen, np.stack(weights), np.stack(bias), dataset.test(precision))
    return found


@np.errstate(over="ignore", invalid="ignore")
def _losses(
    cells: Sequence[Cell],
    weights: NDArray[Any],
    bias: NDArray[np.float64],
    rows: RowSet,
) -> dict[int, Losses]:
    """``weights`` (n_cells, replicates, n_features), ``bias`` (n_cells, replicates)."""
    sums = ErrorSums(bias.size)
    flat = weights.reshape(bias.size, -1)
    for chunk, targets in _chunks(rows):
        sums.add(flat @ chunk.T + bias.reshape(-1, 1), targets)
    half_mse = sums.half_mse.reshape(bias.shape).mean(axis=1)
    mae = sums.mae.reshape(bias.shape).mean(axis=1)
    return {each.index: Losses(float(half_mse[n]), float(mae[n])) for n, each in enumerate(cells)}


def _kept_weights(run: OpenRun, dataset: Dataset, cells: Sequence[Cell]) -> Arrays:
    """The content of ``weights.npz``."""
    weights, bias = zip(*(run.weights(each) for each in cells), strict=True)
    transform = dataset.transform
    arrays = {
        "cells": np.array([each.index for each in cells]),
        "weights": np.stack(weights),
        "bias": np.stack(bias),
        "divide_by": np.array(transform.divide_by),
        "mean": _or_empty([transform.mean])[0],
        "scale": _or_empty([transform.scale])[0],
    }
    if dataset.shape.folds is None:
        return arrays
    models = [[run.weights(each, n) for n in range(dataset.shape.folds)] for each in cells]
    return arrays | {
        "fold_weights": np.stack([[weights for weights, _ in of_cell] for of_cell in models]),
        "fold_bias": np.stack([[bias for _, bias in of_cell] for of_cell in models]),
        "fold_mean": _or_empty([fold.transform.mean for fold in dataset.folds]),
        "fold_scale": _or_empty([fold.transform.scale for fold in dataset.folds]),
    }


def _or_empty(statistics: Sequence[NDArray[np.float64] | None]) -> NDArray[np.float64]:
    """Stacked; where there are none, as many empty ones."""
    return np.stack([np.zeros(0) if each is None else each for each in statistics])


def _chunks(rows: RowSet) -> Iterator[Chunk]:
    return rows.chunks(rows_in(READ_BYTES, rows.n_features))
