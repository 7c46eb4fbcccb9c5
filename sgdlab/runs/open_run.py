"""A run that this process holds: the only code that writes below ``runs/``."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from sgdlab.config.grid import Cell
from sgdlab.data.shape import Shape
from sgdlab.engine.checkpoints import Outcomes
from sgdlab.engine.running_block import Outcome
from sgdlab.errors import StorageError, UnreadableError
from sgdlab.observer import Observer
from sgdlab.planning.plan import Block
from sgdlab.runs.archive import Arrays
from sgdlab.runs.cell_log import CellResult
from sgdlab.runs.checkpoints import CheckpointFile
from sgdlab.runs.directory import RunDirectory, tell_of_strays
from sgdlab.runs.experiment import Experiment
from sgdlab.runs.kept import OTHER_BITS, Weights, as_logged, read_kept
from sgdlab.runs.logs import Logs, logged_cells, read_logs
from sgdlab.runs.reading import read_bytes, reading
from sgdlab.runs.replicate_log import ReplicateResult, contradictions, replicate_result
from sgdlab.runs.seals import sealed
from sgdlab.runs.setting_aside import set_aside
from sgdlab.runs.sizes import largest, most_of, stop_bytes
from sgdlab.runs.stops import (
    STOP_FORM,
    check_planned,
    npz_arrays,
    npz_bytes,
    outcome_arrays,
    outcomes_of,
)
from sgdlab.runs.successor import Successor
from sgdlab.system import files as system_files
from sgdlab.system.looking import is_there

NO_ORIGIN = "0" * 64  # of a run that was not taken up, and of which nobody will go on


class OpenRun:
    """A run whose lock this process holds: commits outcomes, and knows which there are.

    An outcome is committed when it stands in ``state/stops``; a cell's log is written as soon as
    all of its replicates do, in every fold. Both survive whatever happens afterwards. With folds, a
    cell that is also trained on all rows has a log of that, too.

    A run that is finished stays as it is until :meth:`write_experiment` is given the record of how
    it is finished anew: see :mod:`sgdlab.runs.successor`.
    """

    def __init__(
        self,
        directory: RunDirectory,
        cells: Sequence[Cell],
        is_synthetic: bool,
        folds: int | None,
        is_locked: bool,
    ) -> None:
        self.directory = directory
        self._is_locked = is_locked
        self._cells = cells
        self._is_synthetic = is_synthetic
        self._folds = folds
        self._stops: dict[tuple[int, int, int | None], tuple[Path, int]] = {}
        self._pending: dict[Path, dict[tuple[int, int], ReplicateResult]] = defaultdict(dict)
        self._last_read: tuple[Path, Arrays] | None = None
        self._successor: Successor | None = None
        self._has_begun = False
        self._origin = NO_ORIGIN
        self._n_features = self._most_stop_bytes = 0
        self._kept: Mapping[tuple[int, int | None], Weights] = {}
        self._logged: dict[Path, Path] = {}  # the place of every log in the run: where it is now

    def settle(self, experiment: Experiment) -> None:
        """Move into its place what belongs to a record that is there already."""
        most_bytes = most_of(largest(experiment.data.shape, self._cells))
        self.directory.successor.settle(experiment.known_hashes, most_bytes)

    def going_on(self, finished: Experiment, observer: Observer) -> Experiment:
        """A finished run of which more is asked; see :meth:`Successor.planned`."""
        self._successor = self.directory.successor
        return self._successor.planned(finished, observer)

    def take_up(self, observer: Observer, origin: str, shape: Shape) -> None:
        """Find what earlier sessions committed; stops that are broken will be trained again.

        Parameters
        ----------
        origin
            Which logs and stops are of this run; see :func:`sgdlab.runs.names.origin_of`.
        shape
            Of the data.

        Raises
        ------
        StorageError
            If a log is not as it was written, or is of another run: before anything is trained
            beside it. If something cannot be read now, of which nobody knows whether it is broken.
        """
        self._origin, self._n_features = origin, shape.n_features
        self._most_stop_bytes = most_of(stop_bytes(shape, self._cells))
        directory, cells = self.directory, self._cells
        if not self._is_locked:
            observer.note(f"{directory.path}: no locks here; run one command at a time on it")
        if is_there(directory.weights_file):
            self._kept = read_kept(directory, shape, cells).weights
        if (successor := self._successor) is not None:
            for folder in (directory.cells_folder, directory.final_folder):
                for cell in logged_cells(successor.place(folder), cells):
                    log = folder / f"{cells[cell].name}.json"
                    self._logged[log] = successor.place(log)
        logs = [directory.cell_file(cell) for cell in directory.logged_cells(cells)]
        logs += [directory.final_file(cell) for cell in directory.final_cells(cells)]
        self._logged |= {log: log for log in logs}
        self._check_logs()
        tell_of_strays(directory.strays(directory.stops_folder), observer)
        for file in directory.stops():
            self._take_stop(file, observer)

    def _take_stop(self, file: Path, observer: Observer) -> None:
        content = self._stop_bytes(file)  # one that cannot be opened is not known to be broken
        try:
            with reading(file):
                outcomes = outcomes_of(npz_arrays(file, content, STOP_FORM), self._origin)
                for outcome in outcomes:
                    check_planned(outcome, self._cells, self._folds, self._n_features)
                    cell = self._cells[outcome.cell]
                    for key, why in contradictions(replicate_result(outcome, cell), cell.train):
                        raise ValueError(f"{key}: {why}")
        except UnreadableError:
            raise
        except StorageError:
            now = set_aside(self.directory.path, file)
            what = f"broken; set aside as {now}, to be trained again where it is needed"
            observer.note(f"{file}: {what}")
        else:
            self._take(file, outcomes)

    @property
    def checkpoint(self) -> CheckpointFile:
        """Where the state of a training is kept that is not ended."""
        return CheckpointFile(self.directory.checkpoint_file, self.directory.path, self._origin)

    @property
    def n_cells(self) -> int:
        """How many cells have a log."""
        return sum(file.parent == self.directory.cells_folder for file in self._logged)

    @property
    def final_cells(self) -> set[int]:
        """With folds: which cells were trained on all rows."""
        final = self.directory.final_folder
        return {int(file.stem) for file in self._logged if file.parent == final}

    def logs(self, cells: Sequence[Cell]) -> Logs:
        """What came out of some cells; see :func:`sgdlab.runs.logs.read_logs`."""
        return self._read(cells, self.directory.cells_folder)

    def final_logs(self, cells: Sequence[Cell]) -> Logs:
        """With folds: what came out of cells that were trained on all rows."""
        return self._read(cells, self.directory.final_folder)

    def _read(self, cells: Sequence[Cell], folder: Path) -> Logs:
        folds = self._folds if folder == self.directory.cells_folder else None
        return read_logs(self.directory.path, folder.name, cells, {}, self._logged, folds)

    def without_results(self, block: Block) -> Outcomes:
        """The outcomes of a block that are not committed."""
        return {
            (stop.cell, trajectory.replicate)
            for trajectory in block.trajectories
            for stop in trajectory.stops
            if self._log_file(stop.cell, block.fold) not in self._logged
            and (stop.cell, trajectory.replicate, block.fold) not in self._stops
        }

    def without_weights(self, block: Block, cells: Collection[int]) -> Outcomes:
        """The outcomes of those of a block's cells that are among the given, without weights."""
        return {
            (stop.cell, trajectory.replicate)
            for trajectory in block.trajectories
            for stop in trajectory.stops
            if stop.cell in cells
            and (stop.cell, block.fold) not in self._kept
            and (stop.cell, trajectory.replicate, block.fold) not in self._stops
        }

    def commit(self, block: int, epoch: int, outcomes: Sequence[Outcome]) -> None:
        """Make the outcomes of one block and epoch durable."""
        file = self.directory.stop_file(block, epoch)
        system_files.write_files({file: npz_bytes(outcome_arrays(outcomes, self._origin))})
        self._take(file, outcomes)

    def weights(self, log: CellResult, fold: int | None = None) -> Weights:
        """Weights (replicates, n_features) and bias (replicates,) of a completed cell.

        Those of a fold, or by default those that are trained on all rows to train.

        Parameters
        ----------
        log
            Of that training.

        Raises
        ------
        StorageError
            If they are not those of which the log has the hashes.
        """
        cell = log.cell
        if (kept := self._kept.get((cell.index, fold))) is not None:
            return as_logged(self.directory.weights_file, kept, log, fold)
        stops = [self._stops[cell.index, n, fold] for n in range(cell.train.replicates)]
        found = [(self._stop_arrays(file), row) for file, row in stops]
        weights = np.stack([arrays["weights"][row] for arrays, row in found])
        bias = np.array([arrays["bias"][row] for arrays, row in found])
        return as_logged(stops[0][0], (weights, bias), log, fold, OTHER_BITS)

    def write(self, files: Mapping[Path, bytes]) -> None:
        """Write files of the run, each whole or not at all."""
        if self._successor is None:
            system_files.write_files(files)
        else:
            self._successor.write(files)

    def write_experiment(self, experiment: Experiment) -> None:
        """Write the record, after the files that it has the hashes of."""
        content = sealed(experiment.to_json())
        if self._successor is not None and experiment.is_finished:
            self._successor.replace_record(content)
            with suppress(StorageError):  # what is not moved now is found where it is, and later
                self.settle(experiment)
        else:
            self.write({self.directory.experiment_file: content})
            self._has_begun = True

    def tidy(self, experiment: Experiment) -> None:
        """Forget what is needed no more once the run is finished, and move what has to be moved."""
        self.settle(experiment)
        if not is_there(self.directory.successor.experiment_file):
            for file in self.directory.stops():
                with suppress(OSError):
                    file.unlink()
            self.checkpoint.remove()

    def discard(self) -> None:
        """Take back a run that was begun and in which nothing is committed or kept."""
        is_empty = not self._logged and not self._stops
        if self._has_begun and is_empty and not is_there(self.directory.checkpoint_file):
            with suppress(OSError):
                self.directory.experiment_file.unlink()

    def _take(self, file: Path, outcomes: Sequence[Outcome]) -> None:
        """Remember where outcomes stand, and write the logs of cells that are complete."""
        logs: dict[Path, bytes] = {}
        for row, outcome in enumerate(outcomes):
            cell = self._cells[outcome.cell]
            self._stops[outcome.cell, outcome.replicate, outcome.fold] = (file, row)
            log_file = self._log_file(outcome.cell, outcome.fold)
            trainings = self._pending[log_file]
            place = (0 if outcome.fold is None else outcome.fold, outcome.replicate)
            trainings[place] = replicate_result(outcome, cell)
            n_folds = 1 if outcome.fold is None else self._folds or 1
            if len(trainings) == n_folds * cell.train.replicates:
                result = CellResult(
                    cell, tuple(training for _, training in sorted(trainings.items()))
                )
                del self._pending[log_file]
                if log_file not in self._logged:
                    logs[log_file] = sealed(result.to_log(self._is_synthetic, self._origin))
        if logs:
            self.write(logs)
        places = self._successor.place if self._successor else Path
        self._logged |= {file: places(file) for file in logs}

    def _check_logs(self) -> None:
        for file, place in self._logged.items():
            found = self._read([self._cells[int(file.stem)]], file.parent)
            if set(found.origins.values()) != {self._origin}:
                what = "of another run, whose config or data are others"
                hint = "move it away, or start over with `fresh=True`"
                raise StorageError(place, what, "a log of this run", hint)

    def _log_file(self, cell: int, fold: int | None) -> Path:
        """Where an outcome is logged."""
        is_final = self._folds is not None and fold is None
        return self.directory.final_file(cell) if is_final else self.directory.cell_file(cell)

    def _stop_bytes(self, file: Path) -> bytes:
        return read_bytes(file, most_bytes=self._most_stop_bytes)

    def _stop_arrays(self, file: Path) -> Arrays:
        """What a file holds; cells are asked for in an order in which neighbours share one."""
        if self._last_read is None or self._last_read[0] != file:
            self._last_read = (file, npz_arrays(file, self._stop_bytes(file), STOP_FORM))
        return self._last_read[1]
