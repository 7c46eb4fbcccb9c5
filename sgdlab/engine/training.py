"""Hands passes to the engine, and yields what became of every block."""

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from sgdlab.data.dataset import Dataset
from sgdlab.engine.checkpoints import Checkpoint, Keeper, Seen, UnusableCheckpointError
from sgdlab.engine.passes import EpochRecord, run_pass
from sgdlab.engine.running_block import Outcome, RunningBlock
from sgdlab.observer import Observer, Progress
from sgdlab.planning.cost import random_reads, random_reads_warning
from sgdlab.planning.memory import Work
from sgdlab.planning.plan import cells_of
from sgdlab.words.metrics import METRICS


@dataclass(frozen=True)
class Trained:
    """The cells of a block that ended with an epoch."""

    block: int
    epoch: int
    outcomes: tuple[Outcome, ...]


def train_blocks(
    works: Sequence[Work],
    dataset: Dataset,
    threads: int,
    metric: str,
    observer: Observer,
    keeper: Keeper | None = None,
) -> Generator[Trained, None, None]:
    """Train the blocks of some passes; yields outcomes as they come.

    Parameters
    ----------
    threads
        On which blocks run side by side.
    metric
        Of the progress that the observer is told of: ``half_mse`` or ``mae``.
    keeper
        Of checkpoints, from which it has one perhaps; by default there are none.
    """
    if warning := random_reads_warning(*random_reads(works, dataset.shape)):
        observer.note(warning)
    keeper = keeper or Keeper()
    start = keeper.last(works)
    # The pass that was begun is ended first, since of one pass at a time there is a checkpoint.
    works = sorted(works, key=lambda work: start is None or not start.is_of(work.plan))
    while True:
        tracker = _Tracker(works, dataset.shape.n_train, metric, observer, start)
        try:
            for work in works:
                records = _records(work, dataset, threads, start, keeper, tracker)
                start = None
                yield from records
            return
        except UnusableCheckpointError as error:  # before anything was trained
            keeper.refuse(error)
            start = None
        finally:
            observer.end()


def _records(
    work: Work,
    dataset: Dataset,
    threads: int,
    start: Checkpoint | None,
    keeper: Keeper,
    tracker: "_Tracker",
) -> Generator[Trained, None, None]:
    """Train the blocks of a pass."""

    cells = cells_of(work.plan.blocks)

    def offer(running: Sequence[RunningBlock], epoch: int, row: int) -> None:
        if keeper.is_due():
            states = {block.plan.index: block.state() for block in running}
            keeper.keep(work.plan, Checkpoint(epoch, row, states, tracker.seen(cells)))

    with closing(run_pass(work, dataset, threads, start, offer)) as records:
        del start  # its arrays, which are taken over
        for record in records:
            for block in record.blocks:
                if block.outcomes:
                    yield Trained(block.block, record.epoch, tuple(block.outcomes))
            tracker.advance(record, work.plan.is_folded)
    keeper.end()


class _Tracker:
    """Turns the engine's records into progress."""

    def __init__(
        self,
        works: Sequence[Work],
        n_rows: int,
        metric: str,
        observer: Observer,
        start: Checkpoint | None,
    ) -> None:
        self._cells = cells_of(block for work in works for block in work.plan.blocks)
        self._n_epochs = sum(work.plan.epochs for work in works)
        self._n_rows = n_rows
        self._metric = METRICS.make(metric)
        self._observer = observer
        self._epoch = 0 if start is None else start.epoch
        seen = Seen() if start is None else start.seen
        self._diverged, self._best = set(seen.diverged & self._cells), seen.best
        observer.begin(self._progress())

    def seen(self, cells: set[int]) -> Seen:
        """What has been shown, of all cells and of some."""
        return Seen(self._best, frozenset(self._diverged & cells))

    def advance(self, record: EpochRecord, is_folded: bool) -> None:
        self._epoch += 1
        self._diverged |= {
            outcome.cell for outcome in record.outcomes if outcome.status == "diverged"
        }
        for block in () if is_folded else record.blocks:  # the loss of a single fold says little
            for validated in block.validated:
                losses = self._metric.of(validated)
                self._best = min(self._best, *losses[np.isfinite(losses)].tolist(), np.inf)
        self._observer.advance(self._progress())

    def _progress(self) -> Progress:
        return Progress(
            epoch=self._epoch,
            n_epochs=self._n_epochs,
            n_rows=self._n_rows,
            n_alive=len(self._cells) - len(self._diverged),
            n_cells=len(self._cells),
            best=self._best if np.isfinite(self._best) else None,
        )
