"""A cell of a finished run with its weights and its logs, each compared with its hash."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from sgdlab.config.grid import Cell, expand
from sgdlab.data.transform import Transform
from sgdlab.errors import UsageError
from sgdlab.optim.losses import Losses
from sgdlab.runs.cell_log import CellResult
from sgdlab.runs.conclusion import WithBest
from sgdlab.runs.directory import RunDirectory
from sgdlab.runs.experiment import Experiment
from sgdlab.runs.kept import Weights, as_logged, read_kept

NOT_LOGGED = Losses(math.nan, math.nan)


@dataclass(frozen=True)
class KeptModel:
    """A cell of a run and its weights.

    Attributes
    ----------
    result
        What came out of the cell.
    trained
        What came out of its training on all rows to train; without folds, the same.
    weights
        Those of folds by their numbers, and those of all rows to train (None).
    transform
        What was done to X before the weights saw it.
    """

    directory: RunDirectory
    experiment: Experiment
    conclusion: WithBest
    result: CellResult
    trained: CellResult
    weights: Mapping[int | None, Weights]
    transform: Transform

    @property
    def logged(self) -> dict[str, Losses]:
        """Losses on the run's own rows, as it has them; NaN where it has none."""
        test = self.conclusion.test_losses.get(self.result.cell.name)
        if test is None and self.experiment.tested == "all":
            with self.directory.interpreting():
                raise ValueError(f"test_losses.{self.result.cell.name}: not there")
        names = ("validation_loss", "validation_mae")
        return {
            "training": Losses(self.trained.mean("train_loss"), math.nan),
            "validation": Losses(*(self.result.mean(name) for name in names)),
            "test": test or NOT_LOGGED,
        }


def read_model(directory: RunDirectory, number: int | None) -> KeptModel:
    """The best cell of a run, or that with a number.

    Raises
    ------
    StorageError
        If a file that it is read from is absent or not as it was written.
    UsageError
        If the run is not finished, there is no such cell, or its weights were not kept.
    """
    experiment = directory.experiment()
    conclusion = _with_best(directory, experiment)
    cells, known = expand(experiment.config).cells, experiment.known_hashes
    with directory.interpreting():
        if conclusion.cells.total != len(cells):
            raise ValueError(f"cells: {conclusion.cells.total} of a grid of {len(cells)}")
    cell = _chosen(cells, conclusion, number)
    result = directory.logs([cell], known, experiment.data.shape.folds).results[cell.index]
    if result.status == "diverged":
        raise UsageError(f"`cell={cell.index}`", "diverged", "a cell that has weights")
    kept, trained = read_kept(directory, experiment.data.shape, cells, known), result
    folds = kept.folds_of(cell.index)
    if experiment.data.shape.folds is not None:
        trained = directory.final_logs([cell], known).results[cell.index]
    weights = {
        fold: as_logged(
            kept.file, kept.weights[cell.index, fold], trained if fold is None else result, fold
        )
        for fold in folds
    }
    model = (result, trained, weights, kept.transform)
    return KeptModel(directory, experiment, conclusion, *model)


def _with_best(directory: RunDirectory, experiment: Experiment) -> WithBest:
    """The conclusion of a run that has a best cell."""
    if experiment.is_finished and isinstance(experiment.conclusion, WithBest):
        return experiment.conclusion
    found = f"{experiment.status}, best cell {experiment.best}"
    raise UsageError(directory.path, found, "a run with a best cell")


def _chosen(cells: tuple[Cell, ...], conclusion: WithBest, number: int | None) -> Cell:
    """The best cell, or the one that was asked for."""
    chosen = int(conclusion.best) if number is None else number
    if not 0 <= chosen < len(cells):
        raise UsageError(f"`cell={number}`", "no such cell", f"0000 to {cells[-1].name}")
    return cells[chosen]
