"""Hands passes to the engine, and yields what became of every block."""

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from sgdlab.data.dataset import Dataset
from sgdlab.engine.passes import EpochRecord, run_pass
from sgdlab.engine.running_block import Outcome
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
) -> Generator[Trained, None, None]:
    """Train the blocks of some passes; yields outcomes as they come.

    Parameters
    ----------
    threads
        On which blocks run side by side.
    metric
        Of the progress that the observer is told of: ``half_mse`` or ``mae``.
    """
    if warning := random_reads_warning(*random_reads(works, dataset.shape)):
        observer.note(warning)
    tracker = _Tracker(works, dataset.shape.n_train, metric, observer)
    try:
        for work in works:
            with closing(run_pass(work, dataset, threads)) as records:
                for record in records:
                    for block in record.blocks:
                        if block.outcomes:
                            yield Trained(block.block, record.epoch, tuple(block.outcomes))
                    tracker.advance(record, work.plan.is_folded)
    finally:
        observer.end()


class _Tracker:
    """Turns the engine's records into progress."""

    def __init__(self, works: Sequence[Work], n_rows: int, metric: str, observer: Observer) -> None:
        self._cells = cells_of(block for work in works for block in work.plan.blocks)
        self._n_epochs = sum(work.plan.epochs for work in works)
        self._n_rows = n_rows
        self._metric = METRICS.make(metric)
        self._observer = observer
        self._epoch = 0
        self._diverged: set[int] = set()
        self._best = np.inf
        observer.begin(self._progress())

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
