"""Trains any settings on the data of an experiment, as a grid search would, and makes no run."""

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace

from sgdlab.config.grid import Cell
from sgdlab.config.model import Run, Train
from sgdlab.data.dataset import Dataset
from sgdlab.engine.running_block import Outcome
from sgdlab.engine.training import Trained, train_blocks
from sgdlab.lab.block_part import BlockPart
from sgdlab.observer import Observer
from sgdlab.planning.cost import check_memory
from sgdlab.planning.making import make_plan
from sgdlab.planning.memory import assign_memory
from sgdlab.planning.plan import Pass, Plan, Stop, n_threads
from sgdlab.runs.parts import NOTHING_KEPT, Parts


def train_settings(
    settings: Sequence[Train],
    dataset: Dataset,
    run: Run,
    observer: Observer,
    parts: Parts = NOTHING_KEPT,
    name: str = "",
) -> list[list[Outcome]]:
    """The outcomes of every setting, one for each of its replicates; see :func:`train_planned`."""
    plan = plan_settings(settings, dataset, run)
    return train_planned(plan, dataset, run, observer, parts, name)


def plan_settings(settings: Sequence[Train], dataset: Dataset, run: Run) -> Plan:
    """Settings that see the rows in the same order share passes.

    Those that differ in ``epochs`` alone share a training.
    """
    cells = [Cell(index, train) for index, train in enumerate(settings)]
    return make_plan(cells, dataset.shape, run, n_threads(run))


def train_planned(
    plan: Plan,
    dataset: Dataset,
    run: Run,
    observer: Observer,
    parts: Parts = NOTHING_KEPT,
    name: str = "",
) -> list[list[Outcome]]:
    """The outcomes of every setting of a plan, one for each of its replicates.

    Parameters
    ----------
    parts, name
        A block is a part of the experiment; the settings have a name of their own among others.
    """
    outcomes: list[dict[int, Outcome]] = [{} for _ in plan.cells]
    for outcome in _outcomes(plan, dataset, run, observer, parts, name):
        outcomes[outcome.cell][outcome.replicate] = outcome
    return [[of_cell[replicate] for replicate in sorted(of_cell)] for of_cell in outcomes]


def train_until(
    epoch: int,
    train: Train,
    dataset: Dataset,
    run: Run,
    observer: Observer,
    parts: Parts = NOTHING_KEPT,
) -> Outcome:
    """The first replicate of a setting after some of its epochs, or of those that would follow.

    That is not a training of so many epochs where the learning rate depends on their number.
    """
    first = train.model_copy(update={"replicates": 1})
    [one_pass] = make_plan([Cell(0, first)], dataset.shape, run, n_threads(run)).passes
    [block] = one_pass.blocks
    [trajectory] = block.trajectories
    stopping = replace(block, trajectories=(replace(trajectory, stops=(Stop(epoch, 0),)),))
    plan = Plan((replace(one_pass, blocks=(stopping,)),))
    [outcome] = _outcomes(plan, dataset, run, observer, parts, "weights")
    return outcome


def _outcomes(
    plan: Plan, dataset: Dataset, run: Run, observer: Observer, parts: Parts, name: str
) -> list[Outcome]:
    """Those of a plan's blocks; blocks that were kept are not trained."""
    found: list[Outcome] = []
    missing: dict[int, BlockPart] = {}
    for block in plan.blocks:
        part = BlockPart(name, block, dataset.shape.n_features)
        if (kept := parts.find(part.name, part.read)) is None:
            missing[block.index] = part
        else:
            found += kept
    passes = plan.passes_of([part.block for part in missing.values()])
    if not passes:
        return found
    with closing(_trained(passes, dataset, run, observer)) as stream:
        for trained in stream:
            part = missing[trained.block]
            part.outcomes += trained.outcomes
            if part.is_whole:
                parts.keep(part.name, part.arrays)
    return found + [outcome for part in missing.values() for outcome in part.outcomes]


def _trained(
    passes: Sequence[Pass], dataset: Dataset, run: Run, observer: Observer
) -> Generator[Trained, None, None]:
    works = assign_memory(passes, dataset.shape, run)
    check_memory(works, dataset.shape)
    return train_blocks(works, dataset, n_threads(run), "half_mse", observer)
