"""The rows of a pass: in which order they come, and which of them each fold sees."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgdlab.data.dataset import Dataset
from sgdlab.data.rows import Chunk
from sgdlab.engine.running_block import RunningBlock
from sgdlab.errors import UsageError
from sgdlab.planning.memory import Work
from sgdlab.planning.plan import Block

Part = tuple[NDArray[Any], ...]  # rows and targets; or two of each


class PassRows:
    """What a pass reads, and what the blocks of a fold see of it.

    Attributes
    ----------
    training
        Already in the pass's order if that is the same in every epoch. With the rows that a fold
        holds out, and before any statistics of a fold.
    validation
        None where there are none, or where every fold holds out its own.
    """

    def __init__(self, work: Work, dataset: Dataset) -> None:
        plan, self._holding = work.plan, work.holding
        self._kept: dict[tuple[int, int], Part] = {}  # by fold, and number of a chunk's first row
        self._order = plan.order
        self._n_rows = dataset.shape.n_train
        self._folds = dataset.folds if plan.is_folded else ()
        precision = plan.train.precision
        order = self._positions(0) if self._order.repeats else None
        take = dataset.pooled if plan.is_folded else dataset.training
        self.training = take(precision, order)
        self.validation = dataset.validation(precision) if dataset.shape.n_validation else None
        if self._holding.in_memory:
            for row_set in (self.training, self.validation):
                if row_set is not None:
                    row_set.load()

    def order(self, epoch: int) -> NDArray[np.int64] | None:
        """The positions that an epoch, from 0, goes through; None: all, one after the other."""
        return None if self._order.repeats else self._positions(epoch)

    def _positions(self, epoch: int) -> NDArray[np.int64]:
        """What the order says of an epoch; words are anyone's, and a wrong one trains on nonsense.

        Raises
        ------
        UsageError
            If that is no order of the rows.
        """
        positions, n_rows = self._order.positions(self._n_rows, epoch), self._n_rows
        if not isinstance(positions, np.ndarray) or positions.dtype != np.int64:
            found = f"gives {getattr(positions, 'dtype', type(positions).__name__)}"
        elif positions.shape != (n_rows,):
            found = f"gives positions of shape {positions.shape}"
        elif positions.min() < 0 or positions.max() >= n_rows:
            found = f"gives positions from {positions.min()} to {positions.max()}"
        else:
            return positions
        place = f"train.order {self._order.name}, epoch {epoch + 1}"
        raise UsageError(place, found, f"{n_rows} int64 from 0 to {n_rows - 1}")

    def ends(self, epoch: int) -> NDArray[np.int64] | None:
        """Where what is best read as a whole ends, in an epoch's order; None: chunk by chunk."""
        return self._order.mixture_ends(self._n_rows, epoch)

    def start(self, block: Block) -> RunningBlock:
        targets = self.training.targets
        if block.fold is not None:
            targets = targets[self._folds[block.fold].trains_on(self.training.numbers)]
        keeps_products = block.index in self._holding.products_of
        return RunningBlock(block, self.training.n_features, targets, keeps_products)

    def n_training(
        self,
        folds: Iterable[int | None],
        order: NDArray[np.int64] | None,
        n_first: int | None = None,
    ) -> dict[int | None, int]:
        """Rows on which the blocks of each fold train in an epoch, or among the first of its rows.

        ``order`` is that of the epoch.
        """
        numbers = self.training.numbers if order is None else self.training.numbers[order]
        numbers = numbers[:n_first]
        return {
            fold: len(numbers) if fold is None else int(self._folds[fold].trains_on(numbers).sum())
            for fold in folds
        }

    def own(self, fold: int | None, chunk: Chunk, numbers: NDArray[np.int64]) -> Part:
        """Those of a chunk of the training rows on which a fold trains."""
        if fold is None:
            return chunk
        key = (fold, int(numbers[0]))
        if key in self._kept:
            return self._kept[key]
        part = self._folds[fold].training(chunk, numbers)
        if self._holding.keeps_parts:
            self._kept[key] = part
        return part

    def both(self, fold: int | None, chunk: Chunk, numbers: NDArray[np.int64]) -> Part:
        """The same, followed by those that the fold holds out, as two more arrays."""
        if fold is None:
            return chunk
        return (*self.own(fold, chunk, numbers), *self._folds[fold].validation(chunk, numbers))
