"""A run that this process holds: the only code that writes below ``runs/``."""

import os
import shutil
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from sgdlab.config.grid import Cell
from sgdlab.engine.running_block import Outcome
from sgdlab.errors import StorageError
from sgdlab.observer import Observer
from sgdlab.planning.plan import Block
from sgdlab.runs.cell_log import CellResult
from sgdlab.runs.directory import RunDirectory
from sgdlab.runs.experiment import Experiment
from sgdlab.runs.kept import Weights, as_logged, read_kept
from sgdlab.runs.reading import read_bytes, reading
from sgdlab.runs.replicate_log import ReplicateResult, replicate_result
from sgdlab.runs.seals import sealed
from sgdlab.runs.stops import Arrays, npz_arrays, npz_bytes, outcome_arrays, outcomes_of
from sgdlab.system import files as system_files
from sgdlab.system.locks import locked

# What to do where weights were trained again and came out with other bits than before.
OTHER_BITS = "on another machine or BLAS, start over with `fresh=True`"

NO_ORIGIN = "0" * 64  # of a run that was not taken up, and of which nobody will go on


class OpenRun:
    """A run whose lock this process holds: commits outcomes, and knows which there are.

    An outcome is committed when it stands in ``state/stops``; a cell's log is written as soon as
    all of its replicates do, in every fold. Both survive whatever happens afterwards. With folds, a
    cell that is also trained on all rows has a log of that, too.
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
        self._origin = NO_ORIGIN
        has_kept = os.path.lexists(directory.weights_file)
        self._kept = read_kept(directory).weights if has_kept else {}
        self._logged = {directory.cell_file(cell) for cell in directory.logged_cells(cells)}
        self._logged |= {directory.final_file(cell) for cell in directory.final_cells(cells)}

    def take_up(self, observer: Observer, origin: str) -> None:
        """Find what earlier sessions committed; stops that are broken will be trained again.

        Parameters
        ----------
        origin
            Which logs and stops are of this run; see :func:`sgdlab.runs.names.origin_of`.

        Raises
        ------
        StorageError
            If a log is not as it was written, or is of another run: before anything is trained
            beside it.
        """
        self._origin = origin
        if not self._is_locked:
            observer.note(f"{self.directory.path}: no locks here; run one command at a time on it")
        self._check_logs()
        for file in sorted(self.directory.stops_folder.glob("*.npz")):
            content = read_bytes(file)  # one that cannot be opened is not known to be broken
            try:
                with reading(file):
                    outcomes = outcomes_of(npz_arrays(file, content), origin)
                    for outcome in outcomes:
                        self._check_planned(outcome)
                        replicate_result(outcome, self._cells[outcome.cell])
            except StorageError:
                observer.note(f"{file}: broken; dropped, to be trained again where it is needed")
                file.unlink()
            else:
                self._take(file, outcomes)

    @property
    def n_cells(self) -> int:
        """How many cells have a log."""
        return sum(file.parent == self.directory.cells_folder for file in self._logged)

    def has_results(self, block: Block) -> bool:
        """Whether all outcomes of a block are committed."""
        return all(
            self._log_file(stop.cell, block.fold) in self._logged
            or (stop.cell, trajectory.replicate, block.fold) in self._stops
            for trajectory in block.trajectories
            for stop in trajectory.stops
        )

    def has_weights(self, block: Block, cells: Collection[int]) -> bool:
        """Whether the weights of those of a block's cells that are among the given are there."""
        return all(
            (stop.cell, block.fold) in self._kept
            or (stop.cell, trajectory.replicate, block.fold) in self._stops
            for trajectory in block.trajectories
            for stop in trajectory.stops
            if stop.cell in cells
        )

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
        system_files.write_files(files)

    def write_experiment(self, experiment: Experiment) -> None:
        self.write({self.directory.experiment_file: sealed(experiment.to_json())})

    def drop_stops(self) -> None:
        """Forget what is needed no more once the run is finished."""
        shutil.rmtree(self.directory.stops_folder, ignore_errors=True)

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
        self.write(logs)
        self._logged |= logs.keys()

    def _check_logs(self) -> None:
        directory = self.directory
        for logged, read in (
            (directory.logged_cells, directory.logs),
            (directory.final_cells, directory.final_logs),
        ):
            found = read([self._cells[n] for n in sorted(logged(self._cells))])
            for name, origin in found.origins.items():
                if origin != self._origin:
                    what = "of another run, whose config or data are others"
                    hint = "move it away, or start over with `fresh=True`"
                    raise StorageError(directory.path / name, what, "a log of this run", hint)

    def _check_planned(self, outcome: Outcome) -> None:
        """Raise ValueError unless an outcome is of a training of this run."""
        folds = (None,) if self._folds is None else (None, *range(self._folds))
        is_cell = 0 <= outcome.cell < len(self._cells)
        n_replicates = self._cells[outcome.cell].train.replicates if is_cell else 0
        if not 0 <= outcome.replicate < n_replicates or outcome.fold not in folds:
            found = f"cell {outcome.cell}, replicate {outcome.replicate}, fold {outcome.fold}"
            raise ValueError(f"{found}: no training of this run")

    def _log_file(self, cell: int, fold: int | None) -> Path:
        """Where an outcome is logged."""
        is_final = self._folds is not None and fold is None
        return self.directory.final_file(cell) if is_final else self.directory.cell_file(cell)

    def _stop_arrays(self, file: Path) -> Arrays:
        """What a file holds; cells are asked for in an order in which neighbours share one."""
        if self._last_read is None or self._last_read[0] != file:
            self._last_read = (file, npz_arrays(file, read_bytes(file)))
        return self._last_read[1]


@contextmanager
def open_run(
    directory: RunDirectory, cells: Sequence[Cell], is_synthetic: bool, folds: int | None = None
) -> Iterator[OpenRun]:
    """Create a run or take it up again, under its lock.

    Raises
    ------
    StorageError
        If it cannot be written, or another process holds it.
    """
    system_files.make_folder(directory.state_folder)
    try:
        with locked(directory.state_folder / "lock") as is_locked:
            for folder in (directory.cells_folder, directory.stops_folder):
                system_files.make_folder(folder)
            if folds is not None:
                system_files.make_folder(directory.final_folder)
            for orphan in directory.temporaries():
                orphan.unlink(missing_ok=True)
            try:
                yield OpenRun(directory, cells, is_synthetic, folds, is_locked)
            finally:
                _remove_if_empty(directory.stops_folder)
    finally:
        # Without the lock: if another process has taken it meanwhile, its lock file is in this
        # folder, which is not removed then. All that has content is removed under the lock.
        _remove_if_empty(directory.state_folder)


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()
