"""Trains what a run lacks: hands passes to the engine and its outcomes to the run."""

import numpy as np

from sgdlab.config import Config
from sgdlab.data.dataset import Dataset
from sgdlab.engine.passes import EpochRecord, run_pass
from sgdlab.estimate import fits_in_memory
from sgdlab.observer import Observer, Progress
from sgdlab.plan import Block, Pass, Plan
from sgdlab.runs import OpenRun


def missing_blocks(run: OpenRun, plan: Plan, with_weights: bool) -> list[tuple[Pass, list[Block]]]:
    """The blocks of each pass whose outcomes are not all committed.

    A block is trained whole, even if only one of its cells is missing: its bits depend on it.
    """
    found = [
        (each, [block for block in each.blocks if not run.has(block, with_weights)])
        for each in plan.passes
    ]
    return [(each, blocks) for each, blocks in found if blocks]


def train_blocks(
    run: OpenRun,
    missing: list[tuple[Pass, list[Block]]],
    dataset: Dataset,
    config: Config,
    threads: int,
    observer: Observer,
) -> None:
    """Train blocks and commit every outcome as it comes."""
    tracker = _Tracker(missing, dataset.shape.n_train, config.select.metric, observer)
    try:
        for each, blocks in missing:
            in_memory = fits_in_memory(each, dataset.shape, config.run)
            for record in run_pass(each, blocks, dataset, in_memory, threads):
                for block in record.blocks:
                    if block.outcomes:
                        run.commit(block.block, record.epoch, block.outcomes)
                tracker.advance(record)
    finally:
        observer.end()


class _Tracker:
    """Turns the engine's records into progress."""

    def __init__(
        self,
        missing: list[tuple[Pass, list[Block]]],
        n_rows: int,
        metric: str,
        observer: Observer,
    ) -> None:
        blocks = [block for _, blocks in missing for block in blocks]
        self._cells = {
            stop.cell
            for block in blocks
            for trajectory in block.trajectories
            for stop in trajectory.stops
        }
        self._n_epochs = sum(max(block.epochs for block in blocks) for _, blocks in missing)
        self._n_rows = n_rows
        self._metric = metric
        self._observer = observer
        self._epoch = 0
        self._diverged: set[int] = set()
        self._best = np.inf
        observer.begin(self._progress())

    def advance(self, record: EpochRecord) -> None:
        self._epoch += 1
        self._diverged |= {each.cell for each in record.outcomes if each.status == "diverged"}
        for block in record.blocks:
            losses = block.validation_mae if self._metric == "mae" else block.validation_loss
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
