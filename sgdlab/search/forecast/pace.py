"""Times the plan's blocks on a sample, epoch by epoch."""

import math
import statistics
import time
from contextlib import closing, suppress
from dataclasses import dataclass, replace

import numpy as np

from sgdlab.data.dataset import Dataset
from sgdlab.engine.error_sums import prediction_errors
from sgdlab.engine.running_block import Outcome
from sgdlab.engine.training import train_blocks
from sgdlab.observer import Observer, Progress
from sgdlab.planning.cost import memory_bytes
from sgdlab.planning.memory import MOST_CHUNKS_HELD, MOST_EPOCHS, Work
from sgdlab.planning.plan import Pass
from sgdlab.search.forecast.sample import (
    SampleBlocks,
    Source,
    largest_batch,
    sample_blocks,
    sample_dataset,
)

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
        What the sample needs by an estimate.
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


def measure_pace(work: Work, source: Source, threads: int, budget_s: float) -> Pace:
    """Train the blocks of a pass on samples: a small one, then one that takes the time given.

    A sample has few rows, but what is held of them is what the pass holds.
    """
    one_pass, holding = work.plan, work.holding
    sample = sample_blocks(one_pass.blocks, source.shape.n_features)
    most_rows = _most_rows(source, holding.in_memory)
    in_files = source.is_in_files and (not holding.in_memory or source.is_read_apart)
    n_rows = min(PILOT_ROWS, most_rows)
    with sample_dataset(source, n_rows, in_files) as dataset:
        pilot = _timed(work, sample, dataset, threads, 0.0)
    wanted = n_rows * budget_s / (EPOCHS_WANTED * pilot.epoch_s)
    n_rows = _whole_batches(min(wanted, most_rows), one_pass, source.shape.n_train)
    if not holding.in_memory:
        n_chunks = max(CHUNKS_OF_A_STREAM, holding.n_chunks + 1)
        together = min(one_pass.chunk_rows, math.ceil(n_rows / n_chunks))
        work = replace(work, plan=replace(one_pass, chunk_rows=max(1, together)))
    with sample_dataset(source, n_rows, in_files) as dataset:
        return _timed(work, sample, dataset, threads, budget_s)


def _most_rows(source: Source, in_memory: bool) -> int:
    n_bytes, shape = SAMPLE_BYTES if in_memory else STREAMED_SAMPLE_BYTES, source.shape
    share = shape.n_train / (shape.n_train + shape.n_validation)
    return min(shape.n_train, max(1, int(share * n_bytes / (8 * shape.n_features))))


def _whole_batches(wanted: float, one_pass: Pass, n_train: int) -> int:
    """At least the smallest pilot; whole batches of every size or of the largest, if they fit."""
    n_rows = max(min(PILOT_ROWS, n_train), int(wanted))
    sizes = [size for block in one_pass.blocks for size in block.batch_sizes]
    for together in (math.lcm(*sizes), largest_batch(one_pass.blocks)):
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


def _timed(
    work: Work, sample: SampleBlocks, dataset: Dataset, threads: int, budget_s: float
) -> Pace:
    """Train for the time given, or a few epochs."""
    start = time.perf_counter()
    _ = dataset.folds if work.plan.is_folded else dataset.transform
    transform_s = time.perf_counter() - start
    clock = _Clock(budget_s)
    outcomes: list[Outcome] = []
    sampled = replace(work, plan=replace(work.plan, blocks=sample.blocks))
    stream = train_blocks([sampled], dataset, threads, "half_mse", clock)
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
        held_out_s=_held_out_s(work.plan, dataset),
        memory_bytes=memory_bytes(sampled, dataset.shape),
        outcome=outcomes[0],
    )


def _held_out_s(one_pass: Pass, dataset: Dataset) -> float:
    rows = dataset.test(one_pass.train.precision)
    weights = np.zeros((1, rows.n_features), rows.dtype)
    start = time.perf_counter()
    prediction_errors(weights, np.zeros(1), rows.walk())
    return (time.perf_counter() - start) / rows.n_rows
