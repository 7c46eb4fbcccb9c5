"""How long a plan takes on this machine, from about a second of its own work on a sample."""

import itertools
import math
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sgdlab.config.grid import Cell
from sgdlab.config.model import Run
from sgdlab.data.npy import NpyFile
from sgdlab.data.row_array import HASHED_WHOLE_BYTES
from sgdlab.data.shape import Shape
from sgdlab.planning.cost import Forecast
from sgdlab.planning.making import make_plan
from sgdlab.planning.memory import Work, assign_memory, epochs_validated_together
from sgdlab.planning.plan import cells_of, n_threads
from sgdlab.search.forecast.pace import Pace, measure_pace
from sgdlab.search.forecast.reading import seconds_a_row
from sgdlab.search.forecast.sample import Source
from sgdlab.search.forecast.writing import measure_writing
from sgdlab.system import machine
from sgdlab.words.starts import STARTS

BUDGET_S = 0.7  # of all samples together; reading and writing have their own
MOST_SAMPLES = 6
KEPT_SHARE = 0.5  # of the machine's memory; a file that is smaller is read from the disk once

_Key = tuple[object, ...]


@dataclass(frozen=True)
class _Reading:
    """Seconds for one row of the file, beyond copying it: the first time, and again."""

    first_s: float
    again_s: float

    def again(self) -> "_Reading":
        return _Reading(self.again_s, self.again_s)


@dataclass(frozen=True)
class _Segment:
    """Epochs of a pass in which the same blocks are at work: those of ``work``."""

    work: Work
    n_epochs: int

    @property
    def key(self) -> _Key:
        """Equal for segments that take equally long an epoch: replicates, for example."""
        blocks = tuple(
            (
                block.fold,
                block.window_rows,
                tuple(trajectory.train for trajectory in block.trajectories),
            )
            for block in self.work.plan.blocks
        )
        return (self.work.plan.chunk_rows, self.work.plan.blas_threads, blocks)

    @property
    def n_trajectories(self) -> int:
        return sum(len(block.trajectories) for block in self.work.plan.blocks)


def forecast(
    works: Sequence[Work], source: Source, run: Run, runs_dir: Path, memory_bytes: int
) -> Forecast:
    """Time and memory of making some passes, and of the end of the run.

    Parameters
    ----------
    memory_bytes
        Of the plan, without the interpreter.
    """
    start, base = time.perf_counter(), machine.peak_memory_bytes()
    works = [*works, *_final_works(works, source.shape, run)]
    by_pass = [_segments(work) for work in works]
    paces = _paces(
        [segment for segments in by_pass for segment in segments], source, n_threads(run)
    )
    peak = machine.peak_memory_bytes()
    reading = _measure_reading(works[0], source)
    first, shape = paces[by_pass[0][0].key], source.shape
    training_s = first.transform_s * shape.n_train / first.n_rows
    training_s += sum(
        _pass_s(segments, paces, shape, run, reading if n == 0 else reading.again())
        for n, segments in enumerate(by_pass)
    )
    training_s += (shape.n_validation + shape.n_test) * (first.held_out_s + reading.again_s)
    writing_s = _writing_s(works, first, runs_dir)
    expected_peak = None
    if base is not None and peak is not None:
        # What a sample takes beyond its plan, such as the buffers of the BLAS, the run takes too.
        planned = max(pace.memory_bytes for pace in paces.values())
        expected_peak = base + memory_bytes + max(0, peak - base - planned)
    return Forecast(
        elapsed_s=training_s + writing_s,
        training_s=training_s,
        writing_s=writing_s,
        peak_memory_bytes=expected_peak,
        measured_in_s=time.perf_counter() - start,
    )


def _final_works(works: Sequence[Work], shape: Shape, run: Run) -> list[Work]:
    """With folds, the training of the selected cell on all rows; of one that trains the longest."""
    if shape.folds is None:
        return []
    trajectories = [
        trajectory for w in works for b in w.plan.blocks for trajectory in b.trajectories
    ]
    longest = max(trajectories, key=lambda trajectory: trajectory.epochs)
    shape = replace(shape, folds=None)
    plan = make_plan([Cell(0, longest.train)], shape, run, n_threads(run))
    return assign_memory(plan.passes, shape, run)


def _segments(work: Work) -> list[_Segment]:
    """A block drops out when its last trajectory ends."""
    one_pass = work.plan
    ends = [0, *sorted({block.epochs for block in one_pass.blocks})]
    segments = []
    for start, stop in itertools.pairwise(ends):
        left = replace(one_pass, blocks=tuple(b for b in one_pass.blocks if b.epochs >= stop))
        segments.append(_Segment(replace(work, plan=left), stop - start))
    return segments


def _paces(segments: Sequence[_Segment], source: Source, threads: int) -> dict[_Key, Pace]:
    """The pace of every kind of segment; of many kinds, some go by the longest one's."""
    epochs: dict[_Key, int] = defaultdict(int)
    kinds = {segment.key: segment for segment in segments}
    for segment in segments:
        epochs[segment.key] += segment.n_epochs
    longest = sorted(kinds, key=lambda key: epochs[key] * kinds[key].n_trajectories, reverse=True)
    measured = longest[:MOST_SAMPLES]
    paces = {}
    for key in measured:
        paces[key] = measure_pace(kinds[key].work, source, threads, BUDGET_S / len(measured))
    for key in longest[MOST_SAMPLES:]:
        share = kinds[key].n_trajectories / kinds[longest[0]].n_trajectories
        pace = paces[longest[0]]
        paces[key] = replace(pace, epoch_s=share * pace.epoch_s, stop_s=share * pace.stop_s)
    return paces


def _pass_s(
    segments: Sequence[_Segment],
    paces: dict[_Key, Pace],
    shape: Shape,
    run: Run,
    reading: _Reading,
) -> float:
    """The time of all epochs of a pass, and of the training losses at its stops."""
    work, pace = segments[0].work, paces[segments[0].key]
    ratio, n_rows = shape.n_train / pace.n_rows, shape.n_train + shape.n_validation
    rows_again = shape.n_train + shape.n_validation / epochs_validated_together(work.plan, shape)
    epochs = [
        (segment.n_epochs, paces[segment.key].epoch_s * shape.n_train / paces[segment.key].n_rows)
        for segment in segments
    ]
    trajectories = [trajectory for block in work.plan.blocks for trajectory in block.trajectories]
    if work.holding.in_memory:
        n_stops = sum(len(trajectory.stops) for trajectory in trajectories) / len(trajectories)
        started_s = pace.setup_s * ratio + n_rows * reading.first_s
        return started_s + sum(n * epoch_s for n, epoch_s in epochs) + n_stops * pace.stop_s * ratio
    # Reading and arithmetic go side by side, as far as a processor is left for the system's part of
    # reading from a disk; every stop of any trajectory is a walk of its own.
    together = sum if n_threads(run) >= machine.n_processors() else max
    n_walks = len({stop.epoch for trajectory in trajectories for stop in trajectory.stops})
    n_walks += not all(
        STARTS[trajectory.train.initial_weights].is_zero for trajectory in trajectories
    )
    read_s, once_s = rows_again * reading.again_s, n_rows * (reading.first_s - reading.again_s)
    first_s = together((epochs[0][1], read_s + once_s))
    again_s = [together((epoch_s, read_s)) for _, epoch_s in epochs]
    epochs_s = sum(n * epoch_s for (n, _), epoch_s in zip(epochs, again_s, strict=True))
    walks_s = n_walks * together((pace.stop_s * ratio, shape.n_train * reading.again_s))
    return pace.setup_s + first_s - again_s[0] + epochs_s + walks_s


def _measure_reading(work: Work, source: Source) -> _Reading:
    if not isinstance(source.X, NpyFile) or source.X.n_bytes <= HASHED_WHOLE_BYTES:
        return _Reading(0.0, 0.0)  # writing the file or its fingerprint has left it in the memory
    one_pass, is_streamed = work.plan, not work.holding.in_memory
    is_scattered = is_streamed and not one_pass.order.reads_in_sequence
    n_chunks = math.ceil(source.shape.n_train / one_pass.chunk_rows) if is_scattered else 1
    is_kept = source.X.n_bytes <= KEPT_SHARE * machine.memory_bytes()
    first_s = seconds_a_row(source.X, n_chunks, is_kept)
    return _Reading(first_s, 0.0 if is_kept else first_s)


def _writing_s(works: Sequence[Work], pace: Pace, runs_dir: Path) -> float:
    blocks = [block for work in works for block in work.plan.blocks]
    trajectories = [trajectory for block in blocks for trajectory in block.trajectories]
    stops = [stop for trajectory in trajectories for stop in trajectory.stops]
    n_commits = sum(
        len({stop.epoch for trajectory in block.trajectories for stop in trajectory.stops})
        for block in blocks
    )
    n_epochs = math.ceil(sum(stop.epoch for stop in stops) / len(stops))
    together = round(len(stops) / n_commits)
    writing = measure_writing(runs_dir, trajectories[0].train, pace.outcome, n_epochs, together)
    n_cells = len(cells_of(blocks))
    return len(stops) * writing.outcome_s + n_cells * writing.result_s + writing.end_s
