"""The logs of a run's cells beside what came out of training them again."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgdlab.config.grid import Cell
from sgdlab.runs.cell_log import CellResult
from sgdlab.runs.logs import log_name
from sgdlab.runs.names import origin_of
from sgdlab.runs.reading import reading
from sgdlab.runs.replicate_log import HISTORIES, ReplicateResult
from sgdlab.search.verification.closeness import Closeness
from sgdlab.search.verification.comparison import Comparison
from sgdlab.search.verification.execution import Executed
from sgdlab.search.verification.result import Place, Value
from sgdlab.search.verification.stored import Stored

FIRST = ("status", "epochs")  # of trainings that differ in these nothing else can be compared
HASH = "weights_sha256"  # is no number; what differs in it alone differs in weights


@dataclass(frozen=True)
class LogsBeside:
    """The logs of a run, and what was trained again of it.

    Attributes
    ----------
    near
        How near numbers of a cell must be.
    """

    stored: Stored
    executed: Executed
    near: Callable[[Cell], Closeness]
    comparison: Comparison

    def compare_trainings(self) -> list[tuple[Place, Value, Value]]:
        """Compare all numbers; gives the hashes of the weights, to be compared after them."""
        hashes: list[tuple[Place, Value, Value]] = []
        for cell, is_final in self.stored.all_logs():
            if not (trainings := self.executed.trainings(cell, is_final)):
                continue
            log = self.stored.log(cell, is_final)
            there = {(known["fold"], known["replicate"]): known for known in log["replicates"]}
            file = log_name(self.stored.folder(is_final).name, cell)
            for found in trainings:
                known = there[found.fold, found.replicate]
                place = Place(file, HASH, cell.name, found.fold, self._number(cell, found))
                self._compare_training(cell, place, known, found)
                hashes.append((place, known[HASH], found.weights_sha256))
            if (result := self.executed.result(cell, is_final)) is not None:
                self._compare_means(Place(file, "", cell.name), log, result)
        return hashes

    def _number(self, cell: Cell, training: ReplicateResult) -> int | None:
        return training.replicate if cell.train.replicates > 1 else None

    def _compare_training(
        self, cell: Cell, place: Place, known: dict[str, Any], found: ReplicateResult
    ) -> None:
        """Epoch by epoch, then what was measured in the end."""
        is_same = [
            self.comparison.value(replace(place, quantity=name), known[name], getattr(found, name))
            for name in FIRST
        ]
        if not all(is_same):
            return
        self._compare_histories(cell, place, known["history"], found)
        near = self.near(cell)
        for name, value in vars(found).items():
            if name in known and name not in (*FIRST, "history", HASH):
                there = replace(place, epoch=found.epochs, quantity=name)
                self.comparison.value(there, known[name], value, _allowed(near, name, known[name]))

    def _compare_histories(
        self, cell: Cell, place: Place, known: dict[str, Any], found: ReplicateResult
    ) -> None:
        file = self.stored.directory.path / place.file
        with reading(file):
            for name in HISTORIES:
                if len(known[name]) != found.epochs:
                    numbers = f"{len(known[name])} numbers of {found.epochs} epochs"
                    raise ValueError(f"history.{name}: {numbers}")
        before, now = (_by_epoch(history) for history in (known, found.history))
        near = self.near(cell)
        allowed = np.stack(
            [near.allowed(name, before[:, n]) for n, name in enumerate(HISTORIES)], axis=1
        )

        def place_of(index: tuple[int, ...]) -> Place:
            return replace(place, epoch=index[0] + 1, quantity=HISTORIES[index[1]])

        self.comparison.array(place.file, before, now, place_of, allowed)

    def _compare_means(self, place: Place, log: dict[str, Any], result: CellResult) -> None:
        """What stands above the trainings: their means, and of what they are."""
        experiment, near = self.stored.experiment, self.near(result.cell)
        found = result.to_log(experiment.synthetic, origin_of(experiment))
        for name, value in found.items():
            if name not in ("replicates", "hyperparameters"):
                known = log.get(name)
                there = replace(place, quantity=name)
                self.comparison.value(there, known, value, _allowed(near, name, known))


def _allowed(near: Closeness, name: str, known: object) -> float:
    return float(near.allowed(name, known)) if isinstance(known, float) else 0.0


def _by_epoch(history: dict[str, list[float | None]]) -> NDArray[np.float64]:
    """Shape (n_epochs, 3); NaN where JSON has null."""
    return np.array([history[name] for name in HISTORIES], np.float64).T
