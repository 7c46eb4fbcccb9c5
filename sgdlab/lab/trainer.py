"""Trains any settings on the data of an experiment, as a grid search would, and keeps no files."""

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace

from sgdlab.config.grid import Cell
from sgdlab.config.model import Run, Train
from sgdlab.data.dataset import Dataset
from sgdlab.engine.running_block import Outcome
from sgdlab.engine.training import Trained, train_blocks
from sgdlab.observer import Observer
from sgdlab.planning.cost import check_memory
from sgdlab.planning.making import make_plan
from sgdlab.planning.memory import assign_memory
from sgdlab.planning.plan import Pass, Stop, n_threads


def train_settings(
    settings: Sequence[Train], dataset: Dataset, run: Run, observer: Observer
) -> list[list[Outcome]]:
    """The outcomes of every setting, one for each of its replicates.

    Settings that see the rows in the same order share passes, and those that differ in ``epochs``
    alone share a training.
    """
    cells = [Cell(index, train) for index, train in enumerate(settings)]
    plan = make_plan(cells, dataset.shape, run, n_threads(run))
    outcomes: list[dict[int, Outcome]] = [{} for _ in settings]
    with closing(_trained(plan.passes, dataset, run, observer)) as stream:
        for trained in stream:
            for outcome in trained.outcomes:
                outcomes[outcome.cell][outcome.replicate] = outcome
    return [[of_cell[replicate] for replicate in sorted(of_cell)] for of_cell in outcomes]


def train_until(
    epoch: int, train: Train, dataset: Dataset, run: Run, observer: Observer
) -> Outcome:
    """The first replicate of a setting after some of its epochs, or of those that would follow.

    That is not a training of so many epochs where the learning rate depends on their number.
    """
    first = train.model_copy(update={"replicates": 1})
    [one_pass] = make_plan([Cell(0, first)], dataset.shape, run, n_threads(run)).passes
    [block] = one_pass.blocks
    [trajectory] = block.trajectories
    stopping = replace(block, trajectories=(replace(trajectory, stops=(Stop(epoch, 0),)),))
    passes = [replace(one_pass, blocks=(stopping,))]
    with closing(_trained(passes, dataset, run, observer)) as stream:
        [[outcome]] = [trained.outcomes for trained in stream]
    return outcome


def _trained(
    passes: Sequence[Pass], dataset: Dataset, run: Run, observer: Observer
) -> Generator[Trained, None, None]:
    works = assign_memory(passes, dataset.shape, run)
    check_memory(works, dataset.shape)
    return train_blocks(works, dataset, n_threads(run), "half_mse", observer)
