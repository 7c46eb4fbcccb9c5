"""Which blocks of a run are trained again, where not all are."""

from collections.abc import Sequence
from dataclasses import dataclass

from sgdlab.config.grid import Cell
from sgdlab.planning.plan import Block, Pass, Plan
from sgdlab.random_streams import Purpose, generator


@dataclass(frozen=True)
class Share:
    """Some cells of a run, and the passes that train their blocks.

    Attributes
    ----------
    drawn
        In the order of the grid; None if that is all cells.
    """

    drawn: tuple[Cell, ...] | None
    passes: tuple[Pass, ...]


def share_of(
    cells: Sequence[Cell],
    best: str | None,
    plans: Sequence[Plan],
    n_cells: int | None,
    seed: int,
) -> Share:
    """The blocks of the best cell and of others that are drawn; of all, if that many are wanted.

    A block is trained as a whole, since a cell's bits depend on what is trained beside it.

    Parameters
    ----------
    plans
        The run's; with folds also that of the trainings on all rows.
    n_cells
        How many cells are wanted; None: all.
    """
    if n_cells is None or n_cells >= len(cells):
        return Share(None, tuple(one_pass for plan in plans for one_pass in plan.passes))
    order = generator(seed, Purpose.VERIFICATION).permutation(len(cells)).tolist()
    order.sort(key=lambda index: cells[index].name != best)  # the best first, the others as drawn
    drawn = tuple(cells[index] for index in sorted(order[:n_cells]))
    wanted = {cell.index for cell in drawn}
    chosen: list[Pass] = []
    for plan in plans:
        chosen += plan.passes_of(block for block in plan.blocks if _trains(block, wanted))
    return Share(drawn, tuple(chosen))


def _trains(block: Block, cells: set[int]) -> bool:
    return any(stop.cell in cells for trajectory in block.trajectories for stop in trajectory.stops)
