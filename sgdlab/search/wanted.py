"""A search as it was asked for, beside what its run has of it."""

import os
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property

from sgdlab.config.grid import Cell, Grid
from sgdlab.config.model import Config
from sgdlab.data.dataset import Dataset
from sgdlab.observer import Observer
from sgdlab.planning.cost import check_memory
from sgdlab.planning.making import make_plan
from sgdlab.planning.memory import assign_memory
from sgdlab.planning.plan import Plan, n_threads
from sgdlab.runs import provenance
from sgdlab.runs.data_log import DataLog
from sgdlab.runs.directory import RunDirectory
from sgdlab.runs.experiment import Environment, Experiment, Extent
from sgdlab.runs.names import NUMERICS_VERSION, identity
from sgdlab.runs.open_run import OpenRun
from sgdlab.runs.opening import open_run
from sgdlab.runs.plan_log import plan_log
from sgdlab.runs.reading import SCHEMA_VERSION, check_same
from sgdlab.runs.sizes import plan_bytes

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


@dataclass(frozen=True)
class Wanted:
    """A search as it was asked for, and where its run is or will be."""

    directory: RunDirectory
    config: Config
    grid: Grid
    dataset: Dataset
    is_synthetic: bool
    options: SearchOptions

    def experiment(self) -> Experiment | None:
        """What the run says, if there is one already.

        Raises
        ------
        StorageError
            If it is of another config or of other data: then somebody gave it this name.
        """
        if not self.directory.exists:
            return None
        planned_bytes = plan_bytes(self.grid.cells, self.dataset.shape.folds)
        experiment = self.directory.experiment(planned_bytes)
        with self.directory.interpreting():
            check_same(identity(experiment.config), identity(self.config), "config")
            check_same(experiment.data.fingerprint, self.dataset.fingerprint, "data.fingerprint")
            check_same(vars(experiment.data.shape), vars(self.dataset.shape), "data.shape")
        return experiment

    def opened(self) -> AbstractContextManager[OpenRun]:
        """The run, held by this process; see :func:`sgdlab.runs.opening.open_run`."""
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

    @cached_property
    def new_plan(self) -> Plan:
        """That of a run of which nothing is trained yet."""
        run = self.config.run
        return make_plan(self.grid.cells, self.dataset.shape, run, n_threads(run))

    def check_memory(self) -> None:
        """Refuse a new run that cannot be trained here, before anything of it is written."""
        shape = self.dataset.shape
        check_memory(assign_memory(self.new_plan.passes, shape, self.config.run), shape)

    def new_experiment(self, observer: Observer) -> Experiment:
        """A run of which nothing is trained yet."""
        return Experiment(
            schema_version=SCHEMA_VERSION,
            run=self.directory.name,
            status="running",
            synthetic=self.is_synthetic,
            numerics_version=NUMERICS_VERSION,
            config=self.config,
            data=DataLog.of(self.dataset, observer),
            plan=plan_log(self.new_plan),
            final_plan=(),
            tested="best",
            kept="best",
            sessions=(),
            environment=Environment(**provenance.environment()),
        )
