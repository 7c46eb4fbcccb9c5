"""When the state of a training is kept, and what an interruption leaves of it."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from sgdlab.data.dataset import Dataset
from sgdlab.engine.checkpoints import Checkpoint, Keeper, Outcomes, UnusableCheckpointError
from sgdlab.errors import StorageError
from sgdlab.observer import Observer
from sgdlab.planning.memory import Work
from sgdlab.planning.plan import Pass, Plan
from sgdlab.runs.open_run import OpenRun
from sgdlab.system.postponing import Postponing

FIRST_S = 1.0  # after which a session keeps a state for the first time
MOST_SHARE = 0.03  # of the time of a session, for keeping states
BYTES_A_SECOND = 2e8  # of writing, as long as nothing was written


class StateKeeper(Keeper):
    """Keeps the state of what a session trains, every few seconds and when it is interrupted.

    Of a young session it is kept when it is twice as old as it was, so that a kill loses no more
    than half of it however often one comes.

    A state that cannot be written, as on a full disk, is none that was asked for: the training goes
    on, and the last one that could be written stays.

    Parameters
    ----------
    every_s
        How long there is none, at most, unless they take more than their share of the time.
    """

    def __init__(self, run: OpenRun, dataset: Dataset, every_s: float, observer: Observer) -> None:
        self._run, self._dataset, self._observer = run, dataset, observer
        self._every_s = every_s
        self._file = run.checkpoint
        self._plan, self._missing = Plan(()), dict[int, Outcomes]()
        self._signals = Postponing()
        self._began = time.perf_counter()
        self._due = self._began + min(FIRST_S, every_s)
        self._spent_s = 0.0
        self._shortest_s: float | None = None  # that keeping a state has taken
        self._has_complained = False
        self.kept: str | None = None  # of what is being trained

    @contextmanager
    def training(self, plan: Plan, missing: Mapping[int, Outcomes]) -> Iterator[None]:
        """Train blocks of a plan inside, for the outcomes of each that are missing."""
        self._plan, self._missing = plan, dict(missing)
        with self._signals.active():
            yield

    def last(self, works: Sequence[Work]) -> Checkpoint | None:
        checkpoint = self._file.read(self._plan, self._dataset.shape, self._observer)
        if checkpoint is None:
            return None
        try:
            work = next((work for work in works if self._is_enough(checkpoint, work)), None)
        except (LookupError, ValueError) as error:
            self.refuse(UnusableCheckpointError(str(error)))
            return None
        if work is None:
            return None
        self._tell(work.plan, checkpoint)
        after = f"epoch {checkpoint.epoch} of {work.plan.epochs}"
        self._observer.note(f"{self._run.directory.path}: going on after {after}")
        return checkpoint

    def refuse(self, error: UnusableCheckpointError) -> None:
        self.kept = None
        self._file.set_aside(str(error), self._observer)

    def is_due(self) -> bool:
        self._signals.wait_from_now_on()
        return self._signals.is_asked_for or time.perf_counter() >= self._due

    def keep(self, plan_pass: Pass, checkpoint: Checkpoint) -> None:
        if self._signals.is_asked_for:
            self._signals.hold()
            self._write(plan_pass, checkpoint)
            self._signals.pass_on()
        elif self._is_affordable(checkpoint.n_bytes):
            self._write(plan_pass, checkpoint)

    def end(self) -> None:
        self.kept = None

    def _is_enough(self, checkpoint: Checkpoint, work: Work) -> bool:
        """Whether all that is missing of a pass comes when it goes on from there."""
        blocks = work.plan.blocks
        return checkpoint.is_of(work.plan) and all(
            self._missing[block.index] <= checkpoint.to_come(block) for block in blocks
        )

    def _is_affordable(self, n_bytes: int) -> bool:
        """Whether keeping a state now takes no more than its share; if not, when it does."""
        cost_s = n_bytes / BYTES_A_SECOND if self._shortest_s is None else self._shortest_s
        self._due = self._began + (self._spent_s + cost_s) / MOST_SHARE
        return time.perf_counter() >= self._due

    def _write(self, plan_pass: Pass, checkpoint: Checkpoint) -> None:
        self._dataset.check_unchanged()
        start = time.perf_counter()
        try:
            self._file.write(plan_pass, checkpoint)
        except StorageError as error:
            if not self._has_complained:
                what = "the training goes on, and its state is not kept"
                self._observer.note(f"{error.place}: {error.found}; {what}")
            self._has_complained = True
        else:
            self._tell(plan_pass, checkpoint)
        end = time.perf_counter()
        took_s = end - start
        self._spent_s += took_s
        self._shortest_s = min(took_s, self._shortest_s or took_s)
        self._due = end + min(self._every_s, end - self._began)

    def _tell(self, plan_pass: Pass, checkpoint: Checkpoint) -> None:
        n_rows = self._dataset.shape.n_train
        rows = f", and {checkpoint.row:,} of {n_rows:,} rows of the next" if checkpoint.row else ""
        self.kept = f"epoch {checkpoint.epoch} of {plan_pass.epochs} kept{rows}"
