"""A finished search, read from its run directory: one object for every table and page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sgdlab.config.grid import expand
from sgdlab.config.model import Config
from sgdlab.data.shape import Shape
from sgdlab.errors import NothingToSelectError
from sgdlab.optim.losses import Losses
from sgdlab.runs.cell_log import CellResult
from sgdlab.runs.conclusion import WithBest
from sgdlab.runs.directory import RunDirectory
from sgdlab.runs.experiment import Experiment
from sgdlab.search.finishing import findings, target_size
from sgdlab.search.selection import rank
from sgdlab.search.table import result_row
from sgdlab.uncertainty.differences import Difference


@dataclass(frozen=True)
class SearchResult:
    """A finished grid search.

    Attributes
    ----------
    results
        Of all cells: the selected one, then the others from the best to the worst.
    final
        With folds: of the cells that were trained on all rows, by the cell's index.
    constant
        What the constant predictor predicts.
    constant_losses
        By ``training``, ``validation`` and ``test``.
    differences
        Of the best cell's metric to the constant predictor's, by ``validation`` and ``test``.
    test_losses
        Of the best cell, or of all that completed; by the cell's index.
    findings
        What the numbers mean, a sentence each.
    """

    directory: RunDirectory
    config: Config
    shape: Shape
    axes: tuple[str, ...]
    is_synthetic: bool
    results: tuple[CellResult, ...]
    final: dict[int, CellResult]
    constant: float
    constant_losses: dict[str, Losses]
    differences: dict[str, Difference]
    test_losses: dict[int, Losses]
    findings: tuple[str, ...]

    @property
    def best(self) -> CellResult:
        """The selected cell."""
        return self.results[0]

    def model(self, result: CellResult) -> CellResult:
        """The trainings whose weights are those of a cell: with folds, those on all rows."""
        return self.final.get(result.cell.index, result)

    def rows(self, n_rows: int | None = None) -> list[dict[str, str | int | float | None]]:
        """The best cells as rows of ``results.csv``; all if no number is given."""
        chosen = self.results[:n_rows]
        return [
            result_row(
                result,
                self.axes,
                self.test_losses.get(result.cell.index),
                self.final.get(result.cell.index),
            )
            for result in chosen
        ]


def read_search(directory: RunDirectory, experiment: Experiment) -> SearchResult:
    """A finished search, from its files alone.

    Parameters
    ----------
    experiment
        Of that run.

    Raises
    ------
    NothingToSelectError
        If every cell diverged.
    StorageError
        If a file is absent or broken.
    """
    conclusion, grid = experiment.conclusion, expand(experiment.config)
    plan, known = directory.final_plan(experiment, grid.cells), experiment.known_hashes
    results = directory.logs(grid.cells, known, experiment.data.shape.folds).in_order
    final = directory.final_logs([grid.cells[n] for n in sorted(plan.cells)], known).results
    with directory.interpreting():
        _check_counts(experiment, results)
    if not isinstance(conclusion, WithBest):
        reason = None if conclusion is None else conclusion.reason
        raise NothingToSelectError(directory.path, str(reason))
    select = experiment.config.select
    ranked = rank(results, select.metric)
    ranked.sort(key=lambda result: result.cell.name != conclusion.best)  # else as they are
    with directory.interpreting():
        _check_conclusion(experiment, conclusion, results, final)
        size = target_size(conclusion.constant, conclusion.constant_losses)
        found = findings(ranked[0], conclusion.differences, size, results, grid, select)
        n_findings = len(found)
        if len(conclusion.findings) != n_findings:
            raise ValueError(f"findings: {len(conclusion.findings)} instead of {n_findings}")
    return SearchResult(
        directory=directory,
        config=experiment.config,
        shape=experiment.data.shape,
        axes=grid.axes,
        is_synthetic=experiment.synthetic,
        results=tuple(ranked),
        final=final,
        constant=conclusion.constant,
        constant_losses=conclusion.constant_losses,
        differences=conclusion.differences,
        test_losses={int(cell): losses for cell, losses in conclusion.test_losses.items()},
        findings=conclusion.findings,
    )


def _check_counts(experiment: Experiment, results: Sequence[CellResult]) -> None:
    if experiment.conclusion is None:
        return
    for status, wanted in experiment.conclusion.cells:
        n_cells = sum(result.status == status for result in results)
        if n_cells != wanted:
            raise ValueError(f"cells.{status}: {wanted}, but {n_cells} have such a log")


def _check_conclusion(
    experiment: Experiment,
    conclusion: WithBest,
    results: Sequence[CellResult],
    final: Mapping[int, CellResult],
) -> None:
    """Whether it is of the cells that have logs."""
    if conclusion.best not in {
        result.cell.name for result in results if result.status == "completed"
    }:
        raise ValueError(f"best: {conclusion.best}, of which no log says that it completed")
    models = final.values() if final else results
    usable = {model.cell.name for model in models if model.status == "completed"}
    tested = usable if experiment.tested == "all" else {conclusion.best}
    if different := tested ^ set(conclusion.test_losses):
        name = min(different)
        has = "there, of a cell without" if name in conclusion.test_losses else "not there"
        raise ValueError(f"test_losses.{name}: {has}")
