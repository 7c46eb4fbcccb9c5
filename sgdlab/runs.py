"""Run directories: the only code that writes below ``runs/``, and every path in it."""

import hashlib
import json
import re
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgdlab import strict_json, system
from sgdlab.arrays import Arrays, npz_bytes, outcome_arrays, outcomes_of, read_npz
from sgdlab.config import Config
from sgdlab.data.rows import Transform
from sgdlab.engine.blocks import Outcome
from sgdlab.errors import StorageError, UsageError
from sgdlab.grid import Cell
from sgdlab.plan import Block
from sgdlab.results import CellResult, ReplicateResult, replicate_result

# Raised whenever the results of some config change in any bit.
NUMERICS_VERSION = 1


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
    def state_folder(self) -> Path:
        return self.path / "state"

    @property
    def stops_folder(self) -> Path:
        return self.state_folder / "stops"

    def cell_file(self, cell: int) -> Path:
        return self.cells_folder / f"{cell:04d}.json"

    def stop_file(self, block: int, epoch: int) -> Path:
        return self.stops_folder / f"block-{block:04d}-epoch-{epoch:06d}.npz"

    @property
    def exists(self) -> bool:
        return self.experiment_file.exists()

    def experiment(self) -> dict[str, Any]:
        """What ``experiment.json`` says.

        Raises
        ------
        StorageError
            If it cannot be read.
        """
        return _read_json(self.experiment_file)

    def results(self) -> list[CellResult]:
        """Of all cells that have a log, in the order of the grid."""
        files = sorted(self.cells_folder.glob("*.json"), key=lambda file: int(file.stem))
        return [CellResult.from_log(_read_json(file)) for file in files]

    def result(self, cell: int) -> CellResult:
        """Of one cell.

        Raises
        ------
        UsageError
            If it has no log.
        """
        if not self.cell_file(cell).exists():
            raise UsageError(f"{self.path}: no cell {cell:04d}; expected one with a log in cells/")
        return CellResult.from_log(_read_json(self.cell_file(cell)))


def run_name(config: Config, fingerprint: str, is_synthetic: bool) -> str:
    """``NAME-HASH``: the hash over everything that a result depends on."""
    resolved = config.model_dump(mode="json", exclude_none=True)
    for key in ("path", "prefix", "if_missing", "target_unit"):
        resolved["data"].pop(key)
    what = {key: resolved[key] for key in ("data", "train", "grid", "select")}
    what |= {"fingerprint": fingerprint, "numerics_version": NUMERICS_VERSION}
    canonical = json.dumps(what, sort_keys=True).encode()
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", config.name).strip("-.")[:60] or "run"
    infix = "-synthetic" if is_synthetic else ""
    return f"{slug}{infix}-{hashlib.sha256(canonical).hexdigest()[:8]}"


def fresh_directory(runs_dir: Path, name: str) -> RunDirectory:
    """The first of NAME, NAME-2, NAME-3, ... that does not exist yet."""
    number, directory = 1, RunDirectory(runs_dir / name)
    while directory.exists:
        number += 1
        directory = RunDirectory(runs_dir / f"{name}-{number}")
    return directory


def find_run(runs_dir: Path, reference: str) -> RunDirectory:
    """The run of a path, a name below ``runs_dir``, or ``latest``.

    Raises
    ------
    UsageError
        If there is none.
    """
    known = [file.parent for file in runs_dir.glob("*/experiment.json")]
    if reference == "latest" and known:
        newest = max(known, key=lambda path: RunDirectory(path).experiment_file.stat().st_mtime_ns)
        return RunDirectory(newest)
    for path in (runs_dir / reference, Path(reference)):
        if "\0" not in reference and RunDirectory(path).exists:
            return RunDirectory(path)
    names = ", ".join(sorted(path.name for path in known)[:5])
    expected = f"expected a run's path, latest, or one of {names}" if known else "there are no runs"
    raise UsageError(f"{reference!r} in {runs_dir}: no such run; {expected} (see --runs-dir)")


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
        self._kept = set(self._kept_cells())
        self._logged = {int(file.stem) for file in directory.cells_folder.glob("*.json")}
        for file in sorted(directory.stops_folder.glob("*.npz")):
            self._take(file, outcomes_of(read_npz(file)))

    def has(self, block: Block, with_weights: bool) -> bool:
        """Whether all outcomes of a block are committed, if need be with their weights."""
        return all(
            (stop.cell, trajectory.replicate) in self._stops
            or (stop.cell in self._logged and (stop.cell in self._kept or not with_weights))
            for trajectory in block.trajectories
            for stop in trajectory.stops
        )

    def commit(self, block: int, epoch: int, outcomes: Sequence[Outcome]) -> None:
        """Make the outcomes of one block and epoch durable."""
        file = self.directory.stop_file(block, epoch)
        system.write_files({file: npz_bytes(outcome_arrays(outcomes))})
        self._take(file, outcomes)

    def weights(self, result: CellResult) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """Weights (replicates, n_features) and bias (replicates,) of a completed cell."""
        cell = result.cell.index
        if (cell, 0) not in self._stops:
            return kept_weights(self.directory, cell)
        stops = [self._stops[cell, each.replicate] for each in result.replicates]
        found = [(self._stop_arrays(file), row) for file, row in stops]
        weights = np.stack([arrays["weights"][row] for arrays, row in found])
        return weights, np.array([arrays["bias"][row] for arrays, row in found])

    def write_experiment(self, experiment: Mapping[str, Any]) -> None:
        system.write_files({self.directory.experiment_file: strict_json.encode(experiment)})

    @property
    def n_cells(self) -> int:
        """How many cells have a log."""
        return len(self._logged)

    def finish(self, files: Mapping[Path, bytes], experiment: Mapping[str, Any]) -> None:
        """Write a run's last files, then its ``experiment.json``, then drop what was in between."""
        system.write_files(files)
        self.write_experiment(experiment)
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
        system.write_files(logs)
        self._logged |= {int(path.stem) for path in logs}

    def _stop_arrays(self, file: Path) -> Arrays:
        """Of a file; cells are asked for in an order in which neighbours share one."""
        if self._last_read is None or self._last_read[0] != file:
            self._last_read = (file, read_npz(file))
        return self._last_read[1]

    def _kept_cells(self) -> list[int]:
        if not self.directory.weights_file.exists():
            return []
        cells: list[int] = read_npz(self.directory.weights_file)["cells"].tolist()
        return cells


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
    for folder in (directory.cells_folder, directory.stops_folder):
        system.make_folder(folder)
    with system.locked(directory.state_folder / "lock"):
        for orphan in directory.path.rglob(f".*{system.TEMPORARY_SUFFIX}"):
            orphan.unlink(missing_ok=True)
        yield OpenRun(directory, cells, is_synthetic)
    if not any(directory.stops_folder.glob("*")):
        shutil.rmtree(directory.state_folder, ignore_errors=True)


def kept_weights(directory: RunDirectory, cell: int) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Weights (replicates, n_features) and bias (replicates,) of a cell, from ``weights.npz``.

    Raises
    ------
    UsageError
        If those of this cell were not kept.
    """
    kept = read_npz(directory.weights_file)
    cells = kept["cells"].tolist()
    if cell not in cells:
        names = ", ".join(f"{each:04d}" for each in cells[:5])
        found = f"the weights of cell {cell:04d} were not kept; expected one of {names}"
        raise UsageError(f"{directory.path}: {found} (search again with --keep-weights all)")
    place = cells.index(cell)
    return kept["weights"][place], kept["bias"][place]


def kept_transform(directory: RunDirectory) -> Transform:
    """What was done to X before the weights of a run saw it, from ``weights.npz``."""
    kept = read_npz(directory.weights_file)
    mean, scale = (kept[name] if kept[name].size else None for name in ("mean", "scale"))
    return Transform(float(kept["divide_by"]), mean, scale)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
        return content
    except (OSError, ValueError) as error:
        message = f"{path}: cannot be read ({error}); expected a file of a run"
        raise StorageError(f"{message} (start over with --fresh)") from None
