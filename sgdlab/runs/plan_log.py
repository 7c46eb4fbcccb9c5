"""How a plan stands in ``experiment.json``: which cells are trained together, and how."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import FailFast, Field

from sgdlab.config.grid import Cell
from sgdlab.planning.plan import Plan
from sgdlab.planning.soundness import check_sound
from sgdlab.runs.reading import Count, Index, Log


class TrajectoryLog(Log):
    """Which cells are trained as one."""

    replicate: Index
    cells: Annotated[tuple[Index, ...], FailFast(), Field(min_length=1, strict=False)]


class BlockLog(Log):
    """See :class:`sgdlab.planning.plan.Block`."""

    index: Index
    window_rows: Count | None
    fold: Index | None
    trajectories: Annotated[
        tuple[TrajectoryLog, ...], FailFast(), Field(min_length=1, strict=False)
    ]


class PassLog(Log):
    """See :class:`sgdlab.planning.plan.Pass`."""

    chunk_rows: Count
    blas_threads: Count
    blocks: Annotated[tuple[BlockLog, ...], FailFast(), Field(min_length=1, strict=False)]


PlanLog = Annotated[tuple[PassLog, ...], FailFast(), Field(strict=False)]


def plan_log(plan: Plan) -> tuple[PassLog, ...]:
    """A plan as it is written; see :func:`planned` for the way back."""
    return tuple(PassLog.model_validate(one_pass) for one_pass in plan.to_log())


def planned(key: str, log: Sequence[PassLog], cells: Sequence[Cell]) -> Plan:
    """The plan that a key of a log tells of; raises ValueError if it does not fit the cells."""
    try:
        plan = Plan.from_log([one_pass.model_dump(mode="json") for one_pass in log], cells)
        check_sound(plan, cells)
    except (LookupError, ValueError) as error:
        raise ValueError(f"{key}: {error}") from None
    return plan


def check_covers(key: str, plan: Plan, cells: Sequence[Cell], folds: int | None) -> None:
    """Raise ValueError, which names the key, unless a plan trains every cell in every fold."""
    try:
        plan.check_covers(cells, folds)
    except ValueError as error:
        raise ValueError(f"{key}.blocks.trajectories.cells: {error}") from None
