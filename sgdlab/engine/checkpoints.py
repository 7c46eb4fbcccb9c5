"""Where a pass stands in the midst of its training, and who is asked to keep that."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sgdlab.engine.kernels import Arrays, check_alike
from sgdlab.planning.memory import Work
from sgdlab.planning.plan import Block, Pass

Outcomes = set[tuple[int, int]]  # of a block that are to come: their cells and replicates


@dataclass(frozen=True)
class Seen:
    """What has been shown of a training.

    Attributes
    ----------
    best
        The smallest validation metric so far; infinite before the first.
    diverged
        The cells that have diverged.
    """

    best: float = np.inf
    diverged: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Checkpoint:
    """What a pass goes on from: the states of the blocks that are not finished.

    Attributes
    ----------
    epoch
        How many are over.
    row
        How many rows of the next one are gone through, in the order of the pass.
    blocks
        The state of every block, by its index.
    """

    epoch: int
    row: int
    blocks: dict[int, Arrays]
    seen: Seen

    def is_of(self, plan_pass: Pass) -> bool:
        """Whether there is a state of every block of a pass."""
        return all(block.index in self.blocks for block in plan_pass.blocks)

    @property
    def n_bytes(self) -> int:
        return sum(array.nbytes for state in self.blocks.values() for array in state.values())

    def to_come(self, block: Block) -> Outcomes:
        """The outcomes that a block has when it goes on from here.

        Raises
        ------
        KeyError, ValueError
            If there is no state of such a block.
        """
        alive = self.blocks[block.index]["alive"]
        check_alike(alive, np.bool_, (len(block.trajectories),))
        return {
            (stop.cell, trajectory.replicate)
            for trajectory, is_alive in zip(block.trajectories, alive.tolist(), strict=True)
            for stop in trajectory.stops
            if is_alive and stop.epoch > self.epoch
        }


class UnusableCheckpointError(Exception):
    """What was kept is no state of the blocks that it should be of."""


class Keeper:
    """Is asked for a checkpoint and offered new ones; the base class has none and wants none."""

    def last(self, works: Sequence[Work]) -> Checkpoint | None:
        """What one of these passes can go on from, if there is something."""
        return None

    def refuse(self, error: UnusableCheckpointError) -> None:
        """Hear that the last one cannot be used."""

    def is_due(self) -> bool:
        """Whether a checkpoint is wanted now; asked at the end of every chunk and epoch."""
        return False

    def keep(self, plan_pass: Pass, checkpoint: Checkpoint) -> None:
        """Take a checkpoint of a pass, whose arrays change when this returns."""

    def end(self) -> None:
        """Hear that a pass is over, and goes on from no checkpoint any more."""
