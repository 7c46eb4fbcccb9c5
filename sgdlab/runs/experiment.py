"""``experiment.json`` as one frozen object: what is read once, passed along, and written."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import FailFast, Field, InstanceOf, model_validator

from sgdlab.config.grid import Cell, check_grid
from sgdlab.config.model import Config
from sgdlab.planning.cost import Forecast
from sgdlab.planning.plan import Plan
from sgdlab.runs.conclusion import WithBest, WithoutBest, conclusion_of, final_logs
from sgdlab.runs.data_log import DataLog
from sgdlab.runs.plan_log import PlanLog, check_covers, planned
from sgdlab.runs.reading import (
    LARGE,
    START_OVER,
    Count,
    Log,
    Logged,
    Word,
    check_same,
    parse_json,
    read_bytes,
    reading,
)
from sgdlab.runs.sizes import record_bytes

Extent = Literal["best", "all"]
Status = Literal["running", "interrupted", "failed", "completed"]


class BlasLog(Log):
    """What threadpoolctl tells of a BLAS."""

    internal_api: str
    version: str | None
    architecture: str | None
    threading_layer: str | None
    num_threads: int | None


class GitLog(Log):
    """The revision of the source tree."""

    commit: Word
    is_dirty: bool


class Environment(Log):
    """On what and with what a run was last worked on."""

    sgdlab: Word
    python: Word
    numpy: Word
    platform: Word
    processor: str
    processors: Count
    blas: Annotated[tuple[BlasLog, ...], FailFast(), Field(strict=False)]
    git: GitLog | None
    # Arguments that are no Unicode are kept too, which pydantic's own check of text refuses.
    command_line: Annotated[tuple[InstanceOf[str], ...], FailFast(), Field(strict=False)]


class Session(Log):
    """When a command worked on a run, what was forecast, and what it took.

    ``peak_memory_bytes`` are None on systems that do not tell. This and ``elapsed_s`` are known
    when a session has ended; of one that was killed they stay unknown.
    """

    started: Word
    ended: Word | None
    threads: Count
    forecast: Annotated[Forecast, Logged(peak_memory_bytes=Count | None)] | None
    elapsed_s: float | None = None
    peak_memory_bytes: Count | None = None

    def after(self, ended: str, elapsed_s: float, peak_memory_bytes: int | None) -> "Session":
        """The same, when it has ended."""
        took = {"elapsed_s": round(elapsed_s, 3), "peak_memory_bytes": peak_memory_bytes}
        return Session(**(dict(self) | {"ended": ended} | took))

    @model_validator(mode="after")
    def _has_both_or_neither(self) -> "Session":
        if self.ended is None:
            for name in ("elapsed_s", "peak_memory_bytes"):
                if name in self.model_fields_set:
                    raise ValueError(f"{name} of a session whose ended is null")
        elif self.elapsed_s is None:
            raise ValueError("no elapsed_s of a session that ended")
        elif "peak_memory_bytes" not in self.model_fields_set:
            raise ValueError("no peak_memory_bytes of a session that ended")
        return self


class Experiment(Log):
    """A run: what it is of, how far it is, and how it ended.

    Attributes
    ----------
    plan, final_plan
        As the run began with them; with folds the second says how cells are trained on all rows, as
        far as that is planned.
    tested, kept
        Whether the test losses and the weights of the best or of all cells were wanted.
    conclusion
        In the file its keys stand beside the others. A run that is finished has one, and keeps it
        while what it lacks is made again.
    """

    schema_version: Count
    run: Word
    status: Status
    synthetic: bool
    numerics_version: Count
    config: Config
    data: DataLog
    plan: Annotated[PlanLog, Field(min_length=1)]
    final_plan: PlanLog
    tested: Extent
    kept: Extent
    sessions: Annotated[tuple[Session, ...], FailFast(), Field(strict=False)]
    environment: Environment
    conclusion: WithBest | WithoutBest | None = None

    @property
    def is_finished(self) -> bool:
        return self.status == "completed"

    @property
    def best(self) -> str | None:
        """The name of the best cell; None if there is none, or none yet."""
        return None if self.conclusion is None else self.conclusion.best

    @property
    def known_hashes(self) -> Mapping[str, str]:
        """sha256 of the other files of a run that is finished, and of none of any other run."""
        return self.conclusion.files if self.is_finished and self.conclusion is not None else {}

    def training_plan(self, cells: Sequence[Cell]) -> Plan:
        """The plan that the run began with.

        Raises
        ------
        ValueError
            If it does not fit the cells and folds.
        """
        plan = planned("plan", self.plan, cells)
        check_covers("plan", plan, cells, self.data.shape.folds)
        return plan

    def final_training(self, cells: Sequence[Cell]) -> Plan:
        """With folds: how cells are trained on all rows.

        Raises
        ------
        ValueError
            If it does not fit the cells.
        """
        plan = planned("final_plan", self.final_plan, cells)
        check_covers("final_plan", plan, [cells[n] for n in sorted(plan.cells)], None)
        return plan

    def replaced(self, **values: Any) -> "Experiment":
        """This one with other values, which are checked."""
        return Experiment(**(dict(self) | values))

    def to_json(self) -> dict[str, Any]:
        """The content of the file; the inverse of :func:`read_experiment`."""
        log = {name: _plain(getattr(self, name)) for name in type(self).model_fields}
        conclusion = log.pop("conclusion")
        return log | (conclusion or {})

    @model_validator(mode="after")
    def _parts_fit(self) -> "Experiment":
        folds = self.config.data.validation.folds
        if self.data.shape.folds != folds:
            found = f"{folds}, but data.shape.folds is {self.data.shape.folds}"
            raise ValueError(f"config.data.validation.folds: {found}")
        if "path" not in self.config.data.model_fields_set or self.config.data.path == "":
            raise ValueError("config.data.path: not there")
        check_grid(self.config, len(_cells_of(self.plan)))
        if self.is_finished and self.conclusion is None:
            raise ValueError("best: not there")
        if self.is_finished and self.conclusion is not None:
            self._check_final_logs(final_logs(self.conclusion.files))
        if isinstance(self.conclusion, WithBest):
            self._check_losses(self.conclusion)
        return self

    def _check_final_logs(self, logs: set[str]) -> None:
        """Whether the hashes are those of the logs of the cells that are planned."""
        if different := logs ^ {f"final/{cell:04d}.json" for cell in _cells_of(self.final_plan)}:
            found = f"not the cells of the logs in files, as {min(different)}"
            raise ValueError(f"final_plan.blocks.trajectories.cells: {found}")

    def _check_losses(self, conclusion: WithBest) -> None:
        """Whether they are of the metric, the rows and the cells that they must be of."""
        shape, metric = self.data.shape, self.config.select.metric
        n_rows = {"validation": shape.n_validation or shape.n_train, "test": shape.n_test}
        for name, difference in conclusion.differences.items():
            place = f"differences.{name}"
            if difference.metric != metric:
                raise ValueError(
                    f"{place}.metric: {difference.metric}, but the config has {metric}"
                )
            if difference.n_rows != n_rows[name]:
                raise ValueError(f"{place}.n_rows: {difference.n_rows} instead of {n_rows[name]}")
            if (
                difference.standard_error is None
                and n_rows[name] > 1
                and abs(difference.mean) < LARGE
            ):
                raise ValueError(f"{place}.standard_error: null of {n_rows[name]} rows")
        if self.tested == "best" and len(conclusion.test_losses) > 1:
            raise ValueError("test_losses: of other cells than the best, which alone was tested")


def _cells_of(plan: PlanLog) -> set[int]:
    """Which cells a plan trains, by their indices."""
    blocks = [block for one_pass in plan for block in one_pass.blocks]
    return {cell for b in blocks for trajectory in b.trajectories for cell in trajectory.cells}


def _plain(value: object) -> Any:
    """As JSON has it; what was not set has no key."""
    if isinstance(value, Config):
        dumped = value.model_dump(mode="json", exclude_none=True)
        # Null says that the arrays were in memory, where an absent key would be a damage.
        return dumped | {"data": {"path": value.data.path} | dumped["data"]}
    if isinstance(value, Log):
        names = [name for name in type(value).model_fields if name in value.model_fields_set]
        return {name: _plain(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def read_experiment(path: Path, planned_bytes: int = 0) -> Experiment:
    """What ``experiment.json`` says, if it is as it was written.

    Parameters
    ----------
    planned_bytes
        Of a plan that is expected there; see :func:`sgdlab.runs.sizes.record_bytes`.

    Raises
    ------
    StorageError
        If it is absent or broken, or another sgdlab wrote it whose keys are others.
    """
    encoded = read_bytes(path, hint=START_OVER, most_bytes=record_bytes(path, planned_bytes))
    content = parse_json(path, encoded, START_OVER)
    with reading(path, START_OVER):
        own = {name: content.pop(name) for name in _OWN if name in content}
        conclusion = conclusion_of(content) if content else None
        experiment = Experiment(**own, conclusion=conclusion)
        if not experiment.sessions:
            raise ValueError("sessions: empty")
        check_same(own["config"], _plain(experiment.config), "config")
    return experiment


_OWN = [name for name in Experiment.model_fields if name != "conclusion"]
