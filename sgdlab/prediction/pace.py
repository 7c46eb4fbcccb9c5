"""Times the plan's blocks on a sample, epoch by epoch."""

import math
import statistics
import time
from contextlib import closing, suppress
from dataclasses import dataclass, replace

import numpy as np

from sgdlab.config import Run
from sgdlab.data.dataset import Dataset
from sgdlab.data.orders import FIXED_ORDERS
from sgdlab.data.rows import READ_BYTES, rows_in
from sgdlab.engine.blocked import keeps_products
from sgdlab.engine.blocks import Outcome
from sgdlab.engine.evaluation import prediction_errors
from sgdlab.engine.validation import MOST_EPOCHS
from sgdlab.estimate import MOST_CHUNKS_HELD, estimate, held_chunks, keeps_parts
from sgdlab.observer import Observer, Progress
from sgdlab.plan import Pass, Plan
from sgdlab.prediction.sample import (
    SampleBlocks,
    Source,
    largest_batch,
    sample_blocks,
    sample_dataset,
)
from sgdlab.training import train_blocks

PILOT_ROWS = 256
SAMPLE_BYTES = 64 * 2**20  # of a sample's rows, at most; more than a processor's cache
STREAMED_SAMPLE_BYTES = 256 * 2**20  # of rows that are read in every epoch
CHUNKS_OF_A_STREAM = MOST_CHUNKS_HELD + 1  # at least, so that some are read while others are used
CYCLE = MOST_EPOCHS  # the last of so many epochs has a validation
EPOCHS_WANTED = FEWEST_EPOCHS = 2 * CYCLE  # every second cycle ends with a stop


@dataclass(frozen=True)
class Pace:
    """Seconds that the blocks of a pass take on a sample of ``n_rows`` training rows.

    Attributes
    ----------
    transform_s
        The statistics of the columns.
    setup_s
        Before the first epoch.
    epoch_s, stop_s
        An epoch with its share of a validation, and what one costs more in which all trajectories
        stop.
    held_out_s
        Evaluating a single cell on one held-out row.
    memory_bytes
        What the plan of the sample says that it needs.
    outcome
        Of some cell.
    """

    n_rows: int
    transform_s: float
    setup_s: float
    epoch_s: float
    stop_s: float
    held_out_s: float
    memory_bytes: int
    outcome: Outcome


def measure_pace(each: Pass, source: Source, run: Run, in_memory: bool, budget_s: float) -> Pace:
    """Train the blocks of a pass on samples: a small one, then one that takes the time given."""
    sample = sample_blocks(each.blocks, source.shape.n_features, _order(each, source.shape.n_train))
    n_held = held_chunks(each, source.shape, run)
    keeps = keeps_parts(each, source.shape, run)
    n_rows = min(PILOT_ROWS, _most_rows(source, in_memory))
    with sample_dataset(source, n_rows) as dataset:
        held = _held(run, each, dataset, in_memory, n_held, keeps)
        pilot = _timed(each, sample, dataset, held, 0.0)
    wanted = n_rows * budget_s / (EPOCHS_WANTED * pilot.epoch_s)
    n_rows = _whole_batches(min(wanted, _most_rows(source, in_memory)), each, source.shape.n_train)
    if not in_memory:
        together = min(each.chunk_rows, math.ceil(n_rows / max(CHUNKS_OF_A_STREAM, n_held + 1)))
        each = replace(each, chunk_rows=max(1, together))
    with sample_dataset(source, n_rows) as dataset:
        held = _held(run, each, dataset, in_memory, n_held, keeps)
        return _timed(each, sample, dataset, held, budget_s)


def _order(each: Pass, n_rows: int) -> str:
    """That of the pass, or one that keeps no products where the pass has too many rows for it.

    A sample has few rows, whose products would be kept.
    """
    order, precision = each.train.order, each.train.precision
    is_kept = all(
        keeps_products(n_rows, block.window_rows, len(block.batch_sizes), precision)
        for block in each.blocks
        if block.window_rows is not None
    )
    return order if is_kept or order not in FIXED_ORDERS else "shuffle_each_epoch"


def _held(
    run: Run, each: Pass, dataset: Dataset, in_memory: bool, n_held: int, keeps_parts: bool
) -> Run:
    """With a budget for what the pass holds: some chunks, all rows, or parts of all folds too."""
    shape = dataset.shape
    n_rows = shape.n_train + shape.n_validation if in_memory else n_held * each.chunk_rows
    row_bytes = shape.n_features * np.dtype(each.train.precision).itemsize
    is_enough = in_memory and (keeps_parts or not each.is_folded)
    budget = 2**62 if is_enough else n_rows * row_bytes
    return run.model_copy(update={"memory_budget": budget})


def _most_rows(source: Source, in_memory: bool) -> int:
    n_bytes, shape = SAMPLE_BYTES if in_memory else STREAMED_SAMPLE_BYTES, source.shape
    share = shape.n_train / (shape.n_train + shape.n_validation)
    return min(shape.n_train, max(1, int(share * n_bytes / (8 * shape.n_features))))


def _whole_batches(wanted: float, each: Pass, n_train: int) -> int:
    """At least the smallest pilot; whole batches of every size or of the largest, if they fit."""
    n_rows = max(min(PILOT_ROWS, n_train), int(wanted))
    sizes = [size for block in each.blocks for size in block.batch_sizes]
    for together in (math.lcm(*sizes), largest_batch(each.blocks)):
        if n_rows < n_train and together <= n_rows:
            return n_rows - n_rows % together
    return n_rows


class _EnoughError(Exception):
    """Enough epochs were timed."""


class _Clock(Observer):
    """When training began and when each epoch ended; ends it after the time given."""

    def __init__(self, budget_s: float) -> None:
        self._budget_s = budget_s

    def begin(self, progress: Progress) -> None:
        self.times = [time.perf_counter()]

    def advance(self, progress: Progress) -> None:
        self.times.append(time.perf_counter())
        is_late = self.times[-1] - self.times[0] > self._budget_s
        if is_late and len(self.times) > FEWEST_EPOCHS:
            raise _EnoughError


def _timed(each: Pass, sample: SampleBlocks, dataset: Dataset, run: Run, budget_s: float) -> Pace:
    """Train for the time given, or a few epochs."""
    start = time.perf_counter()
    _ = dataset.folds if each.is_folded else dataset.transform
    transform_s = time.perf_counter() - start
    clock = _Clock(budget_s)
    outcomes: list[Outcome] = []
    sampled = replace(each, blocks=sample.blocks)
    stream = train_blocks([(sampled, sample.blocks)], dataset, run, "half_mse", clock)
    with suppress(_EnoughError), closing(stream):
        for trained in stream:
            outcomes += trained.outcomes[:1]
    epochs = np.diff(clock.times)
    setup_s = max(0.0, epochs[0] - statistics.median(epochs[1 : CYCLE - 1]))
    epochs[0] -= setup_s
    cycles = epochs[: len(epochs) // (2 * CYCLE) * 2 * CYCLE].reshape(-1, 2, CYCLE)
    without_stop, with_stop = np.median(cycles, axis=0)
    return Pace(
        n_rows=dataset.shape.n_train,
        transform_s=transform_s,
        setup_s=setup_s,
        epoch_s=without_stop.mean() / sample.share,
        stop_s=max(0.0, with_stop[-1] - without_stop[-1]) / sample.share,
        held_out_s=_held_out_s(each, dataset),
        memory_bytes=estimate(Plan((sampled,)), 1, dataset.shape, run).memory_bytes,
        outcome=outcomes[0],
    )


def _held_out_s(each: Pass, dataset: Dataset) -> float:
    rows = dataset.test(each.train.precision)
    weights = np.zeros((1, rows.n_features), rows.dtype)
    start = time.perf_counter()
    prediction_errors(weights, np.zeros(1), rows.chunks(rows_in(READ_BYTES, rows.n_features)))
    return (time.perf_counter() - start) / rows.n_rows
