"""Cells are grouped into trajectories, blocks and passes: how a plan is made.

Cells that differ only in the number of epochs share a trajectory. Trajectories that see the same
rows in the same order share a pass; and of these, those with the same loss and optimizer share
blocks, as far as their batch sizes suit each other and there is work for all threads.
"""

import itertools
import math
import operator
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sgdlab.config.grid import Cell
from sgdlab.config.model import Run, Train
from sgdlab.config.objects import order_of
from sgdlab.data.shape import Shape
from sgdlab.optim.extremes import has_extremes
from sgdlab.optim.learning_rates import depends_on_epochs
from sgdlab.planning.grouping import Largest, group_batch_sizes
from sgdlab.planning.plan import Block, Pass, Plan, Stop, Trajectory
from sgdlab.system.garbage import collecting_later
from sgdlab.words.optimizers import OPTIMIZERS
from sgdlab.words.orders import ORDERS, Order

CHUNK_BYTES = 64 * 2**20
SHUFFLED_CHUNK_BYTES = 16 * 2**20  # of rows gathered in every epoch: the next while these are used
MAX_CHUNK_ROWS = 16_384

# Blocks of less work are trained one after the other, with products on all threads: side by side
# they would wait for each other longer, since a thread's Python runs while no other thread's does.
MIN_PARALLEL_TRAJECTORIES = 32
MIN_PARALLEL_TILE = 10_000_000  # multiply-adds between two steps

ALL_BUT_EPOCHS = operator.itemgetter(*(name for name in Train.model_fields if name != "epochs"))


@collecting_later()
def make_plan(
    cells: Sequence[Cell], shape: Shape, run: Run, threads: int, first_block: int = 0
) -> Plan:
    """Group cells into trajectories, blocks and passes.

    Parameters
    ----------
    cells
        Of the grid.
    shape
        Of the data. With folds there is a block of its own for every fold.
    run
        ``trajectories_per_block``: where it is a number, the plan does not depend on ``threads``.
    threads
        On which blocks will run side by side.
    first_block
        From which blocks are counted.
    """
    passes: list[Pass] = []
    numbers = itertools.count(first_block)
    folds = range(shape.folds) if shape.folds else (None,)
    for trajectories in by_pass(_trajectories(cells)):
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


def by_pass(trajectories: Iterable[Trajectory]) -> Collection[list[Trajectory]]:
    """Those with the same order of rows and the same precision."""
    passes: dict[tuple[Order, str], list[Trajectory]] = defaultdict(list)
    # Making an order takes long beside looking up what it is made of, of a million trajectories.
    known: dict[tuple[Any, ...], list[Trajectory]] = {}
    made_of = operator.itemgetter("precision", "order", "seed", *ORDERS.hyperparameters())
    for trajectory in trajectories:
        train = trajectory.train
        key = (trajectory.replicate, made_of(vars(train)))
        if key not in known:
            known[key] = passes[order_of(train, trajectory.replicate), train.precision]
        known[key].append(trajectory)
    return passes.values()


def _trajectories(cells: Iterable[Cell]) -> list[Trajectory]:
    """One for cells that differ only in epochs, and for every replicate; in canonical order."""
    together: dict[tuple[Any, ...], list[Cell]] = defaultdict(list)
    for cell in sorted(cells, key=lambda cell: cell.train.epochs):
        key = ALL_BUT_EPOCHS(vars(cell.train))
        if depends_on_epochs(cell.train):
            key = (*key, cell.train.epochs)
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
    return (*first, trajectory.epochs, ALL_BUT_EPOCHS(vars(train)))


def _stacks(
    trajectories: Sequence[Trajectory], shape: Shape, largest: Largest
) -> list[tuple[list[Trajectory], int | None]]:
    """The trajectories of a pass cut into blocks, with the window of the windowed kernel."""
    repeats = order_of(trajectories[0].train, 0).repeats
    alike: dict[tuple[str, str, bool], dict[int, list[Trajectory]]]
    alike = defaultdict(lambda: defaultdict(list))
    for trajectory in trajectories:
        train = trajectory.train
        key = (train.loss, train.optimizer, has_extremes(train))
        alike[key][train.batch_size].append(trajectory)
    stacks: list[tuple[list[Trajectory], int | None]] = []
    for (_, optimizer, is_extreme), by_size in alike.items():
        counts = {size: len(members) for size, members in by_size.items()}
        is_plain = OPTIMIZERS[optimizer].is_plain and not is_extreme
        for group in group_batch_sizes(
            counts,
            shape.n_fold_train,
            shape.n_features,
            largest,
            is_plain,
            repeats,
        ):
            members = [trajectory for size in group.sizes for trajectory in by_size[size]]
            most = largest.direct if group.window_rows is None else largest.windowed
            n_stacks = math.ceil(len(members) / most)
            bounds = [len(members) * n // n_stacks for n in range(n_stacks + 1)]
            stacks += [
                (members[first:stop], group.window_rows)
                for first, stop in itertools.pairwise(bounds)
            ]
    return stacks


def _largest(trajectories: Sequence[Trajectory], shape: Shape, run: Run, threads: int) -> Largest:
    """Trajectories in a block. The windowed kernel's many small steps gain nothing from threads."""
    if run.trajectories_per_block != "auto":
        return Largest(run.trajectories_per_block, run.trajectories_per_block)
    n_together = len(trajectories)
    of_a_thread = math.ceil(n_together / threads)
    batch_size = min(trajectory.train.batch_size for trajectory in trajectories)
    if _is_worth_a_thread(of_a_thread, batch_size, shape):
        return Largest(of_a_thread, n_together)
    return Largest(n_together, n_together)


def _is_worth_a_thread(n_trajectories: int, batch_size: int, shape: Shape) -> bool:
    """Whether a block gains from a thread of its own, by its smallest batch size."""
    n_operations = 2 * n_trajectories * min(batch_size, shape.n_train) * shape.n_features
    return n_trajectories >= MIN_PARALLEL_TRAJECTORIES and n_operations >= MIN_PARALLEL_TILE


def _go_side_by_side(blocks: Sequence[Block], shape: Shape) -> bool:
    return len(blocks) > 1 and all(
        _is_worth_a_thread(len(block.trajectories), block.batch_sizes[0], shape) for block in blocks
    )


def _chunk_rows(trajectories: Sequence[Trajectory], shape: Shape) -> int:
    """Rows handed out together: whole batches of every size, where that many fit.

    Every fold makes a copy of the rows of a chunk that it does not hold out.
    """
    repeats = order_of(trajectories[0].train, 0).repeats
    n_bytes = CHUNK_BYTES if repeats else SHUFFLED_CHUNK_BYTES
    if shape.folds:
        n_bytes = min(n_bytes, CHUNK_BYTES // shape.folds)
    n_rows = max(1, min(MAX_CHUNK_ROWS, n_bytes // (8 * shape.n_features)))
    together = math.lcm(*{trajectory.train.batch_size for trajectory in trajectories})
    return n_rows - n_rows % together if together <= n_rows else n_rows
