"""What will be trained with what, decided before anything runs.

``config -> cells -> trajectories -> blocks``. A trajectory is a training with one or more stops, a
block a stack of trajectories that is trained by one thread, a pass all blocks that see the same
rows in the same order; the blocks of one fold leave out the rows that it holds out. A block's
results depend on the plan alone, so a plan is kept with its run.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sgdlab.config.grid import Cell
from sgdlab.config.model import Run, Train
from sgdlab.config.objects import order_of
from sgdlab.system import machine
from sgdlab.words.orders import Order


@dataclass(frozen=True, slots=True)
class Stop:
    """A cell, and the epoch after which its training ends."""

    epoch: int
    cell: int


@dataclass(frozen=True, slots=True)
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

    ``window_rows`` are those of the windowed kernel, a multiple of every batch size; None where the
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
        """That of any of its trajectories: all have its order of rows and its precision."""
        return self.blocks[0].trajectories[0].train

    @property
    def order(self) -> Order:
        """In which its rows are seen."""
        return order_of(self.train, self.blocks[0].trajectories[0].replicate)

    @property
    def folds(self) -> set[int]:
        """Those of its blocks; none where they see all rows to train."""
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
        return tuple(block for plan_pass in self.passes for block in plan_pass.blocks)

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
            replace(plan_pass, blocks=tuple(b for b in plan_pass.blocks if b.index in indices))
            for plan_pass in self.passes
        ]
        return [plan_pass for plan_pass in chosen if plan_pass.blocks]

    def to_log(self) -> list[dict[str, Any]]:
        """The plan as it is written into a run: which cells are trained with which."""
        return [
            {
                "chunk_rows": plan_pass.chunk_rows,
                "blas_threads": plan_pass.blas_threads,
                "blocks": [_block_log(block) for block in plan_pass.blocks],
            }
            for plan_pass in self.passes
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
                    pass_log["chunk_rows"],
                    pass_log["blas_threads"],
                    tuple(_block_from_log(block, cells) for block in pass_log["blocks"]),
                )
                for pass_log in log
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
        n_wanted = sum(cell.train.replicates for cell in cells) * (folds or 1)
        wanted = len(planned) == n_wanted and [
            (cell.index, replicate, fold)
            for cell in cells
            for replicate in range(cell.train.replicates)
            for fold in (range(folds) if folds else (-1,))
        ]
        if planned != wanted:
            raise ValueError("the plan does not train each cell once")


def cells_of(blocks: Iterable[Block]) -> set[int]:
    """Which cells some blocks train, by their indices."""
    return {
        stop.cell
        for block in blocks
        for trajectory in block.trajectories
        for stop in trajectory.stops
    }


def _block_log(block: Block) -> dict[str, Any]:
    return {
        "index": block.index,
        "window_rows": block.window_rows,
        "fold": block.fold,
        "trajectories": [
            {
                "replicate": trajectory.replicate,
                "cells": [stop.cell for stop in trajectory.stops],
            }
            for trajectory in block.trajectories
        ],
    }


def _block_from_log(log: dict[str, Any], cells: Sequence[Cell]) -> Block:
    trajectories = [
        Trajectory(
            cells[stored["cells"][-1]].train,
            stored["replicate"],
            tuple(Stop(cells[cell].train.epochs, cell) for cell in stored["cells"]),
        )
        for stored in log["trajectories"]
    ]
    return Block(log["index"], tuple(trajectories), log["window_rows"], log["fold"])


def n_threads(run: Run) -> int:
    """On how many threads blocks run side by side."""
    return machine.n_processors() if run.threads == "auto" else run.threads
