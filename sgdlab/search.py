"""A finished search, read from its run directory: one object for every table and page."""

import math
from dataclasses import dataclass

from sgdlab.config import Config
from sgdlab.data.dataset import Shape
from sgdlab.diagnosis import Difference
from sgdlab.errors import NothingToSelectError
from sgdlab.grid import expand
from sgdlab.optim.losses import Losses
from sgdlab.results import CellResult, rank, result_row
from sgdlab.runs import RunDirectory


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
                each,
                self.axes,
                self.test_losses.get(each.cell.index),
                self.final.get(each.cell.index),
            )
            for each in chosen
        ]


def read_search(directory: RunDirectory) -> SearchResult:
    """A finished search, from its files alone.

    Raises
    ------
    NothingToSelectError
        If every cell diverged.
    StorageError
        If a file is absent or broken.
    """
    experiment = directory.experiment()
    if experiment["best"] is None:
        raise NothingToSelectError(f"{directory.path}: {experiment['reason']}")
    config = Config.model_validate(experiment["config"])
    ranked = rank(directory.results(), config.select.metric)
    ranked.sort(key=lambda each: each.cell.name != experiment["best"])  # else as they are
    return SearchResult(
        directory=directory,
        config=config,
        shape=Shape(**experiment["data"]["shape"]),
        axes=expand(config).axes,
        is_synthetic=experiment["synthetic"],
        results=tuple(ranked),
        final=directory.final_results(),
        constant=_number(experiment["constant"]),
        constant_losses={
            name: Losses(**_numbers(each)) for name, each in experiment["constant_losses"].items()
        },
        differences={
            name: Difference(each["metric"], _number(each["mean"]), each["standard_error"])
            for name, each in experiment["differences"].items()
        },
        test_losses={
            int(cell): Losses(**_numbers(each)) for cell, each in experiment["test_losses"].items()
        },
        findings=tuple(experiment["findings"]),
    )


def _number(value: float | None) -> float:
    """JSON has null where a number is not finite."""
    return math.nan if value is None else value


def _numbers(log: dict[str, float | None]) -> dict[str, float]:
    return {name: _number(value) for name, value in log.items()}
