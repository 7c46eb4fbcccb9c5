"""What a plan costs, before it runs: bytes, operations, memory."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sgdlab.config.model import Run, Train
from sgdlab.data.read_ahead import RAW_PIECES
from sgdlab.data.rows import READ_BYTES, piece_rows
from sgdlab.data.shape import Shape
from sgdlab.errors import StorageError
from sgdlab.planning.memory import (
    Work,
    assign_memory,
    epochs_together,
    itemsize,
    power_numbers,
    row_bytes,
    row_itemsize,
    rows_trained,
    weights_bytes,
)
from sgdlab.planning.plan import Block, Pass, Plan
from sgdlab.system import machine
from sgdlab.words.losses import LOSSES
from sgdlab.words.optimizers import OPTIMIZERS

KEPT_OF_AN_EPOCH = 150  # bytes a trajectory: 3 losses as numbers, twice, and as a log's text
KEPT_OF_A_ROW = 32  # bytes: its target, its number in the file, its place in an order

ARRAYS_OF_WEIGHTS = 4  # as large: they themselves, a gradient and its parts, what is on its way


@dataclass(frozen=True)
class Estimate:
    """What a whole plan costs.

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
class Forecast:
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


def random_reads(works: Sequence[Work], shape: Shape) -> tuple[int, int]:
    """How many pieces an epoch reads out of the order of the file, about, and their bytes.

    Of the pass with the most.
    """
    return max((_random_reads(work, shape) for work in works), default=(0, 0))


def _random_reads(work: Work, shape: Shape) -> tuple[int, int]:
    plan_pass, order = work.plan, work.plan.order
    n_together = min(plan_pass.chunk_rows, shape.n_train)  # of so many the rows are read in order
    if work.holding.in_memory:
        return 0, 0
    if shape.is_fortran:
        n_pieces = math.ceil(shape.n_train / min(n_together, _piece_rows(shape)))
        n_rows = min(n_together, _piece_rows(shape)) if order.is_stored else shape.n_train
        return n_pieces * shape.n_features, n_rows * shape.itemsize
    if order.is_stored:
        return 0, 0
    among = order.mixed_rows(shape.n_train)
    has_room = among + plan_pass.chunk_rows <= work.holding.n_chunks * plan_pass.chunk_rows
    if order.reads_in_sequence and has_room:
        return 0, 0
    # Rows that happen to be neighbours are read together.
    n_reads = round(shape.n_train * max(0.0, 1 - n_together / among))
    return n_reads, shape.n_features * shape.itemsize


def random_reads_warning(n_reads: int, n_bytes: int) -> str | None:
    """What reading out of order costs, in one sentence; None if there is no such reading."""
    if not n_reads:
        return None
    size = f"{n_bytes / 1000:,.1f} kB"
    found = f"every epoch makes about {n_reads:,} separate reads of {size}"
    return f"{found}; a C-ordered file with order shuffle_blocks or in_order is read in sequence"


def estimate(plan: Plan, n_cells: int, shape: Shape, run: Run) -> Estimate:
    """Costs of a plan; the largest pass counts for bytes and memory."""
    works = assign_memory(plan.passes, shape, run)
    n_reads, read_bytes = random_reads(works, shape)
    return Estimate(
        n_cells=n_cells,
        n_trajectories=plan.n_trajectories,
        n_passes=len(plan.passes),
        n_blocks=len(plan.blocks),
        n_epochs=sum(plan_pass.epochs for plan_pass in plan.passes),
        row_bytes=max(row_bytes(plan_pass, shape) for plan_pass in plan.passes),
        in_memory=all(work.holding.in_memory for work in works),
        flops=sum(_flops(plan_pass, shape) for plan_pass in plan.passes),
        memory_bytes=max(memory_bytes(work, shape) for work in works),
        n_random_reads=n_reads,
        random_read_bytes=read_bytes,
    )


def _flops(plan_pass: Pass, shape: Shape) -> int:
    """Two products a training row, one a validation row, one a training row at every stop.

    A fold predicts the rows that it holds out at stops alone.
    """
    total = 0
    for block in plan_pass.blocks:
        an_epoch = 4 * rows_trained(block, shape) + 2 * shape.n_validation
        total += len(block.trajectories) * block.epochs * an_epoch * shape.n_features
        n_stops = sum(len(trajectory.stops) for trajectory in block.trajectories)
        total += 2 * n_stops * shape.n_train * shape.n_features
    return total


def _piece_rows(shape: Shape) -> int:
    return piece_rows(shape.n_features, shape.itemsize, shape.is_fortran)


def _piece_bytes(plan_pass: Pass, shape: Shape) -> int:
    """Bytes of pieces of the file that are not read to where they are used."""
    n_numbers = min(_piece_rows(shape), plan_pass.chunk_rows, shape.n_train) * shape.n_features
    size = row_itemsize(plan_pass, shape)
    changed = 0 if shape.itemsize == size else n_numbers * size
    if plan_pass.order.is_stored and not changed:
        return 0
    return RAW_PIECES * n_numbers * shape.itemsize + changed


def check_memory(works: Sequence[Work], shape: Shape) -> None:
    """Refuse what cannot be trained on this machine, before it is begun.

    Raises
    ------
    StorageError
        If a pass needs more memory than this process can still have.
    """
    if (short := shortage(works, shape)) is not None:
        raise short.error()


@dataclass(frozen=True)
class Shortage:
    """More memory than there is: what is asked for, what can be had, and what needs less."""

    needed_bytes: int
    found: str
    free_bytes: int
    hint: str

    def error(self) -> StorageError:
        return StorageError("memory", self.found, at_most(self.free_bytes), self.hint)


def at_most(n_bytes: int) -> str:
    """How much memory may be asked for, for an error."""
    return f"at most {n_bytes / 1e9:.3g} GB of free memory"


def shortage(works: Sequence[Work], shape: Shape) -> Shortage | None:
    """What the pass that needs most asks for, if that is more than this process can still have."""
    work = max(works, key=lambda work: memory_bytes(work, shape))
    needed, free = memory_bytes(work, shape), machine.free_memory_bytes()
    if needed <= free:
        return None
    trains = [trajectory.train for block in work.plan.blocks for trajectory in block.trajectories]
    models = f"{len(trains)} models side by side" if len(trains) > 1 else "1 model"
    found = f"training {models} takes about {needed / 1e9:.3g} GB"
    is_of_rows = len(trains) == 1 or 2 * _held_of_rows(work, shape) > needed
    return Shortage(
        needed, found, free, "lower run.memory_budget" if is_of_rows else "take fewer cells"
    )


def memory_bytes(work: Work, shape: Shape) -> int:
    """What is held while training, or while a file is walked through before and after that."""
    plan_pass = work.plan
    trains = [trajectory.train for block in plan_pass.blocks for trajectory in block.trajectories]
    held = _held_of_rows(work, shape)
    held += sum(map(_arrays_of_weights, trains)) * shape.n_features * itemsize(plan_pass)
    held += _prediction_bytes(plan_pass, shape)
    held += sum(_window_bytes(block, work, shape) for block in plan_pass.blocks)
    for block in plan_pass.blocks:  # weights that wait for the validation rows
        n_bytes = weights_bytes(block, plan_pass, shape)
        held += epochs_together(n_bytes) * n_bytes
    walked = min(READ_BYTES, 8 * shape.n_features * max(shape.n_validation, shape.n_test))
    return max(held, walked) + KEPT_OF_A_ROW * (shape.n_train + shape.n_validation)


def _held_of_rows(work: Work, shape: Shape) -> int:
    """The rows themselves, or buffers of them."""
    plan_pass, holding = work.plan, work.holding
    a_row = shape.n_features * row_itemsize(plan_pass, shape)
    all_rows = row_bytes(plan_pass, shape)
    held = all_rows if holding.in_memory else _piece_bytes(plan_pass, shape)
    if not holding.in_memory or not plan_pass.order.repeats:
        held += min(holding.n_chunks * plan_pass.chunk_rows, shape.n_train) * a_row
    n_rows = min(plan_pass.chunk_rows, shape.n_train)  # what every fold takes of a chunk
    if holding.keeps_parts and shape.folds:
        n_rows = shape.n_train * (shape.folds - 1) // shape.folds
    held += len(plan_pass.folds) * n_rows * shape.n_features * itemsize(plan_pass)
    return held


def _arrays_of_weights(train: Train) -> int:
    """How many arrays are as large as a cell's weights: they, gradients, averages, and others."""
    optimizer = OPTIMIZERS[train.optimizer]
    return ARRAYS_OF_WEIGHTS + len(optimizer.averages) + optimizer.n_temporaries


def _prediction_bytes(plan_pass: Pass, shape: Shape) -> int:
    """Predictions of a chunk; residuals and derivatives of a tile; losses of all epochs."""
    n_rows = min(plan_pass.chunk_rows, shape.n_train)
    n_validation = min(plan_pass.chunk_rows, shape.n_validation)
    n_numbers = n_epochs = 0
    for block in plan_pass.blocks:
        of_tile = 0 if block.window_rows else 2 * min(n_rows, block.batch_sizes[-1])
        together = min(epochs_together(weights_bytes(block, plan_pass, shape)), block.epochs)
        n_numbers += len(block.trajectories) * (max(n_rows, together * n_validation) + of_tile)
        n_epochs += len(block.trajectories) * block.epochs
    return n_numbers * itemsize(plan_pass) + n_epochs * KEPT_OF_AN_EPOCH


def _window_bytes(block: Block, work: Work, shape: Shape) -> int:
    """What the windowed kernel holds: rows and products of a window, and those that it keeps."""
    if block.window_rows is None:
        return 0
    size, n_rows = itemsize(work.plan), min(block.window_rows, shape.n_train)
    held = n_rows * (shape.n_features + 2 * n_rows + 6 * len(block.trajectories)) * size
    if block.index not in work.holding.products_of:
        return held
    kept = len(block.batch_sizes) * n_rows
    trains = [trajectory.train for trajectory in block.trajectories]
    if LOSSES[trains[0].loss].is_linear and not any(train.train_bias for train in trains):
        kept += sum(map(power_numbers, block.batch_sizes))
    return held + kept * rows_trained(block, shape) * size
