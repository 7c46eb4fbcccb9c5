"""Whether a plan that was written down is one that could have been made.

Who follows it believes its numbers: rows of a chunk and of a window become arrays, and trajectories
of a block are trained as one.
"""

from collections.abc import Sequence
from itertools import pairwise

from sgdlab.config.grid import Cell
from sgdlab.optim.extremes import has_extremes
from sgdlab.optim.learning_rates import depends_on_epochs
from sgdlab.planning.grouping import MAX_WINDOW_ROWS
from sgdlab.planning.making import ALL_BUT_EPOCHS, MAX_CHUNK_ROWS, by_pass
from sgdlab.planning.plan import Block, Pass, Plan, Trajectory
from sgdlab.words.optimizers import OPTIMIZERS


def check_sound(plan: Plan, cells: Sequence[Cell]) -> None:
    """Raise ValueError where no plan of these cells has such a number, or such neighbours."""
    indices = [block.index for block in plan.blocks]
    if any(later <= earlier for earlier, later in pairwise(indices)):
        raise ValueError("blocks.index: not ascending")
    for one_pass in plan.passes:
        _check_pass(one_pass)
        for block in one_pass.blocks:
            _check_block(block)
            for trajectory in block.trajectories:
                _check_trajectory(trajectory, cells)


def _check_pass(one_pass: Pass) -> None:
    if one_pass.chunk_rows > MAX_CHUNK_ROWS:
        raise ValueError(f"chunk_rows: {one_pass.chunk_rows}, of at most {MAX_CHUNK_ROWS}")
    if len({block.fold is None for block in one_pass.blocks}) > 1:
        raise ValueError("blocks.fold: null beside others")
    together = by_pass(trajectory for block in one_pass.blocks for trajectory in block.trajectories)
    if len(together) > 1:
        raise ValueError("blocks.trajectories: of different orders or precisions in a pass")


def _check_block(block: Block) -> None:
    trains = [trajectory.train for trajectory in block.trajectories]
    alike = {(train.loss, train.optimizer, has_extremes(train)) for train in trains}
    if len(alike) > 1:
        raise ValueError("blocks.trajectories: of different losses or optimizers in a block")
    [(_, optimizer, is_extreme)] = alike
    is_windowed = OPTIMIZERS[optimizer].is_plain and not is_extreme
    if block.window_rows is not None and (block.window_rows > MAX_WINDOW_ROWS or not is_windowed):
        raise ValueError(f"blocks.window_rows: {block.window_rows} of such trajectories")


def _check_trajectory(trajectory: Trajectory, cells: Sequence[Cell]) -> None:
    epochs = [stop.epoch for stop in trajectory.stops]
    if any(later <= earlier for earlier, later in pairwise(epochs)):
        raise ValueError("blocks.trajectories.cells: not by ascending epochs")
    if len(epochs) == 1:
        return
    if depends_on_epochs(trajectory.train):
        raise ValueError("blocks.trajectories.cells: together, although their schedules differ")
    known = ALL_BUT_EPOCHS(vars(trajectory.train))
    if any(ALL_BUT_EPOCHS(vars(cells[stop.cell].train)) != known for stop in trajectory.stops):
        raise ValueError("blocks.trajectories.cells: together, although more than epochs differs")
