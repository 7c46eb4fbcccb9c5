"""What will be trained with what, decided before anything runs.

``config -> cells -> trajectories -> blocks``. A trajectory is a training with one or more stops, a
block a stack of trajectories that is trained by one thread, a pass all blocks that see the same
rows in the same order; the blocks of one fold leave out the rows that it holds out. A block's
results depend on the plan alone, so a plan is kept with its run.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sgdlab.config.grid import Cell
from sgdlab.config.model import Run, Train
from sgdlab.config.objects import order_of
from sgdlab.data.shape import Shape
from sgdlab.optim.learning_rates import depends_on_epochs
from sgdlab.planning.grouping import Largest, group_batch_sizes
from sgdlab.system import machine
from sgdlab.words.optimizers import OPTIMIZERS
from sgdlab.words.orders import Order

CHUNK_BYTES = 64 * 2**20
SHUFFLED_CHUNK_BYTES = 16 * 2**20  # of rows gathered in every epoch: the next while these are used
MAX_CHUNK_ROWS = 16_384

# Blocks of less work are trained one after the other, with products on all threads: side by side
# they would wait for each other longer, since a thread's Python runs while no other thread's does.
MIN_PARALLEL_TRAJECTORIES = 32
MIN_PARALLEL_TILE = 10_000_000  # multiply-adds between two steps


@dataclass(frozen=True)
class Stop:
    """A cell, and the epoch after which its training ends."""

    epoch: int
    cell: int


@dataclass(frozen=True)
class Trajectory:
    """Cells that differ in nothing but the number of epochs, trained as one.

    ``train`` is that of the longest. Where the schedule depends on the number of epochs, a
    trajectory has one cell.
    """

    train: Train
    replicate: int
    stops: tuple[Stop, ...]

    @property
    def epochs(self) -> int:
        return self.stops[-1].epoch


@dataclass(frozen=True)
class Block:
    """A stack of trajectories; batch sizes ascend.

    ``window_rows`` are those of the blocked kernel, a multiple of every batch size; None where the
    direct one trains. ``fold`` is the one whose rows are left out; None where all rows to train are
    seen.
    """

    index: int
    trajectories: tuple[Trajectory, ...]
    window_rows: int | None = None
    fold: int | None = None

    def __post_init__(self) -> None:
        if self.window_rows and any(self.window_rows % size for size in self.batch_sizes):
            raise ValueError(f"windows of {self.window_rows} rows cut batches of a block")

    @property
    def epochs(self) -> int:
        return max(trajectory.epochs for trajectory in self.trajectories)

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        return tuple(sorted({trajectory.train.batch_size for trajectory in self.trajectories}))


@dataclass(frozen=True)
class Pass:
    """Blocks that see the same rows in the same order, in chunks of ``chunk_rows``."""

    chunk_rows: int
    blas_threads: int
    blocks: tuple[Block, ...]

    @property
    def train(self) -> Train:
        """Of any of its trajectories: the order of rows and the precision are those of all."""
        return self.blocks[0].trajectories[0].train

    @property
    def order(self) -> Order:
        """In which its rows are seen."""
        return order_of(self.train, self.blocks[0].trajectories[0].replicate)

    @property
    def folds(self) -> set[int]:
        """Of its blocks; none where they see all rows to train."""
        return {block.fold for block in self.blocks if block.fold is not None}

    @property
    def is_folded(self) -> bool:
        """Whether its blocks are those of folds."""
        return bool(self.folds)

    @property
    def epochs(self) -> int:
        return max(block.epochs for block in self.blocks)


@dataclass(frozen=True)
class Plan:
    """All passes of a run, in the order in which they are made."""

    passes: tuple[Pass, ...]

    @property
    def blocks(self) -> tuple[Block, ...]:
        return tuple(block for each in self.passes for block in each.blocks)

    @property
    def cells(self) -> set[int]:
        """Which cells it trains, by their indices."""
        return cells_of(self.blocks)

    @property
    def n_trajectories(self) -> int:
        return sum(len(block.trajectories) for block in self.blocks)

    def passes_of(self, blocks: Iterable[Block]) -> list[Pass]:
        """The passes that some blocks need, with no others."""
        indices = {block.index for block in blocks}
        chosen = [
            replace(each, blocks=tuple(b for b in each.blocks if b.index in indices))
            for each in self.passes
        ]
        return [each for each in chosen if each.blocks]

    def to_log(self) -> list[dict[str, Any]]:
        """The plan as it is written into a run: which cells are trained with which."""
        return [
            {
                "chunk_rows": each.chunk_rows,
                "blas_threads": each.blas_threads,
                "blocks": [_block_log(block) for block in each.blocks],
            }
            for each in self.passes
        ]

    @classmethod
    def from_log(cls, log: list[dict[str, Any]], cells: Sequence[Cell]) -> "Plan":
        """The inverse of :meth:`to_log`, given all cells of the grid.

        Raises
        ------
        LookupError
            If it is a plan for other cells.
        """
        return cls(
            tuple(
                Pass(
                    each["chunk_rows"],
                    each["blas_threads"],
                    tuple(_block_from_log(block, cells) for block in each["blocks"]),
                )
                for each in log
            )
        )

    def check_covers(self, cells: Sequence[Cell], folds: int | None) -> None:
        """Raise ValueError unless every replicate of every cell is trained once, in each fold."""
        planned = sorted(
            (stop.cell, trajectory.replicate, -1 if block.fold is None else block.fold)
            for block in self.blocks
            for trajectory in block.trajectories
            for stop in trajectory.stops
        )
        wanted = [
            (cell.index, replicate, fold)
            for cell in cells
            for replicate in range(cell.train.replicates)
            for fold in (range(folds) if folds else (-1,))
        ]
        if planned != wanted:
            raise ValueError("the plan does not train each cell once")


def cells_of(blocks: Iterable[Block]) -> set[int]:
    """Which cells some blocks train, by their indices."""
    return {stop.cell for each in blocks for path in each.trajectories for stop in path.stops}


def _block_log(block: Block) -> dict[str, Any]:
    return {
        "index": block.index,
        "window_rows": block.window_rows,
        "fold": block.fold,
        "trajectories": [
            {"replicate": each.replicate, "cells": [stop.cell for stop in each.stops]}
            for each in block.trajectories
        ],
    }


def _block_from_log(log: dict[str, Any], cells: Sequence[Cell]) -> Block:
    trajectories = [
        Trajectory(
            cells[each["cells"][-1]].train,
            each["replicate"],
            tuple(Stop(cells[cell].train.epochs, cell) for cell in each["cells"]),
        )
        for each in log["trajectories"]
    ]
    return Block(log["index"], tuple(trajectories), log["window_rows"], log["fold"])


def n_threads(run: Run) -> int:
    """On how many threads blocks run side by side."""
    return machine.n_processors() if run.threads == "auto" else run.threads


def make_plan(
    cells: Sequence[Cell], shape: Shape, run: Run, threads: int, first_block: int = 0
) -> Plan:
    """Group cells into trajectories, blocks and passes.

    Parameters
    ----------
    cells
        Of the grid.
    shape
        Of the data. With folds every block is made for each of them.
    run
        ``trajectories_per_block``: where it is a number, the plan does not depend on ``threads``.
    threads
        On which blocks will run side by side.
    first_block
        From which blocks are counted.
    """
    by_pass: dict[tuple[Order, str], list[Trajectory]] = defaultdict(list)
    for trajectory in _trajectories(cells):
        train = trajectory.train
        order = order_of(train, trajectory.replicate)
        by_pass[order, train.precision].append(trajectory)
    passes: list[Pass] = []
    numbers = itertools.count(first_block)
    folds = range(shape.folds) if shape.folds else (None,)
    for trajectories in by_pass.values():
        largest = _largest(trajectories, shape, run, _threads_of_a_fold(threads, shape.folds))
        stacks = _stacks(trajectories, shape, largest)
        blocks = tuple(
            Block(next(numbers), tuple(stack), window_rows, fold)
            for stack, window_rows in stacks
            for fold in folds
        )
        is_fixed = run.trajectories_per_block != "auto"
        blas_threads = 1 if is_fixed or _go_side_by_side(blocks, shape) else threads
        passes.append(Pass(_chunk_rows(trajectories, shape), blas_threads, blocks))
    return Plan(tuple(passes))


def _threads_of_a_fold(threads: int, folds: int | None) -> int:
    """Into how many blocks a fold is cut so that all blocks together keep all threads at work."""
    return threads // math.gcd(threads, folds or 1)


def _trajectories(cells: Iterable[Cell]) -> list[Trajectory]:
    """One for each set of cells that differ only in epochs, and replicate; in canonical order."""
    together: dict[tuple[Any, ...], list[Cell]] = defaultdict(list)
    for cell in sorted(cells, key=lambda cell: cell.train.epochs):
        apart = depends_on_epochs(cell.train)
        key = tuple(value for name, value in cell.train if apart or name != "epochs")
        together[key].append(cell)
    found = []
    for members in together.values():
        longest = members[-1].train
        stops = tuple(Stop(cell.train.epochs, cell.index) for cell in members)
        found += [Trajectory(longest, replicate, stops) for replicate in range(longest.replicates)]
    return sorted(found, key=_canonical)


def _canonical(trajectory: Trajectory) -> tuple[Any, ...]:
    train = trajectory.train
    first = (trajectory.replicate, train.order, train.precision, train.loss, train.batch_size)
    return (*first, trajectory.epochs, tuple(value for name, value in train if name != "epochs"))


def _stacks(
    trajectories: Sequence[Trajectory], shape: Shape, largest: Largest
) -> list[tuple[list[Trajectory], int | None]]:
    """The trajectories of a pass cut into blocks, with the window of the blocked kernel."""
    repeats = order_of(trajectories[0].train, 0).repeats
    alike: dict[tuple[str, str], dict[int, list[Trajectory]]]
    alike = defaultdict(lambda: defaultdict(list))
    for each in trajectories:
        alike[each.train.loss, each.train.optimizer][each.train.batch_size].append(each)
    stacks: list[tuple[list[Trajectory], int | None]] = []
    for (_, optimizer), by_size in alike.items():
        counts = {size: len(members) for size, members in by_size.items()}
        is_plain = OPTIMIZERS[optimizer].is_plain
        for group in group_batch_sizes(
            counts,
            shape.n_fold_train,
            shape.n_features,
            largest,
            is_plain,
            repeats,
        ):
            members = [each for size in group.sizes for each in by_size[size]]
            most = largest.direct if group.window_rows is None else largest.blocked
            n_stacks = math.ceil(len(members) / most)
            bounds = [len(members) * n // n_stacks for n in range(n_stacks + 1)]
            stacks += [
                (members[first:stop], group.window_rows)
                for first, stop in itertools.pairwise(bounds)
            ]
    return stacks


def _largest(trajectories: Sequence[Trajectory], shape: Shape, run: Run, threads: int) -> Largest:
    """Trajectories in a block. The blocked kernel's many small steps gain nothing from threads."""
    if run.trajectories_per_block != "auto":
        return Largest(run.trajectories_per_block, run.trajectories_per_block)
    n_together = len(trajectories)
    of_a_thread = math.ceil(n_together / threads)
    batch_size = min(each.train.batch_size for each in trajectories)
    if _is_worth_a_thread(of_a_thread, batch_size, shape):
        return Largest(of_a_thread, n_together)
    return Largest(n_together, n_together)


def _is_worth_a_thread(n_trajectories: int, batch_size: int, shape: Shape) -> bool:
    """Whether a block gains from a thread of its own, by its smallest batch size."""
    n_operations = 2 * n_trajectories * min(batch_size, shape.n_train) * shape.n_features
    return n_trajectories >= MIN_PARALLEL_TRAJECTORIES and n_operations >= MIN_PARALLEL_TILE


def _go_side_by_side(blocks: Sequence[Block], shape: Shape) -> bool:
    return len(blocks) > 1 and all(
        _is_worth_a_thread(len(each.trajectories), each.batch_sizes[0], shape) for each in blocks
    )


def _chunk_rows(trajectories: Sequence[Trajectory], shape: Shape) -> int:
    """Rows handed out together: whole batches of every size, where that many fit.

    Of a chunk every fold makes a copy of the rows that it does not hold out.
    """
    repeats = order_of(trajectories[0].train, 0).repeats
    n_bytes = CHUNK_BYTES if repeats else SHUFFLED_CHUNK_BYTES
    if shape.folds:
        n_bytes = min(n_bytes, CHUNK_BYTES // shape.folds)
    n_rows = max(1, min(MAX_CHUNK_ROWS, n_bytes // (8 * shape.n_features)))
    together = math.lcm(*{each.train.batch_size for each in trajectories})
    return n_rows - n_rows % together if together <= n_rows else n_rows
