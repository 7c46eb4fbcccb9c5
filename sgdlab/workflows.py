"""One function for each command; each can be called from Python and prints nothing."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sgdlab import provenance, system
from sgdlab.config import Config, Run, json_schema
from sgdlab.config_file import load_config
from sgdlab.data.dataset import Dataset, open_dataset
from sgdlab.data.describe import Description, describe
from sgdlab.data.stand_in import is_stand_in, shape_if_missing, synthesize, synthesize_if_missing
from sgdlab.errors import ConfigError
from sgdlab.estimate import Estimate, estimate
from sgdlab.finishing import Extent, finish
from sgdlab.grid import Grid, expand
from sgdlab.observer import Observer
from sgdlab.plan import Plan, make_plan
from sgdlab.reevaluation import EvaluationResult, evaluate_run
from sgdlab.results import SCHEMA_VERSION
from sgdlab.runs import (
    NUMERICS_VERSION,
    OpenRun,
    RunDirectory,
    find_run,
    fresh_directory,
    open_run,
    run_name,
)
from sgdlab.search import SearchResult, read_search
from sgdlab.training import missing_blocks, train_blocks

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


def grid_search(
    config_path: PathLike,
    overrides: Sequence[str] = (),
    options: SearchOptions = SearchOptions(),
    observer: Observer | None = None,
) -> SearchResult:
    """Train every cell of a config's grid, or what is missing of it, and select the best.

    Parameters
    ----------
    config_path
        A YAML file.
    overrides
        ``key.path=value`` each.

    Raises
    ------
    ConfigError, DataError, StorageError, NothingToSelectError
        See :mod:`sgdlab.errors`.
    """
    config = load_config(config_path, overrides)
    return _search(config, expand(config), options, observer or Observer())


def train(
    config_path: PathLike,
    overrides: Sequence[str] = (),
    options: SearchOptions = SearchOptions(),
    observer: Observer | None = None,
) -> SearchResult:
    """Train the single cell of a config: :func:`grid_search` for one cell.

    Raises
    ------
    ConfigError
        Also if the config has more than one cell.
    """
    config = load_config(config_path, overrides)
    grid = expand(config)
    if len(grid.cells) != 1:
        hint = "use grid-search, or give single values with --set"
        raise ConfigError(f"{config_path}: {len(grid.cells)} cells; expected one ({hint})")
    return _search(config, grid, options, observer or Observer())


def plan_search(config_path: PathLike, overrides: Sequence[str] = ()) -> tuple[Plan, Estimate]:
    """What a search would do and cost, from the config and the arrays' headers alone."""
    config = load_config(config_path, overrides)
    cells = expand(config).cells
    shape = shape_if_missing(config.data)
    if shape is None:
        with open_dataset(config.data) as dataset:
            shape = dataset.shape
    plan = make_plan(cells, shape, config.run, _threads(config.run))
    return plan, estimate(plan, len(cells), shape, config.run)


def _search(config: Config, grid: Grid, options: SearchOptions, observer: Observer) -> SearchResult:
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
    threads = _threads(config.run)
    if run.directory.exists:
        experiment = run.directory.experiment()
        plan = Plan.from_log(experiment["plan"], grid.cells)
    else:
        plan = make_plan(grid.cells, dataset.shape, config.run, threads)
        experiment = _new_experiment(run.directory, config, dataset, plan)
    tested: Extent = "all" if "all" in (options.tested, experiment["tested"]) else "best"
    kept: Extent = "all" if "all" in (options.kept, experiment["kept"]) else "best"
    with_weights = experiment["status"] != "completed" or "all" in (tested, kept)
    missing = missing_blocks(run, plan, with_weights)
    if run.n_cells:
        observer.note(f"{run.directory.path}: going on with {run.n_cells} cells finished before")
    with _session(run, experiment, threads):
        if missing:
            train_blocks(run, missing, dataset, config, threads, observer)
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


def _threads(run: Run) -> int:
    return system.n_processors() if run.threads == "auto" else run.threads


def evaluate(
    run: str,
    runs_dir: PathLike = "runs",
    cell: int | None = None,
    data: PathLike | None = None,
    prefix: str | None = None,
    mae_step: float | None = None,
) -> EvaluationResult:
    """Evaluate the kept weights of a run; see :func:`sgdlab.reevaluation.evaluate_run`.

    Parameters
    ----------
    run
        A path, a name below ``runs_dir``, or ``latest``.
    data, prefix
        Folder and prefix of other arrays; by default the run's own.
    mae_step
        The learning rate of one step of subgradient descent on the mean absolute error.
    """
    folder = None if data is None else Path(data)
    return evaluate_run(find_run(Path(runs_dir), run), cell, folder, prefix, mae_step)


def synthesize_data(folder: PathLike, prefix: str, seed: int = 0) -> Description:
    """Write the stand-in arrays into a folder that has none, and describe them."""
    synthesize(Path(folder), prefix, seed)
    return describe(Path(folder), prefix)


def describe_data(folder: PathLike, prefix: str | None = None) -> Description:
    """What is in a folder of arrays."""
    return describe(Path(folder), prefix)


def schema() -> dict[str, Any]:
    """The JSON Schema of a config file."""
    return json_schema()
