"""A search in its run directory: what is there already, what is missing, how it ended."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgdlab.config.grid import Grid
from sgdlab.config.model import Config
from sgdlab.data.beginning_to_vary import remarks_on_columns
from sgdlab.data.dataset import open_dataset
from sgdlab.data.rounded_targets import remarks_on_rounding
from sgdlab.data.stand_in import is_stand_in, synthesize_if_missing
from sgdlab.errors import SgdlabError, StorageError
from sgdlab.observer import Observer
from sgdlab.planning.cost import Forecast, estimate
from sgdlab.planning.memory import assign_memory
from sgdlab.planning.plan import Block, Plan, n_threads
from sgdlab.runs import provenance
from sgdlab.runs.conclusion import Conclusion
from sgdlab.runs.directory import tell_of_strays
from sgdlab.runs.experiment import Environment, Experiment, Extent, Session
from sgdlab.runs.logs import Logs
from sgdlab.runs.names import fresh_directory, origin_of, run_directory, run_name
from sgdlab.runs.open_run import OpenRun
from sgdlab.runs.plan_log import plan_log
from sgdlab.search.finishing import Ending, cells_needed
from sgdlab.search.forecast.forecast import forecast
from sgdlab.search.forecast.sample import source_of
from sgdlab.search.keeping import StateKeeper
from sgdlab.search.missing import RunTraining, counted
from sgdlab.search.record import recorded
from sgdlab.search.result import SearchResult, read_search
from sgdlab.search.wanted import SearchOptions, Wanted


@np.errstate(all="ignore")  # what leaves the range of float64 is written as not known
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
        for remark in dataset.remarks:
            observer.note(remark)
        is_synthetic = is_stand_in(dataset.arrays)
        name = run_name(config, dataset.fingerprint, is_synthetic)
        choose = fresh_directory if options.fresh else run_directory
        directory = choose(Path(options.runs_dir), name, dataset.arrays, observer)
        wanted = Wanted(directory, config, grid, dataset, is_synthetic, options)
        logs = (directory.cells_folder, directory.final_folder)
        tell_of_strays(directory.strays(*logs), observer)
        experiment = wanted.experiment()
        if experiment is None:
            wanted.check_memory()
        if experiment is None or not wanted.is_complete(experiment, observer):
            experiment, is_complete = _worked_on(wanted, observer)
        else:
            is_complete = True
            _tidy_if_that_can_be(wanted)
    if is_complete:
        _remember(wanted, experiment)
    result = replace(read_search(directory, experiment), config=config)
    if is_complete:
        found = f"{counted(len(grid.cells))} finished in {directory.path}"
        observer.note(f"nothing left to train: {found}")
    return result


def _worked_on(wanted: Wanted, observer: Observer) -> tuple[Experiment, bool]:
    """The run when it is finished, and whether there was nothing left to do."""
    with wanted.opened() as run:
        # Meanwhile another process may have finished it.
        experiment = wanted.experiment()
        if experiment is not None:
            run.settle(experiment)
            if wanted.is_complete(experiment, Observer()):
                _tidy(run, experiment)
                return experiment, True
        try:
            experiment = _complete(run, wanted, experiment, observer)
        except SgdlabError:
            if experiment is None:
                run.discard()
            raise
        _tidy(run, experiment)
        return experiment, False


def _tidy(run: OpenRun, experiment: Experiment) -> None:
    """Remove what sessions have left in a finished run, which is finished with it, too."""
    with suppress(StorageError):
        run.tidy(experiment)


def _tidy_if_that_can_be(wanted: Wanted) -> None:
    """The same for a run that is finished and is held by nobody; others are left alone."""
    with suppress(StorageError):
        if wanted.directory.has_leftovers:
            with wanted.opened() as run:
                experiment = wanted.experiment()
                if experiment is not None and experiment.is_finished:
                    run.tidy(experiment)


def _remember(wanted: Wanted, experiment: Experiment) -> None:
    """Make a finished run the latest, and write down where its data are, if that is news.

    Of the config only what plays no part in the results is replaced, and nothing of where data are
    by a command that had them in memory. A run that cannot be written, as on a read-only disk,
    stays as it is.
    """
    directory, dataset = wanted.directory, wanted.dataset
    data_path = wanted.config.data.path
    news: dict[str, Any] = {"name": wanted.config.name}
    if data_path is not None:
        news["data"] = wanted.config.data

    def told(known: Experiment) -> Experiment:
        config, data = known.config.model_copy(update=news), known.data.seen_at(dataset.arrays)
        return known.replaced(config=config, data=data)

    if told(experiment) == experiment:
        directory.touch()
    else:
        with suppress(StorageError), wanted.opened() as run:
            # Another process may have written it meanwhile.
            run.write_experiment(told(directory.experiment()))


def _begun(
    run: OpenRun, wanted: Wanted, experiment: Experiment | None, observer: Observer
) -> Experiment:
    """What the run says from now on."""
    if experiment is None:
        return wanted.new_experiment(observer)
    if experiment.is_finished:
        experiment = run.going_on(experiment, observer)
    environment = Environment(**provenance.environment())
    data = experiment.data.seen_at(wanted.dataset.arrays)
    return experiment.replaced(config=wanted.config, environment=environment, data=data)


def _complete(
    run: OpenRun, wanted: Wanted, experiment: Experiment | None, observer: Observer
) -> Experiment:
    """Train what is missing, then finish; whatever happens, the log says how it ended."""
    config, options, threads = wanted.config, wanted.options, n_threads(wanted.config.run)
    experiment = _begun(run, wanted, experiment, observer)
    plan = wanted.plan(experiment)
    tested = _more(options.test_losses, experiment.tested)
    kept = _more(options.keep_weights, experiment.kept)
    run.take_up(observer, origin_of(experiment), wanted.dataset.shape)
    unlogged = [block for block in plan.blocks if run.without_results(block)]
    known = None
    if options.measure and unlogged:
        known = _forecast(wanted, plan, unlogged)
        observer.note(f"predicted {_spent(known)}")
    keeper = StateKeeper(run, wanted.dataset, config.run.checkpoint_every_s, observer)
    training = RunTraining(run, config, wanted.grid.cells, wanted.dataset, observer, keeper)
    told = _told_what_is_kept(run, wanted, keeper)
    with recorded(run, experiment, threads, known) as record, told:
        training.train_unlogged(plan)
        logs, final = run.logs(wanted.grid.cells), Logs({}, {}, {})
        results = logs.in_order
        needed = cells_needed(results, config.select, _more(tested, kept))
        if wanted.dataset.shape.folds is None:
            training.train_weightless(plan, needed)
        else:
            training.train_weightless(plan, cells_needed(results, config.select, kept))
            best = cells_needed(results, config.select, "best")
            with run.directory.interpreting():
                final_plan = experiment.final_training(wanted.grid.cells)
            # A log that no plan has is of a run that lost its experiment.json.
            needed |= run.final_cells
            final_plan = training.extended(final_plan, best, needed, len(plan.blocks))
            record.update(final_plan=plan_log(final_plan))
            record.write()
            training.train_final(final_plan)
            final = run.final_logs(wanted.cells_of(final_plan))
        rows, grid = wanted.dataset, wanted.grid
        ending = Ending(run.directory, run.weights, rows, grid, config.select, tested, kept)
        conclusion, files = ending.finish(logs, final)
        wanted.dataset.check_unchanged()
        run.write(files)
        _tell_of_other_bits(run, experiment.conclusion, conclusion, observer)
        for remark in _remarks(wanted):
            observer.note(remark)
        record.update(status="completed", tested=tested, kept=kept, conclusion=conclusion)
    if known is not None:
        observer.note(f"it took {_spent(record.experiment.sessions[-1])}")
    return record.experiment


@contextmanager
def _told_what_is_kept(run: OpenRun, wanted: Wanted, keeper: StateKeeper) -> Iterator[None]:
    """Have an interruption say what is kept of a session, and what starts anew."""
    try:
        yield
    except Exception:
        raise
    except BaseException as error:
        n_kept, n_cells = run.n_cells, len(wanted.grid.cells)
        if n_kept == n_cells:
            kept, left = counted(n_cells), "what was trained beside them starts anew"
        else:
            kept = f"{n_kept} of {counted(n_cells)}"
            left = "what is left starts at its first epoch"
        error.add_note(f"{kept} kept; {keeper.kept or left}")
        raise


def _remarks(wanted: Wanted) -> Iterator[str]:
    """What of the data makes results other than they seem."""
    yield from remarks_on_columns(wanted.dataset)
    if any(cell.train.precision == "float32" for cell in wanted.grid.cells):
        yield from remarks_on_rounding(wanted.dataset)


def _tell_of_other_bits(
    run: OpenRun, before: Conclusion | None, now: Conclusion, observer: Observer
) -> None:
    """Say which logs of a run that was finished were made again and are not what they were."""
    known = {} if before is None else before.files
    for name, sha256 in now.files.items():
        if name.endswith(".json") and known.get(name, sha256) != sha256:
            note = "made again, with other bits than before, as on another machine or BLAS"
            observer.note(f"{run.directory.path / name}: {note}")


def _more(one: Extent, other: Extent) -> Extent:
    return "all" if "all" in (one, other) else "best"


def _forecast(wanted: Wanted, plan: Plan, blocks: Sequence[Block]) -> Forecast:
    """What training some blocks and finishing the run is going to take."""
    run, shape = wanted.config.run, wanted.dataset.shape
    cost = estimate(plan, len(wanted.grid.cells), shape, run)
    works = assign_memory(plan.passes_of(blocks), shape, run)
    source, runs_dir = source_of(wanted.dataset), Path(wanted.options.runs_dir)
    return forecast(works, source, run, runs_dir, cost.memory_bytes)


def _spent(on: Forecast | Session) -> str:
    """Time and memory of a session or of its forecast."""
    peak = on.peak_memory_bytes
    memory = "" if peak is None else f", {peak / 1e6:.0f} MB of memory at most"
    return f"{on.elapsed_s:.3g} s{memory}"
