"""What a finished run has stored: every file is what it was written as, to the last byte."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sgdlab.config.grid import Cell, Grid, expand
from sgdlab.errors import StorageError, UsageError
from sgdlab.planning.plan import Plan
from sgdlab.runs.archive import Arrays
from sgdlab.runs.cell_log import CellResult
from sgdlab.runs.conclusion import Conclusion
from sgdlab.runs.directory import RunDirectory
from sgdlab.runs.experiment import Experiment
from sgdlab.runs.logs import Logs, read_keys
from sgdlab.runs.names import NUMERICS_VERSION
from sgdlab.runs.reading import START_OVER, read_bytes, reading
from sgdlab.runs.stops import npz_arrays
from sgdlab.runs.successor import from_either


@dataclass(frozen=True)
class Stored:
    """A finished run, and what its files say; their numbers may contradict each other."""

    directory: RunDirectory
    experiment: Experiment
    conclusion: Conclusion
    grid: Grid
    plan: Plan
    final_plan: Plan

    @property
    def final_cells(self) -> list[Cell]:
        """With folds: the cells that were trained on all rows."""
        return [self.grid.cells[index] for index in sorted(self.final_plan.cells)]

    def all_logs(self) -> Iterator[tuple[Cell, bool]]:
        """Every cell that has a log, and whether it is that of its training on all rows."""
        yield from ((cell, False) for cell in self.grid.cells)
        yield from ((cell, True) for cell in self.final_cells)

    def read_all(self) -> None:
        """Read every file, so that damage is told of before anything is trained."""
        for cell, is_final in self.all_logs():
            self.log(cell, is_final)
        self.table()
        if self.conclusion.best is not None:
            self.arrays(self.directory.predictions_file)
            self.arrays(self.directory.weights_file)

    def folder(self, is_final: bool) -> Path:
        return self.directory.final_folder if is_final else self.directory.cells_folder

    def log(self, cell: Cell, is_final: bool) -> dict[str, Any]:
        """The keys of a cell's log."""
        known = self.experiment.known_hashes
        folds = None if is_final else self.experiment.data.shape.folds
        return read_keys(self.directory.path, self.folder(is_final).name, cell, known, folds)

    def logs(self, cells: list[Cell], is_final: bool) -> Logs:
        """The logs of some cells, whose numbers must not contradict each other."""
        read = self.directory.final_logs if is_final else self.directory.logs
        return read(cells, self.experiment.known_hashes)

    def as_they_say(self) -> tuple[Logs, Logs]:
        """All logs, and with folds those of trainings on all rows, as :meth:`log` reads them."""
        found = (Logs({}, {}, {}), Logs({}, {}, {}))
        for cell, is_final in self.all_logs():
            found[is_final].results[cell.index] = CellResult.as_it_says(self.log(cell, is_final))
        return found

    def table(self) -> list[dict[str, str]]:
        """The rows of ``results.csv``."""
        file = self.directory.results_file
        with reading(file):
            text = self._content(file).decode()
            return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))

    def arrays(self, file: Path) -> Arrays:
        """The content of ``weights.npz`` or ``predictions.npz``."""
        return npz_arrays(file, self._content(file))

    def _content(self, file: Path) -> bytes:
        look = partial(read_bytes, sha256=self.experiment.known_hashes.get(file.name))
        return from_either(self.directory.path, file.name, look)


def read_stored(directory: RunDirectory) -> Stored:
    """A finished run, each of whose files has the hash and the keys that it must have.

    Raises
    ------
    UsageError
        If it is not finished.
    StorageError
        If something of it is absent or damaged, or another sgdlab made it, whose bits are others.
    """
    experiment = directory.experiment()
    _check_version(directory, experiment)
    conclusion, grid = experiment.conclusion, expand(experiment.config)
    if not experiment.is_finished or conclusion is None:
        hint = "give the command again that began it"
        raise UsageError(directory.path, experiment.status, "a finished run", hint)
    with directory.interpreting():
        plan = experiment.training_plan(grid.cells)
        if conclusion.cells.total != len(grid.cells):
            raise ValueError(f"cells: {conclusion.cells.total} of a grid of {len(grid.cells)}")
    final_plan = directory.final_plan(experiment, grid.cells)
    for file in directory.missing_files(experiment, grid.cells):
        hint = "give the command again that made it: what is missing is made again"
        raise StorageError(file, "missing", "a file of a finished run", hint)
    stored = Stored(directory, experiment, conclusion, grid, plan, final_plan)
    stored.read_all()
    return stored


def _check_version(directory: RunDirectory, experiment: Experiment) -> None:
    version = experiment.numerics_version
    if version == NUMERICS_VERSION:
        return
    by = "a newer" if version > NUMERICS_VERSION else "an older"
    hint = "use the newer one" if version > NUMERICS_VERSION else START_OVER
    found = f"numerics_version {version}, of {by} sgdlab, whose results have other bits"
    raise StorageError(directory.experiment_file, found, str(NUMERICS_VERSION), hint)
