"""What a plan costs, before it runs: bytes, operations, memory."""

import math
from dataclasses import dataclass

import numpy as np

from sgdlab import system
from sgdlab.config import Run
from sgdlab.data.dataset import Shape
from sgdlab.data.folds import fold_sizes
from sgdlab.data.orders import FIXED_ORDERS
from sgdlab.data.read_ahead import RAW_PIECES
from sgdlab.data.rows import READ_BYTES, piece_rows
from sgdlab.engine.blocked import MAX_KEPT_BYTES
from sgdlab.engine.validation import epochs_together
from sgdlab.engine.walk import power_numbers
from sgdlab.plan import Block, Pass, Plan

MAX_BUDGET_BYTES = 2 * 10**9
MOST_CHUNKS_HELD = 4  # more than one or two that wait for the arithmetic make nothing faster
KEPT_OF_AN_EPOCH = 150  # bytes a trajectory: 3 losses as numbers, twice, and as a log's text
KEPT_OF_A_ROW = 32  # bytes: its target, its number in the file, its place in an order

# As large as the weights: they themselves, gradients, their averages, and what is on its way.
ARRAYS_OF_WEIGHTS = {"sgd": 4, "momentum": 7, "nesterov": 8, "adam": 11}


@dataclass(frozen=True)
class Estimate:
    """Of a whole plan.

    Attributes
    ----------
    row_bytes
        Of the training and validation rows that a pass reads once an epoch, in its precision.
    in_memory
        Whether they are held in memory; otherwise every epoch reads them from the files.
    flops
        Floating-point operations of all trainings, evaluations of every epoch included; without the
        training on all rows that follows cross-validation.
    memory_bytes
        Rows or buffers, weights and gradients; without the interpreter.
    n_random_reads, random_read_bytes
        How many separate pieces of the training file an epoch reads out of the order in which they
        lie, about, and how large each is; of the pass with the most. 0 if it is read in sequence.
    """

    n_cells: int
    n_trajectories: int
    n_passes: int
    n_blocks: int
    n_epochs: int
    row_bytes: int
    in_memory: bool
    flops: int
    memory_bytes: int
    n_random_reads: int
    random_read_bytes: int


@dataclass(frozen=True)
class Prediction:
    """What training some blocks is going to take on this machine, by a measurement of it.

    Attributes
    ----------
    elapsed_s
        From the first row that is read to the end of the run, ``writing_s`` included: making
        outcomes durable and finishing the run.
    peak_memory_bytes
        Of the process; None on systems that do not tell.
    measured_in_s
        How long the measurement took.
    """

    elapsed_s: float
    training_s: float
    writing_s: float
    peak_memory_bytes: int | None
    measured_in_s: float


@dataclass(frozen=True)
class PlannedSearch:
    """What a search would do and cost; the prediction where this machine was measured."""

    name: str
    is_synthetic: bool
    plan: Plan
    cost: Estimate
    prediction: Prediction | None = None


def memory_budget(run: Run) -> int:
    """Bytes of rows that may be held in memory."""
    if run.memory_budget == "auto":
        return min(MAX_BUDGET_BYTES, system.memory_bytes() // 4)
    return run.memory_budget


def fits_in_memory(each: Pass, shape: Shape, run: Run) -> bool:
    """Whether the rows of a pass fit the memory budget."""
    return _row_bytes(each, shape) <= memory_budget(run)


def keeps_parts(each: Pass, shape: Shape, run: Run) -> bool:
    """Whether there is room for what each fold trains on, beside the rows that all folds share.

    It saves a copy in every epoch, where the order of the rows is the same in all.
    """
    if not each.is_folded or each.train.order not in FIXED_ORDERS:
        return False
    # All parts together are as large as all rows but one time less than there are folds.
    return len(each.folds) * _row_bytes(each, shape) <= memory_budget(run)


def held_chunks(each: Pass, shape: Shape, run: Run) -> int:
    """For how many chunks of rows there is room that are read or gathered in every epoch.

    At least 2. For two buffers of shuffled blocks and a chunk, if the budget has room for them.
    """
    wanted = MOST_CHUNKS_HELD
    if each.train.order == "shuffle_blocks" and not fits_in_memory(each, shape, run):
        wanted = math.ceil(2 * _buffer_rows(each, shape) / each.chunk_rows) + 1
    return max(2, min(wanted, memory_budget(run) // _chunk_bytes(each, shape)))


def epochs_validated_together(each: Pass, shape: Shape) -> int:
    """After how many epochs at most a pass reads the validation rows."""
    return min(epochs_together(_weights_bytes(block, each, shape)) for block in each.blocks)


def random_reads(each: Pass, shape: Shape, run: Run) -> tuple[int, int]:
    """How many pieces an epoch reads out of the order of the file, about, and their bytes."""
    order, row_bytes = each.train.order, shape.n_features * shape.itemsize
    n_together = min(each.chunk_rows, shape.n_train)  # of so many the rows are read in order
    if fits_in_memory(each, shape, run):
        return 0, 0
    if shape.is_fortran:
        n_pieces = math.ceil(shape.n_train / min(n_together, _piece_rows(shape)))
        n_rows = min(n_together, _piece_rows(shape)) if order == "in_order" else shape.n_train
        return n_pieces * shape.n_features, n_rows * shape.itemsize
    if order == "in_order":
        return 0, 0
    among = shape.n_train
    if order == "shuffle_blocks":
        among = _buffer_rows(each, shape)
        if among + each.chunk_rows <= held_chunks(each, shape, run) * each.chunk_rows:
            return 0, 0
    # Rows that happen to be neighbours are read together.
    return round(shape.n_train * max(0.0, 1 - n_together / among)), row_bytes


def random_reads_warning(n_reads: int, n_bytes: int) -> str | None:
    """What reading out of order costs, in one sentence; None if there is no such reading."""
    if not n_reads:
        return None
    size = f"{n_bytes / 1000:,.1f} kB"
    found = f"every epoch makes about {n_reads:,} separate reads of {size}"
    return f"{found}; a C-ordered file with order shuffle_blocks or in_order is read in sequence"


def estimate(plan: Plan, n_cells: int, shape: Shape, run: Run) -> Estimate:
    """Costs of a plan; the largest pass counts for bytes and memory."""
    n_reads, read_bytes = max(random_reads(each, shape, run) for each in plan.passes)
    in_memory = all(fits_in_memory(each, shape, run) for each in plan.passes)
    return Estimate(
        n_cells=n_cells,
        n_trajectories=plan.n_trajectories,
        n_passes=len(plan.passes),
        n_blocks=len(plan.blocks),
        n_epochs=sum(each.epochs for each in plan.passes),
        row_bytes=max(_row_bytes(each, shape) for each in plan.passes),
        in_memory=in_memory,
        flops=sum(_flops(each, shape) for each in plan.passes),
        memory_bytes=max(_memory_bytes(each, shape, run) for each in plan.passes),
        n_random_reads=n_reads,
        random_read_bytes=read_bytes,
    )


def _itemsize(each: Pass) -> int:
    return np.dtype(each.train.precision).itemsize


def _row_bytes(each: Pass, shape: Shape) -> int:
    return (shape.n_train + shape.n_validation) * shape.n_features * _itemsize(each)


def _flops(each: Pass, shape: Shape) -> int:
    """Two products a training row, one a validation row, one a training row at each stop.

    A fold predicts the rows that it holds out at stops alone.
    """
    total = 0
    for block in each.blocks:
        n_held_out = 0
        if shape.folds and block.fold is not None:
            n_held_out = int(fold_sizes(shape.n_train, shape.folds)[block.fold])
        an_epoch = 4 * (shape.n_train - n_held_out) + 2 * shape.n_validation
        total += len(block.trajectories) * block.epochs * an_epoch * shape.n_features
        n_stops = sum(len(trajectory.stops) for trajectory in block.trajectories)
        total += 2 * n_stops * shape.n_train * shape.n_features
    return total


def _weights_bytes(block: Block, each: Pass, shape: Shape) -> int:
    return len(block.trajectories) * shape.n_features * _itemsize(each)


def _chunk_bytes(each: Pass, shape: Shape) -> int:
    return min(each.chunk_rows, shape.n_train) * shape.n_features * _itemsize(each)


def _buffer_rows(each: Pass, shape: Shape) -> int:
    return each.order.mixed_rows(shape.n_train)


def _piece_rows(shape: Shape) -> int:
    return piece_rows(shape.n_features, shape.itemsize, shape.is_fortran)


def _piece_bytes(each: Pass, shape: Shape) -> int:
    """Of pieces of the file that are not read to where they are used."""
    n_numbers = min(_piece_rows(shape), each.chunk_rows, shape.n_train) * shape.n_features
    changed = 0 if shape.itemsize == _itemsize(each) else n_numbers * _itemsize(each)
    if each.train.order == "in_order" and not changed:
        return 0
    return RAW_PIECES * n_numbers * shape.itemsize + changed


def _memory_bytes(each: Pass, shape: Shape, run: Run) -> int:
    """Of what is held while training, or while a file is walked through before and after that."""
    trains = [trajectory.train for block in each.blocks for trajectory in block.trajectories]
    row_bytes = shape.n_features * _itemsize(each)
    in_memory = fits_in_memory(each, shape, run)
    held = _row_bytes(each, shape) if in_memory else _piece_bytes(each, shape)
    if not in_memory or each.train.order not in FIXED_ORDERS:
        held += min(held_chunks(each, shape, run) * each.chunk_rows, shape.n_train) * row_bytes
    if keeps_parts(each, shape, run):
        held += (len(each.folds) - 1) * _row_bytes(each, shape)
    else:
        held += len(each.folds) * _chunk_bytes(each, shape)  # what each fold takes of a chunk
    held += sum(ARRAYS_OF_WEIGHTS[train.optimizer] for train in trains) * row_bytes
    held += _prediction_bytes(each, shape)
    held += sum(_window_bytes(block, each, shape) for block in each.blocks)
    for block in each.blocks:  # weights that wait for the validation rows
        n_bytes = _weights_bytes(block, each, shape)
        held += epochs_together(n_bytes) * n_bytes
    walked = min(READ_BYTES, 8 * shape.n_features * max(shape.n_validation, shape.n_test))
    return max(held, walked) + KEPT_OF_A_ROW * (shape.n_train + shape.n_validation)


def _prediction_bytes(each: Pass, shape: Shape) -> int:
    """Predictions of a chunk; residuals and derivatives of a tile; losses of all epochs."""
    n_rows, n_validation = (min(each.chunk_rows, n) for n in (shape.n_train, shape.n_validation))
    n_numbers = n_epochs = 0
    for block in each.blocks:
        of_tile = 0 if block.window_rows else 2 * min(n_rows, block.batch_sizes[-1])
        together = min(epochs_together(_weights_bytes(block, each, shape)), block.epochs)
        n_numbers += len(block.trajectories) * (max(n_rows, together * n_validation) + of_tile)
        n_epochs += len(block.trajectories) * block.epochs
    return n_numbers * _itemsize(each) + n_epochs * KEPT_OF_AN_EPOCH


def _window_bytes(block: Block, each: Pass, shape: Shape) -> int:
    """What the blocked kernel holds: rows and products of a window, and those that it keeps."""
    if block.window_rows is None:
        return 0
    itemsize, n_rows = _itemsize(each), min(block.window_rows, shape.n_train)
    held = n_rows * (shape.n_features + 2 * n_rows + 6 * len(block.trajectories)) * itemsize
    kept = len(block.batch_sizes) * shape.n_train * n_rows * itemsize
    if each.train.order not in FIXED_ORDERS or kept > MAX_KEPT_BYTES:
        return held
    trains = [each.train for each in block.trajectories]
    if trains[0].loss == "squared" and not any(train.train_bias for train in trains):
        kept += sum(map(power_numbers, block.batch_sizes)) * shape.n_train * itemsize
    return held + kept
