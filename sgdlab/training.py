"""Hands passes to the engine, and yields what became of every block."""

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from sgdlab.config import Run
from sgdlab.data.dataset import Dataset
from sgdlab.engine.blocks import Outcome
from sgdlab.engine.passes import EpochRecord, run_pass
from sgdlab.estimate import (
    fits_in_memory,
    held_chunks,
    keeps_parts,
    random_reads,
    random_reads_warning,
)
from sgdlab.observer import Observer, Progress
from sgdlab.plan import Block, Pass, cells_of, n_threads


@dataclass(frozen=True)
class Trained:
    """The cells of a block that ended with an epoch."""

    block: int
    epoch: int
    outcomes: tuple[Outcome, ...]


def train_blocks(
    passes: Sequence[tuple[Pass, Sequence[Block]]],
    dataset: Dataset,
    run: Run,
    metric: str,
    observer: Observer,
) -> Generator[Trained, None, None]:
    """Train some blocks of each pass; yields outcomes as they come.

    Parameters
    ----------
    metric
        Of the progress that the observer is told of: ``half_mse`` or ``mae``.
    """
    reads = max((random_reads(each, dataset.shape, run) for each, _ in passes), default=(0, 0))
    if warning := random_reads_warning(*reads):
        observer.note(warning)
    tracker = _Tracker(passes, dataset.shape.n_train, metric, observer)
    try:
        for each, blocks in passes:
            in_memory = fits_in_memory(each, dataset.shape, run)
            room = (held_chunks(each, dataset.shape, run), keeps_parts(each, dataset.shape, run))
            records = run_pass(each, blocks, dataset, in_memory, n_threads(run), *room)
            with closing(records):
                for record in records:
                    for block in record.blocks:
                        if block.outcomes:
                            yield Trained(block.block, record.epoch, tuple(block.outcomes))
                    tracker.advance(record, each.is_folded)
    finally:
        observer.end()


class _Tracker:
    """Turns the engine's records into progress."""

    def __init__(
        self,
        passes: Sequence[tuple[Pass, Sequence[Block]]],
        n_rows: int,
        metric: str,
        observer: Observer,
    ) -> None:
        self._cells = cells_of([block for _, blocks in passes for block in blocks])
        self._n_epochs = sum(max(block.epochs for block in blocks) for _, blocks in passes)
        self._n_rows = n_rows
        self._metric = metric
        self._observer = observer
        self._epoch = 0
        self._diverged: set[int] = set()
        self._best = np.inf
        observer.begin(self._progress())

    def advance(self, record: EpochRecord, is_folded: bool) -> None:
        self._epoch += 1
        self._diverged |= {each.cell for each in record.outcomes if each.status == "diverged"}
        for block in () if is_folded else record.blocks:  # the loss of a single fold says little
            for each in block.validated:
                losses = each.mae if self._metric == "mae" else each.half_mse
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
