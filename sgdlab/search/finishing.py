"""The end of a search: the best cell is selected, evaluated and written down."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from sgdlab.config.grid import Cell, Grid
from sgdlab.config.model import Select
from sgdlab.data.dataset import Dataset
from sgdlab.errors import NothingToSelectError
from sgdlab.evaluation import comparison
from sgdlab.evaluation.score import compare_with_constant, measure_test_losses
from sgdlab.optim.losses import Losses, rmse_of
from sgdlab.runs.archive import Arrays
from sgdlab.runs.cell_log import CellResult
from sgdlab.runs.conclusion import Conclusion, Counts, WithBest, WithoutBest
from sgdlab.runs.directory import RunDirectory
from sgdlab.runs.experiment import Extent
from sgdlab.runs.kept import Weights, or_empty
from sgdlab.runs.logs import Logs
from sgdlab.runs.seals import sha256_of
from sgdlab.runs.stops import npz_bytes
from sgdlab.search.selection import select, within_one_standard_error
from sgdlab.search.table import csv_bytes, result_row
from sgdlab.uncertainty.differences import Difference
from sgdlab.uncertainty.rounding import is_rounding
from sgdlab.words.metrics import METRICS

Files = dict[Path, bytes]


def cells_needed(results: Sequence[CellResult], rule: Select, extent: Extent) -> set[int]:
    """The cells whose weights are wanted: those of the best cell, or all that there are."""
    completed = {result.cell.index for result in results if result.status == "completed"}
    if extent == "all" or not completed:
        return completed
    try:
        return {select(results, rule.metric, rule.rule).cell.index}
    except NothingToSelectError:
        return set()  # which is said when the run has ended


@dataclass(frozen=True)
class Ending:
    """A search whose cells are trained: selects the best and evaluates it.

    Attributes
    ----------
    weights_of
        Those of a training that has a log: in a fold, or on all rows to train.
    tested, kept
        Whether the test losses and the weights of the best or of all cells are wanted.
    """

    directory: RunDirectory
    weights_of: Callable[[CellResult, int | None], Weights]
    dataset: Dataset
    grid: Grid
    select: Select
    tested: Extent
    kept: Extent

    def finish(self, logs: Logs, final: Logs) -> tuple[Conclusion, Files]:
        """What is found, and the files of the run that are still to be written.

        If every cell diverged, the run is complete all the same, and has no best cell.

        Parameters
        ----------
        logs
            Of all cells.
        final
            With folds: of the cells that were trained on all rows.
        """
        try:
            best = self.selected(logs, final)
        except NothingToSelectError as error:
            files = self._table(logs, final, {})
            hashes, counts = logs.hashes | final.hashes | _hashes(files), _counts(logs)
            return WithoutBest(cells=counts, best=None, reason=str(error), files=hashes), files
        return self.finish_with(best, logs, final)

    def selected(self, logs: Logs, final: Logs) -> CellResult:
        """The best cell.

        Raises
        ------
        NothingToSelectError
            If there is none.
        """
        best = select(logs.in_order, self.select.metric, self.select.rule)
        _check_final(best, final.results)
        return best

    def finish_with(self, best: CellResult, logs: Logs, final: Logs) -> tuple[Conclusion, Files]:
        """What is found of a best cell, as :meth:`finish`."""
        models = final.in_order or logs.in_order
        usable = [model.cell for model in models if model.status == "completed"]
        tested = usable if self.tested == "all" else [best.cell]
        weights_of, metric = partial(self._weights, logs, final), self.select.metric
        losses = measure_test_losses(weights_of, tested, self.dataset)
        compared = compare_with_constant(weights_of, best.cell, self.dataset, metric)
        kept = usable if self.kept == "all" else [best.cell]
        weights = _kept_weights(weights_of, self.dataset, kept)
        files = {
            self.directory.weights_file: npz_bytes(weights),
            self.directory.predictions_file: npz_bytes(compared.predictions),
            **self._table(logs, final, losses),
        }
        conclusion = WithBest(
            cells=_counts(logs),
            best=best.cell.name,
            constant=compared.constant,
            constant_losses=compared.losses,
            differences=compared.differences,
            findings=findings(
                best,
                compared.differences,
                target_size(compared.constant, compared.losses),
                logs.in_order,
                self.grid,
                self.select,
            ),
            test_losses={f"{cell:04d}": cell_losses for cell, cell_losses in losses.items()},
            files=logs.hashes | final.hashes | _hashes(files),
        )
        return conclusion, files

    def _weights(self, logs: Logs, final: Logs, cell: Cell, fold: int | None = None) -> Weights:
        """Those of a cell in a fold, or trained on all rows to train, as its log has them."""
        of_all_rows = fold is None and self.dataset.shape.folds is not None
        return self.weights_of((final if of_all_rows else logs).results[cell.index], fold)

    def _table(self, logs: Logs, final: Logs, test_losses: Mapping[int, Losses]) -> Files:
        """The content of ``results.csv``."""
        rows = [
            result_row(result, self.grid.axes, test_losses.get(cell), final.results.get(cell))
            for cell, result in logs.results.items()
        ]
        return {self.directory.results_file: csv_bytes(rows)}


def _counts(logs: Logs) -> Counts:
    n_completed = sum(result.status == "completed" for result in logs.in_order)
    return Counts(completed=n_completed, diverged=len(logs.results) - n_completed)


def _hashes(files: Files) -> dict[str, str]:
    return {path.name: sha256_of(content) for path, content in files.items()}


def findings(
    best: CellResult,
    differences: Mapping[str, Difference],
    target_size: float,
    results: Sequence[CellResult],
    grid: Grid,
    rule: Select,
) -> tuple[str, ...]:
    """What the numbers mean, a sentence each; beside targets of some size."""
    name, has_folds = f"cell {best.cell.name}", best.folds is not None
    compared = comparison.compared_with_constant(name, differences, has_folds)
    exact = [result for result in results if _fits_every_row(result, target_size)]
    if best not in exact:
        place = comparison.on_the_edge(best.cell, grid.cells, grid.axes)
    elif len(exact) > 1:
        place = [f"{len(exact)} cells fit every validation row but for rounding: none is better"]
    else:
        place = []
    return (compared, *place, *_why_selected(results, rule))


def target_size(constant: float, losses: Mapping[str, Losses]) -> float:
    """How large targets to validate are, by a constant prediction and its losses."""
    return abs(constant) + losses["validation"].rmse


def _fits_every_row(result: CellResult, target_size: float) -> bool:
    """Whether errors on rows to validate are no more than rounding."""
    epsilon = float(np.finfo(result.cell.train.precision).eps)
    return bool(is_rounding(rmse_of(result.mean("validation_loss")), target_size, epsilon))


def _check_final(best: CellResult, final: Mapping[int, CellResult]) -> None:
    """With folds, the selected cell must have weights."""
    if best.cell.index in final and final[best.cell.index].status == "diverged":
        found = f"cell {best.cell.name}, selected by cross-validation, diverged on all rows"
        hint = "try smaller learning rates"
        raise NothingToSelectError("selection", found, "one that does not", hint)


def _why_selected(results: Sequence[CellResult], rule: Select) -> list[str]:
    """Which cell has the smallest mean, and why that one or another is taken."""
    if rule.rule == "minimum" or len(results) == 1:
        return []
    name = METRICS[rule.metric].logged_as
    near = within_one_standard_error(results, rule.metric)
    chosen = select(results, rule.metric, rule.rule)
    best, taken = (
        f"cell {result.cell.name} ({result.mean(name):.5g} ±{result.standard_error(name):.2g})"
        for result in (near[0], chosen)
    )
    if len(near) == 1:
        return [f"{best} has the smallest mean over folds, and no other is within its error"]
    what = f"of the {len(near)} cells within one standard error of the smallest mean over folds"
    why = "the largest l2, then the smallest learning_rate * epochs"
    if chosen is near[0]:
        return [f"{best} has the smallest mean over folds and is taken: {what}, {why}"]
    return [f"{best} has the smallest mean; {taken} is taken: {what}, {why}"]


def _kept_weights(
    weights_of: Callable[[Cell, int | None], Weights], dataset: Dataset, cells: Sequence[Cell]
) -> Arrays:
    """The content of ``weights.npz``."""
    weights, bias = zip(*(weights_of(cell, None) for cell in cells), strict=True)
    transform = dataset.transform
    arrays = {
        "cells": np.array([cell.index for cell in cells]),
        "weights": np.stack(weights),
        "bias": np.stack(bias),
        "divide_by": np.array(transform.divide_by),
        "mean": or_empty([transform.mean])[0],
        "scale": or_empty([transform.scale])[0],
    }
    if dataset.shape.folds is None:
        return arrays
    models = [[weights_of(cell, n) for n in range(dataset.shape.folds)] for cell in cells]
    return arrays | {
        "fold_weights": np.stack([[weights for weights, _ in of_cell] for of_cell in models]),
        "fold_bias": np.stack([[bias for _, bias in of_cell] for of_cell in models]),
        "fold_mean": or_empty([fold.transform.mean for fold in dataset.folds]),
        "fold_scale": or_empty([fold.transform.scale for fold in dataset.folds]),
    }
