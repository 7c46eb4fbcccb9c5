"""What a plan costs, before it runs: bytes, operations, memory."""

from dataclasses import dataclass

import numpy as np

from sgdlab import system
from sgdlab.config import Run
from sgdlab.data.dataset import Shape
from sgdlab.plan import Pass, Plan

MAX_BUDGET_BYTES = 2 * 10**9

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
        Floating-point operations of all trainings, evaluations of every epoch included.
    memory_bytes
        Rows or buffers, weights and gradients; without the interpreter.
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


@dataclass(frozen=True)
class PlannedSearch:
    """What a search would do and cost."""

    name: str
    is_synthetic: bool
    plan: Plan
    cost: Estimate


def memory_budget(run: Run) -> int:
    """Bytes of rows that may be held in memory."""
    if run.memory_budget == "auto":
        return min(MAX_BUDGET_BYTES, system.memory_bytes() // 4)
    return run.memory_budget


def fits_in_memory(each: Pass, shape: Shape, run: Run) -> bool:
    """Whether the rows of a pass fit the memory budget."""
    return _row_bytes(each, shape) <= memory_budget(run)


def estimate(plan: Plan, n_cells: int, shape: Shape, run: Run) -> Estimate:
    """Costs of a plan; the largest pass counts for bytes and memory."""
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
        memory_bytes=max(_memory_bytes(each, shape, in_memory) for each in plan.passes),
    )


def _itemsize(each: Pass) -> int:
    return np.dtype(each.train.precision).itemsize


def _row_bytes(each: Pass, shape: Shape) -> int:
    return (shape.n_train + shape.n_validation) * shape.n_features * _itemsize(each)


def _flops(each: Pass, shape: Shape) -> int:
    """Two products a training row, one a validation row, one a training row at each stop."""
    total = 0
    for block in each.blocks:
        an_epoch = 4 * shape.n_train + 2 * shape.n_validation
        total += len(block.trajectories) * block.epochs * an_epoch * shape.n_features
        n_stops = sum(len(trajectory.stops) for trajectory in block.trajectories)
        total += 2 * n_stops * shape.n_train * shape.n_features
    return total


def _memory_bytes(each: Pass, shape: Shape, in_memory: bool) -> int:
    trains = [trajectory.train for block in each.blocks for trajectory in block.trajectories]
    chunk = each.chunk_rows * shape.n_features * _itemsize(each)
    n_stacks = sum(ARRAYS_OF_WEIGHTS[train.optimizer] for train in trains)
    weights = n_stacks * shape.n_features * _itemsize(each)
    predictions = 2 * len(trains) * each.chunk_rows * _itemsize(each)
    return (_row_bytes(each, shape) if in_memory else 3 * chunk) + weights + predictions
