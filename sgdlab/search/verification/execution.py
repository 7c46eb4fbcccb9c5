"""Blocks of a run trained again: nothing is written, and of weights only those wanted are held."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgdlab.config.grid import Cell
from sgdlab.data.dataset import Dataset
from sgdlab.engine.running_block import Outcome
from sgdlab.engine.training import train_blocks
from sgdlab.observer import Observer
from sgdlab.planning.cost import check_memory
from sgdlab.planning.memory import assign_memory
from sgdlab.planning.plan import Pass, n_threads
from sgdlab.runs.cell_log import CellResult
from sgdlab.runs.experiment import Experiment
from sgdlab.runs.kept import Weights
from sgdlab.runs.replicate_log import ReplicateResult, replicate_result

Trainings = dict[tuple[int, int], ReplicateResult]  # by fold, or 0 without folds, and replicate


@dataclass
class Executed:
    """What came out of the blocks that were trained again.

    Attributes
    ----------
    folds
        Of the run.
    wanted
        The cells, by index, of which weights are held.
    """

    cells: Sequence[Cell]
    folds: int | None
    wanted: Collection[int]
    _trainings: dict[tuple[bool, int], Trainings] = field(default_factory=lambda: defaultdict(dict))
    _weights: dict[tuple[int, int | None], dict[int, tuple[NDArray[Any], float]]] = field(
        default_factory=lambda: defaultdict(dict)
    )

    def take(self, outcome: Outcome) -> None:
        """Take what became of one training."""
        cell, is_final = self.cells[outcome.cell], outcome.fold is None and self.folds is not None
        place = (outcome.fold or 0, outcome.replicate)
        self._trainings[is_final, cell.index][place] = replicate_result(outcome, cell)
        if cell.index in self.wanted and outcome.weights is not None:
            exact = outcome.weights.astype(cell.train.precision)
            self._weights[cell.index, outcome.fold][outcome.replicate] = (exact, outcome.bias)

    def trainings(self, cell: Cell, is_final: bool) -> list[ReplicateResult]:
        """Those of a cell, in the order of its log; perhaps not all, and perhaps none."""
        found = self._trainings.get((is_final, cell.index), {})
        return [found[place] for place in sorted(found)]

    def result(self, cell: Cell, is_final: bool) -> CellResult | None:
        """What came out of a cell; None unless it was trained in all folds and replicates."""
        found = self.trainings(cell, is_final)
        n_folds = 1 if is_final else self.folds or 1
        is_whole = len(found) == n_folds * cell.train.replicates
        return CellResult(cell, tuple(found)) if is_whole else None

    @property
    def whole_cells(self) -> set[int]:
        """The cells, by index, that were trained in all of their folds and replicates."""
        return {cell.index for cell in self.cells if self.result(cell, is_final=False) is not None}

    def weights(self, cell: Cell, fold: int | None) -> Weights | None:
        """The weights and bias of a cell; None if they are not held."""
        held = self._weights.get((cell.index, fold), {})
        if len(held) < cell.train.replicates:
            return None
        weights, bias = zip(*(held[n] for n in range(cell.train.replicates)), strict=True)
        return np.stack(weights), np.array(bias)


def execute(
    passes: Sequence[Pass],
    cells: Sequence[Cell],
    wanted: Collection[int],
    dataset: Dataset,
    experiment: Experiment,
    observer: Observer,
) -> Executed:
    """Train the blocks of some passes as the run's plan says.

    Parameters
    ----------
    wanted
        The cells, by index, of which weights are needed.

    Raises
    ------
    StorageError
        If that takes more memory than there is.
    DataError
        If the arrays change meanwhile.
    """
    run, metric = experiment.config.run, experiment.config.select.metric
    executed = Executed(cells, dataset.shape.folds, wanted)
    works = assign_memory(passes, dataset.shape, run)
    check_memory(works, dataset.shape)
    with closing(train_blocks(works, dataset, n_threads(run), metric, observer)) as stream:
        for record in stream:
            dataset.check_unchanged()
            for outcome in record.outcomes:
                executed.take(outcome)
    return executed
