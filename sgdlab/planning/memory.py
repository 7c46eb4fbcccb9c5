"""What of a pass is held in memory, decided before it runs; no bit of the results depends on it.

The numbers below are those of the engine's arrays, which it makes as large as is said here.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from sgdlab.config.model import Run
from sgdlab.data.folds import fold_sizes
from sgdlab.data.shape import Shape
from sgdlab.planning.plan import Block, Pass
from sgdlab.system import machine
from sgdlab.words.optimizers import OPTIMIZERS

MAX_BUDGET_BYTES = 2 * 10**9
MOST_CHUNKS_HELD = 4  # more than one or two that wait for the arithmetic make nothing faster
MAX_KEPT_BYTES = 64 * 2**20  # of a block's Gram matrices that are kept from one epoch to the next
PIECE_ROWS = 32  # of a window, whose steps are made at once where that is possible
MOST_EPOCHS = 4  # that wait for each other, to be validated together
MOST_BYTES = 32 * 2**20  # of the weights that wait
SMALL_NUMBERS = 40  # of a trajectory in a state, beside weights and losses; and arrays of a block
ARRAY_BYTES = 1000  # of the name, the shape and the like of an array in a file


@dataclass(frozen=True)
class Holding:
    """What a pass holds in memory while it is made.

    Attributes
    ----------
    in_memory
        Whether all rows are held; otherwise every epoch reads them from where they lie.
    n_chunks
        Of rows that are read or gathered in every epoch, at most: one in use, the others ahead.
    keeps_parts
        Whether what every fold trains on is held too; the order is the same in every epoch.
    products_of
        The blocks, by index, whose Gram matrices are kept from one epoch to the next; the order is
        the same in every epoch.
    """

    in_memory: bool
    n_chunks: int
    keeps_parts: bool
    products_of: frozenset[int]


@dataclass(frozen=True)
class Work:
    """A pass that is to be made, with blocks that are to be trained alone, and what it holds."""

    plan: Pass
    holding: Holding


def assign_memory(passes: Iterable[Pass], shape: Shape, run: Run) -> list[Work]:
    """The work of making some passes within the memory budget."""
    return [Work(plan_pass, holding_of(plan_pass, shape, run)) for plan_pass in passes]


def holding_of(plan_pass: Pass, shape: Shape, run: Run) -> Holding:
    """What a pass holds within the memory budget."""
    budget = memory_budget(run)
    in_memory = row_bytes(plan_pass, shape) <= budget
    return Holding(
        in_memory=in_memory,
        n_chunks=_chunks_held(plan_pass, shape, in_memory, budget),
        keeps_parts=_keeps_parts(plan_pass, shape, budget),
        products_of=frozenset(
            block.index for block in plan_pass.blocks if _keeps_products(block, plan_pass, shape)
        ),
    )


def memory_budget(run: Run) -> int:
    """Bytes of rows that may be held in memory."""
    if run.memory_budget == "auto":
        return min(MAX_BUDGET_BYTES, machine.memory_bytes() // 4)
    return run.memory_budget


def _chunks_held(plan_pass: Pass, shape: Shape, in_memory: bool, budget: int) -> int:
    """At least 2. For two mixtures of rows and a chunk, if the budget has room."""
    wanted, order = MOST_CHUNKS_HELD, plan_pass.order
    if order.reads_in_sequence and not order.is_stored and not in_memory:
        wanted = math.ceil(2 * order.mixed_rows(shape.n_train) / plan_pass.chunk_rows) + 1
    return max(2, min(wanted, budget // chunk_bytes(plan_pass, shape)))


def _keeps_parts(plan_pass: Pass, shape: Shape, budget: int) -> bool:
    """Whether there is room for what every fold trains on, beside the rows that all folds share.

    It saves a copy in every epoch, where the order of the rows is the same in all.
    """
    if not plan_pass.is_folded or shape.folds is None or not plan_pass.order.repeats:
        return False
    # All parts together are as large as all rows but one time less than there are folds.
    return shape.folds * row_bytes(plan_pass, shape) <= budget


def _keeps_products(block: Block, plan_pass: Pass, shape: Shape) -> bool:
    """Whether the Gram matrices of an epoch are the same in all, and few enough to be kept."""
    if block.window_rows is None or not plan_pass.order.repeats:
        return False
    n_numbers = rows_trained(block, shape) * block.window_rows * len(block.batch_sizes)
    return n_numbers * itemsize(plan_pass) <= MAX_KEPT_BYTES


def epochs_together(n_bytes: int) -> int:
    """How many epochs wait for each other, by the bytes of the weights of one."""
    return max(1, min(MOST_EPOCHS, MOST_BYTES // n_bytes))


def epochs_validated_together(plan_pass: Pass, shape: Shape) -> int:
    """After how many epochs at most a pass reads the validation rows."""
    return min(
        epochs_together(weights_bytes(block, plan_pass, shape)) for block in plan_pass.blocks
    )


def power_numbers(batch_size: int) -> int:
    """How many numbers the powers of all pieces have, for every row of a window, at most."""
    n_batches = max(1, PIECE_ROWS // batch_size)
    return n_batches * batch_size * (n_batches - 1).bit_length()


def rows_trained(block: Block, shape: Shape) -> int:
    """Rows of an epoch on which a block trains: without those that its fold holds out."""
    if shape.folds is None or block.fold is None:
        return shape.n_train
    return shape.n_train - int(fold_sizes(shape.n_train, shape.folds)[block.fold])


def itemsize(plan_pass: Pass) -> int:
    """Bytes of a number in the precision of a pass."""
    return np.dtype(plan_pass.train.precision).itemsize


def row_itemsize(plan_pass: Pass, shape: Shape) -> int:
    """Bytes of a number of the rows; those that folds share wait for their means in float64."""
    waits = plan_pass.is_folded and shape.has_means
    return np.dtype(np.float64).itemsize if waits else itemsize(plan_pass)


def row_bytes(plan_pass: Pass, shape: Shape) -> int:
    """Bytes of all rows to train and to validate."""
    n_rows = shape.n_train + shape.n_validation
    return n_rows * shape.n_features * row_itemsize(plan_pass, shape)


def weights_bytes(block: Block, plan_pass: Pass, shape: Shape) -> int:
    """Bytes of the weights of a block."""
    return len(block.trajectories) * shape.n_features * itemsize(plan_pass)


def state_bytes(plan_pass: Pass, shape: Shape) -> int:
    """Bytes of all that the training of a pass goes on from, at most."""
    total = 0
    for block in plan_pass.blocks:
        n_trajectories = len(block.trajectories)
        averages = len(OPTIMIZERS[block.trajectories[0].train.optimizer].averages)
        # The weights, sums of a batch that is not ended, averages, and weights that wait.
        n_weights = 2 + averages + MOST_EPOCHS
        n_numbers = n_weights * n_trajectories * shape.n_features
        n_numbers += (block.window_rows or 0) * (shape.n_features + 1)  # rows that wait
        n_numbers += n_trajectories * (3 * block.epochs + SMALL_NUMBERS + averages)
        n_arrays = SMALL_NUMBERS + len(block.batch_sizes) * (2 + 2 * averages)
        total += 8 * n_numbers + ARRAY_BYTES * n_arrays
    return total


def chunk_bytes(plan_pass: Pass, shape: Shape) -> int:
    """Bytes of a chunk of rows."""
    n_rows = min(plan_pass.chunk_rows, shape.n_train)
    return n_rows * shape.n_features * row_itemsize(plan_pass, shape)
