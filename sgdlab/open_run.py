"""A run that this process holds: the only code that writes below ``runs/``."""

import shutil
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgdlab import strict_json, system
from sgdlab.arrays import Arrays, npz_bytes, outcome_arrays, outcomes_of, read_npz
from sgdlab.engine.blocks import Outcome
from sgdlab.errors import StorageError
from sgdlab.grid import Cell
from sgdlab.observer import Observer
from sgdlab.plan import Block
from sgdlab.results import CellResult, ReplicateResult, replicate_result
from sgdlab.runs import RunDirectory, all_kept_weights
from sgdlab.stored import reading


class OpenRun:
    """A run whose lock this process holds: commits outcomes, and knows which there are.

    An outcome is committed when it stands in ``state/stops``; a cell's log is written as soon as
    all of its replicates do. Both survive whatever happens afterwards.
    """

    def __init__(self, directory: RunDirectory, cells: Sequence[Cell], is_synthetic: bool) -> None:
        self.directory = directory
        self._cells = cells
        self._is_synthetic = is_synthetic
        self._stops: dict[tuple[int, int], tuple[Path, int]] = {}
        self._pending: dict[int, dict[int, ReplicateResult]] = defaultdict(dict)
        self._last_read: tuple[Path, Arrays] | None = None
        self._kept = all_kept_weights(directory) if directory.weights_file.exists() else {}
        self._logged = set(directory.logged_cells())

    def take_up(self, observer: Observer) -> None:
        """Find what earlier sessions committed; what of it is broken will be trained again."""
        for file in sorted(self.directory.stops_folder.glob("*.npz")):
            try:
                with reading(file):
                    outcomes = outcomes_of(read_npz(file))
                    for each in outcomes:
                        replicate_result(each, self._cells[each.cell])
            except StorageError:
                observer.note(f"{file}: broken; dropped, to be trained again where it is needed")
                file.unlink()
            else:
                self._take(file, outcomes)

    @property
    def n_cells(self) -> int:
        """How many cells have a log."""
        return len(self._logged)

    def has_results(self, block: Block) -> bool:
        """Whether all outcomes of a block are committed."""
        return all(
            stop.cell in self._logged or (stop.cell, trajectory.replicate) in self._stops
            for trajectory in block.trajectories
            for stop in trajectory.stops
        )

    def has_weights(self, block: Block, cells: Collection[int]) -> bool:
        """Whether the weights of those of a block's cells that are among the given are there."""
        return all(
            stop.cell in self._kept or (stop.cell, trajectory.replicate) in self._stops
            for trajectory in block.trajectories
            for stop in trajectory.stops
            if stop.cell in cells
        )

    def commit(self, block: int, epoch: int, outcomes: Sequence[Outcome]) -> None:
        """Make the outcomes of one block and epoch durable."""
        file = self.directory.stop_file(block, epoch)
        system.write_files({file: npz_bytes(outcome_arrays(outcomes))})
        self._take(file, outcomes)

    def weights(self, result: CellResult) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """Weights (replicates, n_features) and bias (replicates,) of a completed cell."""
        cell = result.cell.index
        if cell in self._kept:
            return self._kept[cell]
        stops = [self._stops[cell, each.replicate] for each in result.replicates]
        found = [(self._stop_arrays(file), row) for file, row in stops]
        weights = np.stack([arrays["weights"][row] for arrays, row in found])
        return weights, np.array([arrays["bias"][row] for arrays, row in found])

    def write(self, files: Mapping[Path, bytes]) -> None:
        """Write files of the run, each whole or not at all."""
        system.write_files(files)

    def write_experiment(self, experiment: Mapping[str, Any]) -> None:
        self.write({self.directory.experiment_file: strict_json.encode(experiment)})

    def drop_stops(self) -> None:
        """Forget what is needed no more once the run is finished."""
        shutil.rmtree(self.directory.stops_folder, ignore_errors=True)

    def _take(self, file: Path, outcomes: Sequence[Outcome]) -> None:
        """Remember where outcomes stand, and write the logs of cells that are complete."""
        logs: dict[Path, bytes] = {}
        for row, outcome in enumerate(outcomes):
            cell = self._cells[outcome.cell]
            self._stops[outcome.cell, outcome.replicate] = (file, row)
            replicates = self._pending[outcome.cell]
            replicates[outcome.replicate] = replicate_result(outcome, cell)
            if len(replicates) == cell.train.replicates:
                result = CellResult(cell, tuple(each for _, each in sorted(replicates.items())))
                del self._pending[outcome.cell]
                if outcome.cell not in self._logged:
                    log = strict_json.encode(result.to_log(self._is_synthetic))
                    logs[self.directory.cell_file(outcome.cell)] = log
        self.write(logs)
        self._logged |= {int(path.stem) for path in logs}

    def _stop_arrays(self, file: Path) -> Arrays:
        """Of a file; cells are asked for in an order in which neighbours share one."""
        if self._last_read is None or self._last_read[0] != file:
            self._last_read = (file, read_npz(file))
        return self._last_read[1]


@contextmanager
def open_run(
    directory: RunDirectory, cells: Sequence[Cell], is_synthetic: bool
) -> Iterator[OpenRun]:
    """Create a run or take it up again, under its lock.

    Raises
    ------
    StorageError
        If it cannot be written, or another process holds it.
    """
    system.make_folder(directory.state_folder)
    try:
        with system.locked(directory.state_folder / "lock"):
            for folder in (directory.cells_folder, directory.stops_folder):
                system.make_folder(folder)
            for orphan in directory.temporaries():
                orphan.unlink(missing_ok=True)
            try:
                yield OpenRun(directory, cells, is_synthetic)
            finally:
                _remove_if_empty(directory.stops_folder)
    finally:
        # Without the lock: if another process has taken it meanwhile, its lock file is in this
        # folder, which is not removed then. All that has content is removed under the lock.
        _remove_if_empty(directory.state_folder)


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()
