"""A search in its run directory: what is there already, what is missing, how it ended."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgdlab.config.grid import Cell, Grid
from sgdlab.config.model import Config
from sgdlab.data.beginning_to_vary import remarks_on_columns
from sgdlab.data.dataset import Dataset, open_dataset
from sgdlab.data.stand_in import is_stand_in, synthesize_if_missing
from sgdlab.errors import SgdlabError, StorageError
from sgdlab.observer import Observer
from sgdlab.planning.cost import Forecast, estimate
from sgdlab.planning.making import make_plan
from sgdlab.planning.memory import assign_memory
from sgdlab.planning.plan import Block, Plan, n_threads
from sgdlab.runs import provenance
from sgdlab.runs.conclusion import Conclusion
from sgdlab.runs.data_log import DataLog
from sgdlab.runs.directory import RunDirectory
from sgdlab.runs.experiment import Environment, Experiment, Extent, Session
from sgdlab.runs.logs import Logs
from sgdlab.runs.names import NUMERICS_VERSION, fresh_directory, identity, run_directory, run_name
from sgdlab.runs.open_run import OpenRun, open_run
from sgdlab.runs.plan_log import plan_log
from sgdlab.runs.reading import SCHEMA_VERSION, check_same
from sgdlab.search.finishing import Ending, cells_needed
from sgdlab.search.forecast.forecast import forecast
from sgdlab.search.forecast.sample import source_of
from sgdlab.search.missing import RunTraining, counted
from sgdlab.search.record import recorded
from sgdlab.search.result import SearchResult, read_search

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
        Take about a second to forecast the time and memory that training is going to take.
    test_losses, keep_weights
        Whether test losses are measured and weights kept of the best cell or of all.
    """

    runs_dir: PathLike = "runs"
    fresh: bool = False
    measure: bool = False
    test_losses: Extent = "best"
    keep_weights: Extent = "best"


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
        wanted = _Wanted(directory, config, grid, dataset, is_synthetic, options)
        for stray in directory.strays():
            observer.note(f"{stray}: nothing that sgdlab wrote; passed over")
        experiment = wanted.experiment()
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


@dataclass(frozen=True)
class _Wanted:
    """A search as it was asked for, and where its run is or will be."""

    directory: RunDirectory
    config: Config
    grid: Grid
    dataset: Dataset
    is_synthetic: bool
    options: SearchOptions

    def experiment(self) -> Experiment | None:
        """What the run says, if there is one already; its name says that it is of this config."""
        if not self.directory.exists:
            return None
        experiment = self.directory.experiment()
        with self.directory.interpreting():
            check_same(identity(experiment.config), identity(self.config), "config")
        return experiment

    def opened(self) -> AbstractContextManager[OpenRun]:
        """The run, held by this process; see :func:`sgdlab.runs.open_run.open_run`."""
        folds = self.dataset.shape.folds
        return open_run(self.directory, self.grid.cells, self.is_synthetic, folds)

    def is_complete(self, experiment: Experiment, observer: Observer) -> bool:
        """Whether a run is finished, has all of its files, and has all that the options ask for."""
        if not experiment.is_finished:
            return False
        self.plan(experiment)
        if missing := self.directory.missing_files(experiment, self.grid.cells):
            some = ", ".join(str(file.relative_to(self.directory.path)) for file in missing[:3])
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            observer.note(f"{self.directory.path}: {some}{more} missing; making that again")
            return False
        options = self.options
        extents = {
            (options.test_losses, experiment.tested),
            (options.keep_weights, experiment.kept),
        }
        return experiment.best is None or ("all", "best") not in extents

    def plan(self, experiment: Experiment) -> Plan:
        """The plan that the run began with."""
        with self.directory.interpreting():
            return experiment.training_plan(self.grid.cells)

    def cells_of(self, plan: Plan) -> list[Cell]:
        """The cells that a plan trains, in the order of the grid."""
        return [self.grid.cells[index] for index in sorted(plan.cells)]

    def new_experiment(self, observer: Observer) -> Experiment:
        """A run of which nothing is trained yet."""
        threads = n_threads(self.config.run)
        plan = make_plan(self.grid.cells, self.dataset.shape, self.config.run, threads)
        return Experiment(
            schema_version=SCHEMA_VERSION,
            run=self.directory.name,
            status="running",
            synthetic=self.is_synthetic,
            numerics_version=NUMERICS_VERSION,
            config=self.config,
            data=DataLog.of(self.dataset, observer),
            plan=plan_log(plan),
            final_plan=(),
            tested="best",
            kept="best",
            sessions=(),
            environment=Environment(**provenance.environment()),
        )


def _worked_on(wanted: _Wanted, observer: Observer) -> tuple[Experiment, bool]:
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


def _tidy_if_that_can_be(wanted: _Wanted) -> None:
    """The same for a run that is finished and is held by nobody; others are left alone."""
    with suppress(StorageError):
        if wanted.directory.has_leftovers:
            with wanted.opened() as run:
                experiment = wanted.experiment()
                if experiment is not None and experiment.is_finished:
                    run.tidy(experiment)


def _remember(wanted: _Wanted, experiment: Experiment) -> None:
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


def _complete(
    run: OpenRun, wanted: _Wanted, experiment: Experiment | None, observer: Observer
) -> Experiment:
    """Train what is missing, then finish; whatever happens, the log says how it ended."""
    config, options, threads = wanted.config, wanted.options, n_threads(wanted.config.run)
    if experiment is None:
        experiment = wanted.new_experiment(observer)
    else:
        if experiment.is_finished:
            experiment = run.going_on(experiment, observer)
        environment = Environment(**provenance.environment())
        data = experiment.data.seen_at(wanted.dataset.arrays)
        experiment = experiment.replaced(config=config, environment=environment, data=data)
    plan = wanted.plan(experiment)
    tested = _more(options.test_losses, experiment.tested)
    kept = _more(options.keep_weights, experiment.kept)
    run.take_up(observer)
    unlogged = [block for block in plan.blocks if not run.has_results(block)]
    known = None
    if options.measure and unlogged:
        known = _forecast(wanted, plan, unlogged)
        observer.note(f"predicted {_spent(known)}")
    with recorded(run, experiment, threads, known) as record, _told_what_is_kept(run, wanted):
        training = RunTraining(run, config, wanted.grid.cells, wanted.dataset, observer)
        training.train_unlogged(plan)
        logs, final = run.logs(wanted.grid.cells), Logs({}, {})
        results = logs.in_order
        needed = cells_needed(results, config.select, _more(tested, kept))
        if wanted.dataset.shape.folds is None:
            training.train_weightless(plan, needed)
        else:
            training.train_weightless(plan, cells_needed(results, config.select, kept))
            best = cells_needed(results, config.select, "best")
            final_plan = run.directory.final_plan(experiment, wanted.grid.cells)
            final_plan = training.extended(final_plan, best, needed, len(plan.blocks))
            record.update(final_plan=plan_log(final_plan))
            record.write()
            training.train_final(final_plan)
            final = run.final_logs(wanted.cells_of(final_plan))
        ending = Ending(run, wanted.dataset, wanted.grid, config.select, tested, kept)
        conclusion, files = ending.finish(logs, final)
        wanted.dataset.check_unchanged()
        run.write(files)
        _tell_of_other_bits(run, experiment.conclusion, conclusion, observer)
        for remark in remarks_on_columns(wanted.dataset):
            observer.note(remark)
        record.update(status="completed", tested=tested, kept=kept, conclusion=conclusion)
    if known is not None:
        observer.note(f"it took {_spent(record.experiment.sessions[-1])}")
    return record.experiment


@contextmanager
def _told_what_is_kept(run: OpenRun, wanted: _Wanted) -> Iterator[None]:
    """Have an interruption say what is kept of a session, and what starts anew."""
    try:
        yield
    except Exception:
        raise
    except BaseException as error:
        n_kept, n_cells = run.n_cells, len(wanted.grid.cells)
        if n_kept == n_cells:
            kept = f"{counted(n_cells)} kept; what was trained beside them starts anew"
        else:
            kept = f"{n_kept} of {counted(n_cells)} kept; what is left starts at its first epoch"
        error.add_note(kept)
        raise


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


def _forecast(wanted: _Wanted, plan: Plan, blocks: Sequence[Block]) -> Forecast:
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
