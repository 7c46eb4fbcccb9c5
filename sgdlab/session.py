"""A search in its run directory: what is there already, what is missing, how it ended."""

import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sgdlab import provenance
from sgdlab.config import Config
from sgdlab.data.dataset import Dataset, open_dataset
from sgdlab.data.stand_in import is_stand_in, synthesize_if_missing
from sgdlab.finishing import Extent, finish
from sgdlab.grid import Grid
from sgdlab.observer import Observer
from sgdlab.plan import Block, Pass, Plan, make_plan, n_threads
from sgdlab.results import SCHEMA_VERSION
from sgdlab.runs import (
    NUMERICS_VERSION,
    OpenRun,
    RunDirectory,
    fresh_directory,
    open_run,
    run_name,
)
from sgdlab.search import SearchResult, read_search
from sgdlab.training import train_blocks

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class SearchOptions:
    """How a search is run and what is kept of it; nothing here changes a loss.

    Attributes
    ----------
    runs_dir
        Holds all runs.
    fresh
        Start a new run beside a finished or interrupted one of the same name.
    tested, kept
        Whether test losses and weights are kept of the best cell or of all.
    """

    runs_dir: PathLike = "runs"
    fresh: bool = False
    tested: Extent = "best"
    kept: Extent = "best"


def search(config: Config, grid: Grid, options: SearchOptions, observer: Observer) -> SearchResult:
    """Make a run, or go on with it, or find that it is finished."""
    if grid.n_duplicates:
        observer.note(f"{grid.n_duplicates} points of the grid stand twice; each is trained once")
    synthesize_if_missing(config.data, observer)
    with open_dataset(config.data) as dataset:
        is_synthetic = is_stand_in(dataset.files)
        name = run_name(config, dataset.fingerprint, is_synthetic)
        directory = RunDirectory(Path(options.runs_dir) / name)
        if options.fresh:
            directory = fresh_directory(Path(options.runs_dir), name)
        if _is_finished(directory, options):
            observer.note(
                f"nothing left to train: all {len(grid.cells)} cells are in {directory.path}"
            )
        else:
            with open_run(directory, grid.cells, is_synthetic) as run:
                _complete(run, config, grid, dataset, options, observer)
    return read_search(directory)


def _is_finished(directory: RunDirectory, options: SearchOptions) -> bool:
    """Whether a run is complete and has all that the options ask for."""
    if not directory.exists:
        return False
    experiment = directory.experiment()
    if experiment["status"] != "completed":
        return False
    lacks = {(options.tested, experiment["tested"]), (options.kept, experiment["kept"])}
    return experiment["best"] is None or ("all", "best") not in lacks


def _complete(
    run: OpenRun,
    config: Config,
    grid: Grid,
    dataset: Dataset,
    options: SearchOptions,
    observer: Observer,
) -> None:
    """Train what is missing, then finish; whatever happens, the log says how it ended."""
    threads = n_threads(config.run)
    if run.directory.exists:
        experiment = run.directory.experiment()
        plan = Plan.from_log(experiment["plan"], grid.cells)
    else:
        plan = make_plan(grid.cells, dataset.shape, config.run, threads)
        experiment = _new_experiment(run.directory, config, dataset, plan)
    tested: Extent = "all" if "all" in (options.tested, experiment["tested"]) else "best"
    kept: Extent = "all" if "all" in (options.kept, experiment["kept"]) else "best"
    with_weights = experiment["status"] != "completed" or "all" in (tested, kept)
    missing = _missing_blocks(run, plan, with_weights)
    if run.n_cells:
        observer.note(f"{run.directory.path}: going on with {run.n_cells} cells finished before")
    with _session(run, experiment, threads):
        if missing:
            metric = config.select.metric
            with closing(train_blocks(missing, dataset, config.run, metric, observer)) as stream:
                for trained in stream:
                    run.commit(trained.block, trained.epoch, trained.outcomes)
        finish(run, dataset, config, grid, experiment, tested, kept)


def _new_experiment(
    directory: RunDirectory, config: Config, dataset: Dataset, plan: Plan
) -> dict[str, Any]:
    """The content of ``experiment.json`` before anything is trained."""
    return {
        "schema_version": SCHEMA_VERSION,
        "run": directory.name,
        "status": "running",
        "synthetic": is_stand_in(dataset.files),
        "numerics_version": NUMERICS_VERSION,
        "config": config.model_dump(mode="json", exclude_none=True),
        "data": {
            "shape": asdict(dataset.shape),
            "fingerprint": dataset.fingerprint,
            "sha256": dataset.file_hashes,
        },
        "plan": plan.to_log(),
        "tested": "best",
        "kept": "best",
        "sessions": [],
    }


@contextmanager
def _session(run: OpenRun, experiment: dict[str, Any], threads: int) -> Iterator[None]:
    """Record when and where a command worked on a run, and how that ended."""
    session: dict[str, Any] = {"started": _now(), "ended": None, "threads": threads}
    clock = time.perf_counter()
    experiment["environment"] = provenance.environment()
    experiment["sessions"].append(session)
    experiment["status"] = "running"
    run.write_experiment(experiment)
    try:
        yield
    except BaseException as error:
        experiment["status"] = "failed" if isinstance(error, Exception) else "interrupted"
        raise
    finally:
        session |= {"ended": _now(), "elapsed_s": round(time.perf_counter() - clock, 3)}
        run.write_experiment(experiment)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _missing_blocks(run: OpenRun, plan: Plan, with_weights: bool) -> list[tuple[Pass, list[Block]]]:
    """The blocks of each pass whose outcomes are not all committed.

    A block is trained whole, even if only one of its cells is missing: its bits depend on it.
    """
    found = [
        (each, [block for block in each.blocks if not run.has(block, with_weights)])
        for each in plan.passes
    ]
    return [(each, blocks) for each, blocks in found if blocks]
