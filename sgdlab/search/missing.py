"""Trains what a run lacks: logs, weights, and after cross-validation models of all rows."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from sgdlab.config.grid import Cell
from sgdlab.config.model import Config
from sgdlab.data.dataset import Dataset
from sgdlab.engine.checkpoints import Outcomes
from sgdlab.engine.training import train_blocks
from sgdlab.observer import Observer
from sgdlab.planning.cost import check_memory
from sgdlab.planning.making import make_plan
from sgdlab.planning.memory import assign_memory
from sgdlab.planning.plan import Block, Plan, cells_of, n_threads
from sgdlab.runs.open_run import OpenRun
from sgdlab.search.keeping import StateKeeper


@dataclass(frozen=True)
class RunTraining:
    """A run, and what it takes to train its cells."""

    run: OpenRun
    config: Config
    cells: Sequence[Cell]
    dataset: Dataset
    observer: Observer
    keeper: StateKeeper

    def train_unlogged(self, plan: Plan) -> None:
        """Train the blocks whose results are not committed."""
        missing = {block.index: self.run.without_results(block) for block in plan.blocks}
        if any(missing.values()) and self.run.n_cells:
            before = f"going on with {counted(self.run.n_cells)} finished before"
            self._note(f"{before}, training {self._counted(plan, missing)}")
        self._train(plan, missing)

    def train_weightless(self, plan: Plan, cells: Collection[int]) -> None:
        """Train the blocks again that have any of the given cells, but not their weights."""
        missing = {block.index: self.run.without_weights(block, cells) for block in plan.blocks}
        if any(missing.values()):
            again = "again, whose weights are not there"
            self._note(f"training {self._counted(plan, missing)} {again}")
        self._train(plan, missing)

    def train_final(self, plan: Plan) -> None:
        """Train the cells of a plan on all rows, if their logs or weights are not there."""
        logged = [self.cells[n] for n in sorted(self.run.final_cells)]
        final = self.run.final_logs(logged).results
        diverged = {cell for cell, result in final.items() if result.status == "diverged"}
        with_weights = plan.cells - diverged
        run = self.run
        missing = {
            block.index: run.without_results(block) | run.without_weights(block, with_weights)
            for block in plan.blocks
        }
        self._train(plan, missing)

    def extended(self, plan: Plan, selected: set[int], wanted: set[int], first_block: int) -> Plan:
        """A plan of trainings on all rows, with what it lacks of the wanted cells.

        The selected cell has a pass of its own, so that its bits do not depend on whether other
        cells are wanted, or were wanted earlier.
        """
        shape = replace(self.dataset.shape, folds=None)
        run = self.config.run
        for group in (selected, wanted):
            missing = [self.cells[cell] for cell in sorted(group - plan.cells)]
            if missing:
                start = first_block + len(plan.blocks)
                more = make_plan(missing, shape, run, n_threads(run), start)
                plan = Plan(plan.passes + more.passes)
        return plan

    def _train(self, plan: Plan, missing: Mapping[int, Outcomes]) -> None:
        """Train blocks whole, even if only one cell of them is missing: its bits depend on them."""
        if passes := plan.passes_of(_lacking(plan, missing)):
            run, metric, keeper = self.config.run, self.config.select.metric, self.keeper
            works = assign_memory(passes, self.dataset.shape, run)
            check_memory(works, self.dataset.shape)
            how = (n_threads(run), metric, self.observer, keeper)
            trained = train_blocks(works, self.dataset, *how)
            with keeper.training(plan, missing), closing(trained) as stream:
                for record in stream:
                    self.dataset.check_unchanged()
                    self.run.commit(record.block, record.epoch, record.outcomes)

    def _note(self, message: str) -> None:
        self.observer.note(f"{self.run.directory.path}: {message}")

    def _counted(self, plan: Plan, missing: Mapping[int, Outcomes]) -> str:
        return counted(len(cells_of(_lacking(plan, missing))))


def _lacking(plan: Plan, missing: Mapping[int, Outcomes]) -> list[Block]:
    """The blocks of which some outcome is missing."""
    return [block for block in plan.blocks if missing[block.index]]


def counted(n_cells: int) -> str:
    return f"{n_cells} cells" if n_cells != 1 else "1 cell"
