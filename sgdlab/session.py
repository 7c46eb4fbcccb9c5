"""A search in its run directory: what is there already, what is missing, how it ended."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from sgdlab import provenance, system
from sgdlab.blas import blas_threads
from sgdlab.config import Config
from sgdlab.data.dataset import Dataset, open_dataset
from sgdlab.data.stand_in import is_stand_in, synthesize_if_missing
from sgdlab.errors import StorageError
from sgdlab.estimate import Prediction, estimate
from sgdlab.finishing import Extent, cells_needed, finish
from sgdlab.grid import Grid
from sgdlab.memory import assign_memory
from sgdlab.observer import Observer
from sgdlab.open_run import OpenRun, open_run
from sgdlab.plan import Block, Plan, make_plan, n_threads
from sgdlab.prediction.predict import predict
from sgdlab.prediction.sample import source_of
from sgdlab.run_names import NUMERICS_VERSION, fresh_directory, run_name
from sgdlab.run_training import RunTraining, counted
from sgdlab.runs import RunDirectory
from sgdlab.search import SearchResult, read_search
from sgdlab.stored import SCHEMA_VERSION

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class SearchOptions:
    """How a search is run and what is kept of it; nothing here changes a loss but by rounding.

    Attributes
    ----------
    runs_dir
        Holds all runs.
    fresh
        Start a new run beside a finished or interrupted one of the same name.
    measure
        Take about a second to predict how long the training is going to take.
    tested, kept
        Whether test losses and weights are kept of the best cell or of all.
    """

    runs_dir: PathLike = "runs"
    fresh: bool = False
    measure: bool = False
    tested: Extent = "best"
    kept: Extent = "best"


def search(
    config: Config,
    grid: Grid,
    options: SearchOptions,
    observer: Observer,
    arrays: Mapping[str, NDArray[Any]] | None = None,
) -> SearchResult:
    """Make a run, or go on with it, or find that it is finished.

    ``arrays`` are in memory and in place of the config's files.

    The result has the config as it was given: what a finished run was called, where its data stood
    and in what unit its targets were said to be may have been another matter.
    """
    if grid.n_duplicates:
        observer.note(f"repeated points of the grid: {grid.n_duplicates}; each is trained once")
    synthesize_if_missing(config.data, observer)
    with open_dataset(config.data, arrays) as dataset:
        is_synthetic = is_stand_in(dataset.arrays)
        name = run_name(config, dataset.fingerprint, is_synthetic)
        directory = RunDirectory(Path(options.runs_dir) / name)
        if options.fresh:
            directory = fresh_directory(Path(options.runs_dir), name)
        is_complete = _is_complete(directory, grid, options, observer)
        if not is_complete or directory.has_leftovers:
            folds = config.data.validation.folds
            with open_run(directory, grid.cells, is_synthetic, folds) as run:
                # Meanwhile another process may have finished it.
                is_complete = _is_complete(directory, grid, options, Observer())
                if not is_complete:
                    _complete(run, config, grid, dataset, options, observer)
                run.drop_stops()
    if is_complete:
        _remember(directory, config, grid)
    result = replace(read_search(directory), config=config)
    if is_complete:
        found = f"{counted(len(grid.cells))} finished in {directory.path}"
        observer.note(f"nothing left to train: {found}")
    return result


def _is_complete(
    directory: RunDirectory, grid: Grid, options: SearchOptions, observer: Observer
) -> bool:
    """Whether a run is finished, has all of its files, and has all that the options ask for."""
    experiment = directory.experiment() if directory.exists else {"status": "absent"}
    if experiment["status"] != "completed":
        return False
    if missing := directory.missing_files(grid.cells):
        some = ", ".join(str(file.relative_to(directory.path)) for file in missing[:3])
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        observer.note(f"{directory.path}: {some}{more} missing; making that again")
        return False
    lacks = {(options.tested, experiment["tested"]), (options.kept, experiment["kept"])}
    return experiment["best"] is None or ("all", "best") not in lacks


def _remember(directory: RunDirectory, config: Config, grid: Grid) -> None:
    """Make a finished run the latest, and write down where its data are, if that is news.

    Of the config only what plays no part in the results is replaced, and nothing of where data are
    by a command that had them in memory. A run that cannot be written, as on a read-only disk,
    stays as it is.
    """
    experiment = directory.experiment()
    keys = ("name",) if config.data.path is None else ("name", "data")
    news = {key: value for key, value in _dumped(config).items() if key in keys}
    if news.items() <= experiment["config"].items():
        directory.touch()
    else:
        folds = config.data.validation.folds
        opened = open_run(directory, grid.cells, experiment["synthetic"], folds)
        with suppress(StorageError), opened as run:
            run.write_experiment(experiment | {"config": experiment["config"] | news})


def _complete(
    run: OpenRun,
    config: Config,
    grid: Grid,
    dataset: Dataset,
    options: SearchOptions,
    observer: Observer,
) -> None:
    """Train what is missing, then finish; whatever happens, the log says how it ended."""
    directory, threads = run.directory, n_threads(config.run)
    if directory.exists:
        experiment, plan = directory.experiment(), directory.plan(grid.cells, dataset.shape.folds)
    else:
        plan = make_plan(grid.cells, dataset.shape, config.run, threads)
        experiment = _new_experiment(directory, dataset, plan)
    experiment["config"] = _dumped(config)
    tested: Extent = "all" if "all" in (options.tested, experiment["tested"]) else "best"
    kept: Extent = "all" if "all" in (options.kept, experiment["kept"]) else "best"
    either: Extent = "all" if "all" in (tested, kept) else "best"
    run.take_up(observer)
    unlogged = [block for block in plan.blocks if not run.has_results(block)]
    prediction = None
    if options.measure and unlogged:
        prediction = _predicted(unlogged, plan, grid, dataset, config, options)
        observer.note(f"predicted {_spent(asdict(prediction))}")
    with _session(run, experiment, threads, prediction):
        training = RunTraining(run, config, grid.cells, dataset, observer)
        training.train_unlogged(plan)
        results = directory.results()
        if dataset.shape.folds is None:
            training.train_weightless(plan, cells_needed(results, config.select, either))
        else:
            training.train_weightless(plan, cells_needed(results, config.select, kept))
            best = cells_needed(results, config.select, "best")
            wanted = cells_needed(results, config.select, either)
            final_plan = directory.final_plan(grid.cells)
            final_plan = training.extended(final_plan, best, wanted, len(plan.blocks))
            experiment["final_plan"] = final_plan.to_log()
            run.write_experiment(experiment)
            training.train_final(final_plan)
        finish(run, dataset, config, grid, results, experiment, tested, kept)
    if prediction is not None:
        observer.note(f"it took {_spent(experiment['sessions'][-1])}")


def _predicted(
    blocks: Sequence[Block],
    plan: Plan,
    grid: Grid,
    dataset: Dataset,
    config: Config,
    options: SearchOptions,
) -> Prediction:
    """Of training some blocks and finishing the run."""
    cost = estimate(plan, len(grid.cells), dataset.shape, config.run)
    works = assign_memory(plan.passes_of(blocks), dataset.shape, config.run)
    source, runs_dir = source_of(dataset), Path(options.runs_dir)
    return predict(works, source, config.run, runs_dir, cost.memory_bytes)


def _spent(log: dict[str, Any]) -> str:
    """Time and memory of a session or of its prediction, as they are logged."""
    peak = log["peak_memory_bytes"]
    memory = "" if peak is None else f", {peak / 1e6:.0f} MB of memory at most"
    return f"{log['elapsed_s']:.3g} s{memory}"


def _dumped(config: Config) -> dict[str, Any]:
    return config.model_dump(mode="json", exclude_none=True)


def _new_experiment(directory: RunDirectory, dataset: Dataset, plan: Plan) -> dict[str, Any]:
    """The content of ``experiment.json`` before anything is trained, but for the config."""
    return {
        "schema_version": SCHEMA_VERSION,
        "run": directory.name,
        "status": "running",
        "synthetic": is_stand_in(dataset.arrays),
        "numerics_version": NUMERICS_VERSION,
        "config": {},
        "data": {
            "shape": asdict(dataset.shape),
            "fingerprint": dataset.fingerprint,
            "sha256": dataset.file_hashes,
        },
        "plan": plan.to_log(),
        "final_plan": [],
        "tested": "best",
        "kept": "best",
        "sessions": [],
    }


@contextmanager
def _session(
    run: OpenRun, experiment: dict[str, Any], threads: int, prediction: Prediction | None
) -> Iterator[None]:
    """Record when and where a command worked on a run, how that ended, and what was predicted."""
    session: dict[str, Any] = {"started": _now(), "ended": None, "threads": threads}
    session["prediction"] = None if prediction is None else asdict(prediction)
    clock = time.perf_counter()
    experiment["environment"] = provenance.environment()
    experiment["sessions"].append(session)
    experiment["status"] = "running"
    run.write_experiment(experiment)
    try:
        with blas_threads(threads):
            yield
    except BaseException as error:
        experiment["status"] = "failed" if isinstance(error, Exception) else "interrupted"
        raise
    finally:
        session |= {"ended": _now(), "elapsed_s": round(time.perf_counter() - clock, 3)}
        session["peak_memory_bytes"] = system.peak_memory_bytes()
        run.write_experiment(experiment)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
