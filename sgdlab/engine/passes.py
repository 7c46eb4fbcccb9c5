"""Walks the rows once an epoch and hands every chunk to all blocks, each on a thread."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from sgdlab.data.dataset import Dataset
from sgdlab.data.orders import FIXED_ORDERS, epoch_order
from sgdlab.data.rows import Chunk, RowSet
from sgdlab.engine.blocks import BlockEpoch, Outcome, RunningBlock
from sgdlab.plan import Block, Pass


@dataclass(frozen=True)
class EpochRecord:
    """One epoch of one pass; epochs count from 1."""

    epoch: int
    n_rows: int
    blocks: tuple[BlockEpoch, ...]

    @property
    def outcomes(self) -> list[Outcome]:
        return [outcome for block in self.blocks for outcome in block.outcomes]


def run_pass(
    plan: Pass, blocks: Sequence[Block], dataset: Dataset, in_memory: bool, threads: int
) -> Iterator[EpochRecord]:
    """Train some blocks of a pass; yields a record after every epoch.

    Parameters
    ----------
    blocks
        Those that are not finished yet. What one of them computes does not depend on the others.
    in_memory
        Whether the rows are held in memory or read from the files in every epoch; the results are
        the same.
    threads
        On which the blocks run side by side; the results do not depend on it.

    Raises
    ------
    DataError
        If the files hold a value that is not finite, or change.
    """
    training, validation = _row_sets(plan, dataset, in_memory)
    running = [RunningBlock(block, training) for block in blocks]
    for block in running:
        block.measure_start(training, plan.chunk_rows)
    with (
        threadpool_limits(plan.blas_threads, user_api="blas"),
        ThreadPoolExecutor(max(1, min(threads, len(blocks)))) as pool,
        ThreadPoolExecutor(1) as reader,
    ):
        workers = _Workers(pool, reader)
        for epoch in itertools.count(1):
            order = None if _is_fixed(plan) else _order(plan, training.n_rows, epoch - 1)
            records = _run_epoch(running, workers, plan.chunk_rows, training, validation, order)
            yield EpochRecord(epoch, training.n_rows, records)
            running = [block for block in running if not block.is_done]
            if not running:
                return


def _row_sets(plan: Pass, dataset: Dataset, in_memory: bool) -> tuple[RowSet, RowSet]:
    """Training rows, already in the pass's order if that is the same in every epoch."""
    train = plan.train
    order = _order(plan, dataset.shape.n_train, 0) if _is_fixed(plan) else None
    training = dataset.training(train.precision, order)
    validation = dataset.validation(train.precision)
    if in_memory:
        training.load()
        validation.load()
    return training, validation


def _is_fixed(plan: Pass) -> bool:
    return plan.train.order in FIXED_ORDERS


def _order(plan: Pass, n_rows: int, epoch: int) -> NDArray[np.int64]:
    train = plan.train
    return epoch_order(train.order, n_rows, train.seed, plan.replicate, epoch)


@dataclass(frozen=True)
class _Workers:
    """The threads of a pass: some compute, one reads."""

    pool: ThreadPoolExecutor
    reader: ThreadPoolExecutor

    def hand_out(
        self,
        chunks: Iterator[Chunk],
        blocks: Sequence[RunningBlock],
        work: Callable[[RunningBlock, NDArray[Any], NDArray[Any]], None],
    ) -> None:
        """Let every block work on every chunk, while the next chunk is read."""
        upcoming = self.reader.submit(next, chunks, None)
        while (chunk := upcoming.result()) is not None:
            upcoming = self.reader.submit(next, chunks, None)
            list(self.pool.map(work, blocks, *(itertools.repeat(array) for array in chunk)))


def _run_epoch(
    running: Sequence[RunningBlock],
    workers: _Workers,
    chunk_rows: int,
    training: RowSet,
    validation: RowSet,
    order: NDArray[np.int64] | None,
) -> tuple[BlockEpoch, ...]:
    for block in running:
        block.start_epoch(training.n_rows)
    workers.hand_out(training.chunks(chunk_rows, order), running, RunningBlock.train)
    for block in running:
        block.check_divergence()
    workers.hand_out(validation.chunks(chunk_rows), running, RunningBlock.validate)
    if stopping := [block for block in running if block.stops_now]:
        workers.hand_out(training.chunks(chunk_rows), stopping, RunningBlock.measure_training)
    return tuple(block.close_epoch() for block in running)
