"""Walks the rows once an epoch and hands every chunk to all blocks, a block a thread."""

import itertools
from collections import defaultdict
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgdlab.data.dataset import Dataset
from sgdlab.data.read_ahead import ReadAhead
from sgdlab.data.rows import RowSet
from sgdlab.engine.checkpoints import Checkpoint, UnusableCheckpointError
from sgdlab.engine.crew import Crew
from sgdlab.engine.kernels import Place
from sgdlab.engine.pass_rows import Part, PassRows
from sgdlab.engine.running_block import BlockEpoch, Outcome, RunningBlock
from sgdlab.planning.memory import Work
from sgdlab.planning.plan import Block, Pass
from sgdlab.system.blas import blas_threads
from sgdlab.system.interruptible import interruptibly

FEWEST_OPERATIONS = 5e9  # of a chunk for which Ctrl-C does not wait: others take some 0.2 s
OPERATIONS = 4  # of floating point, of a model with a number of a row: two products


@dataclass(frozen=True)
class EpochRecord:
    """One epoch of one pass; epochs count from 1."""

    epoch: int
    blocks: tuple[BlockEpoch, ...]

    @property
    def outcomes(self) -> list[Outcome]:
        return [outcome for block in self.blocks for outcome in block.outcomes]


Offer = Callable[[Sequence[RunningBlock], int, int], None]


def _to_nobody(running: Sequence[RunningBlock], epoch: int, row: int) -> None:
    """Nothing is kept."""


def run_pass(
    work: Work,
    dataset: Dataset,
    threads: int,
    start: Checkpoint | None = None,
    offer: Offer = _to_nobody,
) -> Generator[EpochRecord, None, None]:
    """Train the blocks of a pass; yields a record after every epoch.

    Parameters
    ----------
    work
        With the blocks that are not finished yet. What one of them computes depends neither on the
        others nor on what is held in memory.
    threads
        On which the blocks run side by side; the results do not depend on it.
    start
        What to go on from, with a state of every block; these are taken out of it.
    offer
        Is called at the end of every chunk and epoch with the blocks, whose states may be taken,
        how many epochs are over, and how many rows of the next one are gone through.

    Raises
    ------
    DataError
        If the files hold a value that is not finite, or change.
    UnusableCheckpointError
        If ``start`` does not fit the blocks, before anything is trained.
    """
    plan, rows = work.plan, PassRows(work, dataset)
    n_workers = max(1, min(threads // plan.blas_threads, len(plan.blocks)))
    with (
        blas_threads(plan.blas_threads),
        Crew(n_workers) as crew,
        ReadAhead(plan.chunk_rows, work.holding.n_chunks) as ahead,
    ):
        workers = _Workers(crew, ahead, plan.chunk_rows)
        if start is None:
            epoch, row, running = 0, 0, _start(plan.blocks, workers, rows)
        else:
            epoch, row, running = start.epoch, start.row, _taken_up(plan, start, rows)
        while running:
            records = _run_epoch(running, workers, rows, epoch, row, offer)
            epoch, row = epoch + 1, 0
            yield EpochRecord(epoch, records)
            running = [block for block in running if not block.is_done]
            if running:
                offer(running, epoch, row)


@dataclass(frozen=True)
class _Walk:
    """Through which rows of a set, and what is called after every chunk with how many are done."""

    order: NDArray[np.int64] | None = None
    ends: NDArray[np.int64] | None = None
    start: int = 0
    after: Callable[[int], None] = lambda row: None


@dataclass(frozen=True)
class _Workers:
    """The threads of a pass: some compute, others read."""

    crew: Crew
    ahead: ReadAhead
    chunk_rows: int

    def hand_out(
        self,
        blocks: Sequence[RunningBlock],
        work: Callable[..., None],
        row_set: RowSet,
        part: Callable[..., Part],
        walk: "_Walk | None" = None,
    ) -> None:
        """Let every block work on its part of every chunk, while the next chunks are read."""
        walk = walk or _Walk()
        numbers = row_set.numbers if walk.order is None else row_set.numbers[walk.order]
        starts = range(walk.start, len(numbers), self.chunk_rows)
        n_models = sum(len(block.plan.trajectories) for block in blocks)
        with closing(self.ahead.chunks(row_set, walk.order, walk.ends, walk.start)) as chunks:
            for start, chunk in zip(starts, chunks, strict=True):
                of_chunk = numbers[start : start + self.chunk_rows]
                of_part = partial(part, chunk=chunk, numbers=of_chunk)
                n_operations = OPERATIONS * n_models * float(chunk[0].size)
                on_part = partial(self._work_on, blocks, work, of_part)
                interruptibly(n_operations, on_part, FEWEST_OPERATIONS)
                if len(numbers) > self.chunk_rows:  # or else the epoch ends soon
                    walk.after(start + len(of_chunk))

    def _work_on(
        self,
        blocks: Sequence[RunningBlock],
        work: Callable[..., None],
        part: Callable[[int | None], Part],
    ) -> None:
        """A part is made once, by the first block of its fold; these go before all other blocks."""
        of_folds: dict[int | None, list[RunningBlock]] = defaultdict(list)
        for block in blocks:
            of_folds[block.plan.fold].append(block)
        parts = {fold: _Once(partial(part, fold)) for fold in of_folds}
        in_turn = filter(None, itertools.chain(*itertools.zip_longest(*of_folds.values())))
        self.crew.run(
            partial(_work_on_part, work, block, parts[block.plan.fold]) for block in in_turn
        )


class _Once:
    """A value that is made when it is asked for, by one of the threads that do."""

    def __init__(self, make: Callable[[], Part]) -> None:
        self._make = make
        self._lock = Lock()
        self._value: Part | None = None

    def value(self) -> Part:
        with self._lock:
            if self._value is None:
                self._value = self._make()
            return self._value


def _work_on_part(work: Callable[..., None], block: RunningBlock, part: _Once) -> None:
    work(block, *part.value())


# A training that diverges leaves the range of its numbers, at places that nobody can list. What has
# become of it is seen in its losses; so in a whole pass such arithmetic is no error.
_of_any_size = np.errstate(all="ignore")


@_of_any_size
def _start(blocks: Sequence[Block], workers: _Workers, rows: PassRows) -> list[RunningBlock]:
    running = [rows.start(block) for block in blocks]
    if starting := [block for block in running if block.starts_from_rows]:
        workers.hand_out(starting, RunningBlock.measure_start, rows.training, rows.own)
    return running


@_of_any_size
def _taken_up(plan_pass: Pass, start: Checkpoint, rows: PassRows) -> list[RunningBlock]:
    """The blocks of a pass as they were at a checkpoint."""
    is_chunk_end = start.row % plan_pass.chunk_rows == 0 or start.row == rows.training.n_rows
    if not 0 <= start.row <= rows.training.n_rows or not is_chunk_end:
        raise UnusableCheckpointError(f"row {start.row}: no end of a chunk")
    epoch = start.epoch if start.row else start.epoch - 1  # in which the last row was seen, from 0
    if not 0 <= epoch < plan_pass.epochs:
        raise UnusableCheckpointError(f"epoch {start.epoch}: none of {plan_pass.epochs}")
    folds, order = {block.fold for block in plan_pass.blocks}, rows.order(epoch)
    n_rows = rows.n_training(folds, order)
    n_seen = rows.n_training(folds, order, start.row) if start.row else n_rows
    running = [rows.start(block) for block in plan_pass.blocks]
    try:
        for block in running:
            fold = block.plan.fold
            place = Place(epoch, n_seen[fold], n_rows[fold])
            block.restore(start.blocks.pop(block.plan.index), start.epoch, place)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise UnusableCheckpointError(str(error)) from None
    return running


@_of_any_size
def _run_epoch(
    running: Sequence[RunningBlock],
    workers: _Workers,
    rows: PassRows,
    epoch: int,
    row: int,
    offer: Offer,
) -> tuple[BlockEpoch, ...]:
    """Train an epoch, from 0, from the given row on, which is 0 unless a checkpoint had more."""
    order = rows.order(epoch)
    if not row:
        counts = rows.n_training({block.plan.fold for block in running}, order)
        for block in running:
            block.start_epoch(counts[block.plan.fold])
    walk = _Walk(order, rows.ends(epoch), row, partial(offer, running, epoch))
    workers.hand_out(running, RunningBlock.train, rows.training, rows.own, walk)
    for block in running:
        block.check_divergence()
    validating = [block for block in running if block.validates_now]
    if rows.validation is not None and validating:
        workers.hand_out(validating, RunningBlock.validate, rows.validation, rows.own)
    if stopping := [block for block in running if block.stops_now]:
        workers.hand_out(stopping, _measure_stop, rows.training, rows.both)
    return tuple(block.close_epoch() for block in running)


def _measure_stop(
    block: RunningBlock, rows: NDArray[Any], targets: NDArray[Any], *held_out: NDArray[Any]
) -> None:
    """Give a block that has a stop the rows that it was trained on, and those that it holds out."""
    block.measure_training(rows, targets)
    if held_out:
        block.validate(*held_out)
