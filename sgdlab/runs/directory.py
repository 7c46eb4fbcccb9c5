"""A run directory: every path in it, and what its files say."""

import os
import re
import stat
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

from sgdlab.config.grid import Cell
from sgdlab.data.row_array import RowArray
from sgdlab.errors import StorageError, UnreadableError
from sgdlab.observer import Observer
from sgdlab.planning.plan import Plan
from sgdlab.runs.experiment import Experiment, read_experiment
from sgdlab.runs.logs import LOG, Hashes, Logs, logged_cells, read_logs
from sgdlab.runs.reading import START_OVER, check_hash, reading
from sgdlab.runs.setting_aside import FOLDER as ASIDE
from sgdlab.runs.sizes import largest, most_of
from sgdlab.runs.successor import Successor, from_either
from sgdlab.system.files import is_temporary
from sgdlab.system.looking import is_regular, is_there, names_in, status_of

Arrays = Mapping[str, RowArray]
STOP = re.compile(r"block-[0-9]{4,}-epoch-[0-9]{6,}\.npz")
NOTHING_KNOWN: Hashes = MappingProxyType({})


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

    @property
    def checkpoint_file(self) -> Path:
        """While a pass is being trained: where it stands."""
        return self.state_folder / "checkpoint.npz"

    @property
    def successor(self) -> Successor:
        """What is to replace files of it, once it is finished and more is asked for."""
        return Successor(self.path)

    def cell_file(self, cell: int) -> Path:
        return self.cells_folder / f"{cell:04d}.json"

    def final_file(self, cell: int) -> Path:
        return self.final_folder / f"{cell:04d}.json"

    def stop_file(self, block: int, epoch: int) -> Path:
        return self.stops_folder / f"block-{block:04d}-epoch-{epoch:06d}.npz"

    @property
    def exists(self) -> bool:
        """Whether there is a record of it; see :func:`sgdlab.system.looking.status_of`."""
        return is_there(self.experiment_file)

    @property
    def has_leftovers(self) -> bool:
        """Whether files of an unfinished or killed session are there."""
        return is_there(self.state_folder) or bool(self.temporaries())

    def temporaries(self) -> list[Path]:
        """What a killed process was writing."""
        following = self.successor.folder
        folders = [self.path, self.cells_folder, self.final_folder, self.state_folder]
        folders += [self.stops_folder, following, following / "cells", following / "final"]
        found = [folder / name for folder in folders for name in names_in(folder)]
        return [file for file in found if is_temporary(file.name) and is_regular(file)]

    def stops(self) -> list[Path]:
        """The files of outcomes that are committed, in order."""
        names = names_in(self.stops_folder)
        return [self.stops_folder / name for name in names if STOP.fullmatch(name)]

    def strays(self, *folders: Path) -> list[Path]:
        """What stands among the logs or stops and is nothing of this program."""
        return [
            folder / name
            for folder in folders
            for name in names_in(folder)
            if not (STOP if folder == self.stops_folder else LOG).fullmatch(name)
            and not is_temporary(name)
        ]

    def experiment(self, planned_bytes: int = 0) -> Experiment:
        """What ``experiment.json`` says; see :func:`sgdlab.runs.experiment.read_experiment`."""
        self.check_folders()
        return read_experiment(self.experiment_file, planned_bytes)

    def check_folders(self) -> None:
        """See that what is read or written in the run's folders stands in this run.

        Raises
        ------
        StorageError
            If one of them leads elsewhere, or is no folder.
        """
        following = self.successor.folder
        folders = [self.cells_folder, self.final_folder, self.state_folder, self.stops_folder]
        folders += [following, following / "cells", following / "final", self.path / ASIDE]
        for folder in folders:
            with suppress(UnreadableError):  # whoever needs what is in it is told
                _check_folder(folder)

    def interpreting(self) -> AbstractContextManager[None]:
        """Compare what ``experiment.json`` says with other things inside.

        Whatever does not fit becomes a StorageError that names the file.
        """
        return reading(self.experiment_file, START_OVER)

    def is_of(self, experiment: Experiment, arrays: Arrays, observer: Observer) -> bool:
        """Whether it is of these very arrays; see :meth:`sgdlab.runs.data_log.DataLog.is_of`.

        Raises
        ------
        StorageError
            If ``experiment.json`` does not say so.
        """
        with self.interpreting():
            return experiment.data.is_of(arrays, observer)

    def logged_cells(self, cells: Sequence[Cell]) -> set[int]:
        """Which cells of the grid have a log; see :func:`sgdlab.runs.logs.logged_cells`."""
        return logged_cells(self.cells_folder, cells)

    def final_cells(self, cells: Sequence[Cell]) -> set[int]:
        """With folds: which cells were trained on all rows."""
        return logged_cells(self.final_folder, cells)

    def logs(
        self, cells: Sequence[Cell], known: Hashes = NOTHING_KNOWN, folds: int | None = None
    ) -> Logs:
        """What came out of some cells; see :func:`sgdlab.runs.logs.read_logs`."""
        return read_logs(self.path, self.cells_folder.name, cells, known, folds=folds)

    def final_logs(self, cells: Sequence[Cell], known: Hashes = NOTHING_KNOWN) -> Logs:
        """With folds: what came out of cells that were trained on all rows."""
        return read_logs(self.path, self.final_folder.name, cells, known)

    def final_plan(self, experiment: Experiment, cells: Sequence[Cell]) -> Plan:
        """With folds: how cells are trained on all rows, as far as that is planned.

        Raises
        ------
        StorageError
            If it does not fit the cells, or those that were trained on all rows.
        """
        with self.interpreting():
            plan = experiment.final_training(cells)
            if unplanned := self.final_cells(cells) - plan.cells:
                found = f"without cell {min(unplanned):04d}, which has a log"
                raise ValueError(f"final_plan.blocks.trajectories.cells: {found}")
        return plan

    def missing_files(self, experiment: Experiment, cells: Sequence[Cell]) -> list[Path]:
        """What a finished run lacks; all files that it has are compared to their hashes.

        Raises
        ------
        StorageError
            If one of them is not as it was written, or is a log of no cell.
        """
        self.logged_cells(cells)
        self.final_plan(experiment, cells)
        missing, most_bytes = [], most_of(largest(experiment.data.shape, cells))
        for name, sha256 in experiment.known_hashes.items():
            look = partial(check_hash, sha256=sha256, most_bytes=most_bytes)
            try:
                from_either(self.path, name, look)
            except StorageError:
                if is_there(self.path / name):
                    raise
                missing.append(self.path / name)
        return missing

    def touch(self) -> None:
        """Make a finished run the latest; one that cannot be written stays as it is."""
        with suppress(OSError):
            os.utime(self.experiment_file)


def _check_folder(folder: Path) -> None:
    """Raise StorageError if something else than a folder stands there."""
    if (status := status_of(folder)) is not None and not stat.S_ISDIR(status.st_mode):
        what = "a symbolic link" if stat.S_ISLNK(status.st_mode) else "not a folder"
        raise StorageError(folder, what, "a folder of the run", "move it away")


def tell_of_strays(strays: Sequence[Path], observer: Observer) -> None:
    """Say what is passed over."""
    for stray in strays:
        observer.note(f"{stray}: nothing that sgdlab wrote; passed over")
