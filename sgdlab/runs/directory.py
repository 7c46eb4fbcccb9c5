"""A run directory: every path in it, and what its files say."""

import hashlib
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

from sgdlab.config.grid import Cell
from sgdlab.errors import StorageError
from sgdlab.planning.plan import Plan
from sgdlab.runs.cell_log import CellResult
from sgdlab.runs.experiment import Experiment, read_experiment
from sgdlab.runs.reading import START_OVER, read_json, reading
from sgdlab.system import files as system_files


@dataclass(frozen=True)
class RunDirectory:
    """Every path of one run."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def experiment_file(self) -> Path:
        return self.path / "experiment.json"

    @property
    def results_file(self) -> Path:
        return self.path / "results.csv"

    @property
    def weights_file(self) -> Path:
        return self.path / "weights.npz"

    @property
    def predictions_file(self) -> Path:
        return self.path / "predictions.npz"

    @property
    def cells_folder(self) -> Path:
        return self.path / "cells"

    @property
    def final_folder(self) -> Path:
        """With folds: logs of cells that were trained on all rows."""
        return self.path / "final"

    @property
    def state_folder(self) -> Path:
        return self.path / "state"

    @property
    def stops_folder(self) -> Path:
        return self.state_folder / "stops"

    def cell_file(self, cell: int) -> Path:
        return self.cells_folder / f"{cell:04d}.json"

    def final_file(self, cell: int) -> Path:
        return self.final_folder / f"{cell:04d}.json"

    def stop_file(self, block: int, epoch: int) -> Path:
        return self.stops_folder / f"block-{block:04d}-epoch-{epoch:06d}.npz"

    @property
    def exists(self) -> bool:
        return os.path.exists(self.experiment_file)  # False too where the path is too long

    @property
    def has_leftovers(self) -> bool:
        """Whether files of an unfinished or killed session are there."""
        return self.state_folder.exists() or bool(self.temporaries())

    def temporaries(self) -> list[Path]:
        """What a killed process was writing."""
        return list(self.path.rglob(f".*{system_files.TEMPORARY_SUFFIX}"))

    def experiment(self) -> Experiment:
        """What ``experiment.json`` says; see :func:`sgdlab.runs.experiment.read_experiment`."""
        return read_experiment(self.experiment_file)

    def interpreting(self) -> AbstractContextManager[None]:
        """Compare what ``experiment.json`` says with other things inside.

        Whatever does not fit becomes a StorageError that names the file.
        """
        return reading(self.experiment_file, START_OVER)

    def logged_cells(self) -> list[int]:
        """The cells that have a log, in the order of the grid.

        Raises
        ------
        StorageError
            If there is a file that is no cell's log.
        """
        return _cells_in(self.cells_folder)

    def results(self) -> list[CellResult]:
        """What came out of all cells that have a log, in the order of the grid."""
        return [self.result(cell) for cell in self.logged_cells()]

    def result(self, cell: int) -> CellResult:
        """What came out of one cell.

        Raises
        ------
        StorageError
            If its log is absent or broken.
        """
        return _read_result(self.cell_file(cell))

    def final_cells(self) -> list[int]:
        """With folds: the cells that were trained on all rows."""
        return _cells_in(self.final_folder)

    def final_results(self) -> dict[int, CellResult]:
        """The results of these, by the cell's index."""
        return {cell: _read_result(self.final_file(cell)) for cell in self.final_cells()}

    def final_plan(self, experiment: Experiment, cells: Sequence[Cell]) -> Plan:
        """With folds: how cells are trained on all rows, as far as that is planned.

        Raises
        ------
        StorageError
            If it does not fit the cells, or those that were trained on all rows.
        """
        with self.interpreting():
            plan = experiment.final_training(cells)
            if unplanned := set(self.final_cells()) - plan.cells:
                found = f"without cell {min(unplanned):04d}, which has a log"
                raise ValueError(f"final_plan.blocks.trajectories.cells: {found}")
        return plan

    def missing_files(self, experiment: Experiment, cells: Sequence[Cell]) -> list[Path]:
        """What a finished run lacks; the arrays and tables that it has are compared to their hash.

        Raises
        ------
        StorageError
            If one of them is not as it was written.
        """
        logged, final = set(self.logged_cells()), set(self.final_cells())
        planned = self.final_plan(experiment, cells).cells
        missing = [self.cell_file(cell.index) for cell in cells if cell.index not in logged]
        missing += [self.final_file(cell) for cell in sorted(planned - final)]
        files = {} if experiment.conclusion is None else experiment.conclusion.files
        for name, sha256 in files.items():
            file = self.path / name
            if not os.path.exists(file):
                missing.append(file)
                continue
            with reading(file), open(file, "rb") as stream:
                if hashlib.file_digest(stream, "sha256").hexdigest() != sha256:
                    raise ValueError("its sha256 is not that in experiment.json")
        return missing

    def touch(self) -> None:
        """Make a finished run the latest; one that cannot be written stays as it is."""
        with suppress(OSError):
            os.utime(self.experiment_file)


def _cells_in(folder: Path) -> list[int]:
    """The cells that have a log in a folder."""
    files = list(folder.glob("*.json"))
    for file in files:
        if not (file.stem.isdecimal() and file.name == f"{int(file.stem):04d}.json"):
            expected = "names such as 0000.json"
            raise StorageError(file, "not a log of a cell", expected, "move it away")
    return sorted(int(file.stem) for file in files)


def _read_result(file: Path) -> CellResult:
    log = read_json(file)
    with reading(file):
        result = CellResult.from_log(log)
        if result.cell.index != int(file.stem):
            raise ValueError(f"cell {result.cell.name}")
    return result
