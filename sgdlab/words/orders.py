"""The order in which training rows are seen, a function of the config alone."""

import math
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sgdlab.random_streams import Purpose, generator
from sgdlab.words.registry import Registry, Word, hyperparameter

Positions = NDArray[np.int64]


@dataclass(frozen=True)
class Order(Word):
    """An order of rows: orders that are equal show the same rows in the same sequence.

    Whatever the sequence depends on is a field, so that trainings with different orders are never
    put together.

    Attributes
    ----------
    seed, replicate
        Of the random numbers.
    repeats
        Whether every epoch sees the same rows in the same sequence.
    sees_all
        Whether every epoch sees every row; else a fold may find none of its rows in an epoch.
    is_random
        Whether replicates differ at all.
    is_stored
        Whether the rows come as they stand in the file.
    reads_in_sequence
        Whether an epoch can be read from a file in long pieces, where :meth:`mixed_rows` of rows
        fit the memory.
    """

    seed: int = 0
    replicate: int = 0

    repeats: ClassVar[bool] = False
    sees_all: ClassVar[bool] = False
    is_random: ClassVar[bool] = True
    is_stored: ClassVar[bool] = False
    reads_in_sequence: ClassVar[bool] = False

    @abstractmethod
    def positions(self, n_rows: int, epoch: int) -> Positions:
        """Positions of the training rows in the order in which an epoch, from 0, sees them.

        Shape (n_seen,), each from 0 to ``n_rows - 1``.
        """

    def mixed_rows(self, n_rows: int) -> int:
        """How many rows are mixed with each other, from all places in the file or from a few."""
        return n_rows

    def mixture_ends(self, n_rows: int, epoch: int) -> Positions | None:
        """After how many rows of an epoch each mixture is used up; None: it is one of all rows."""
        return None

    def generator(self, epoch: int) -> np.random.Generator:
        """The random numbers of an epoch, from 0; others for every seed and replicate."""
        return generator(self.seed, Purpose.ORDER, self.replicate, epoch)


ORDERS: Registry[Order] = Registry("train.order", Order)


@ORDERS.add
@dataclass(frozen=True)
class InOrder(Order):
    """As the rows stand in the file."""

    name = "in_order"
    repeats = True
    sees_all = True
    is_random = False
    is_stored = True
    reads_in_sequence = True

    def positions(self, n_rows: int, epoch: int) -> Positions:
        return np.arange(n_rows)

    def mixed_rows(self, n_rows: int) -> int:
        return 1


@ORDERS.add
@dataclass(frozen=True)
class ShuffleOnce(Order):
    """One permutation, the same in every epoch."""

    name = "shuffle_once"
    repeats = True
    sees_all = True

    def positions(self, n_rows: int, epoch: int) -> Positions:
        return self.generator(0).permutation(n_rows)


@ORDERS.add
@dataclass(frozen=True)
class ShuffleEachEpoch(Order):
    """A new permutation in every epoch."""

    name = "shuffle_each_epoch"
    sees_all = True

    def positions(self, n_rows: int, epoch: int) -> Positions:
        return self.generator(epoch).permutation(n_rows)


@ORDERS.add
@dataclass(frozen=True)
class WithReplacement(Order):
    """``n_rows`` independent positions an epoch.

    A given row is missed with probability (1 - 1/n_rows)**n_rows, about 37 %.
    """

    name = "with_replacement"

    def positions(self, n_rows: int, epoch: int) -> Positions:
        return self.generator(epoch).integers(n_rows, size=n_rows)


@ORDERS.add
@dataclass(frozen=True)
class ShuffleBlocks(Order):
    """Blocks of neighbours in random order; the rows of as many as a buffer holds are shuffled.

    CorgiPile: Xu et al. 2022, doi:10.1145/3514221.3526150.
    """

    name = "shuffle_blocks"
    sees_all = True
    reads_in_sequence = True
    block_rows: int = hyperparameter(
        256, "of shuffle_blocks: rows that are neighbours in the file", ge=1, lt=2**31
    )
    buffer_blocks: int = hyperparameter(
        16, "of shuffle_blocks: blocks whose rows are mixed", ge=1, lt=2**31
    )

    def positions(self, n_rows: int, epoch: int) -> Positions:
        numbers = self.generator(epoch)
        buffers = self._buffers(numbers, n_rows)
        return np.concatenate([numbers.permutation(buffer) for buffer in buffers])

    def mixed_rows(self, n_rows: int) -> int:
        return min(self.block_rows * self.buffer_blocks, n_rows)

    def mixture_ends(self, n_rows: int, epoch: int) -> Positions:
        numbers = self.generator(epoch)
        return np.cumsum([len(buffer) for buffer in self._buffers(numbers, n_rows)])

    def _buffers(self, numbers: np.random.Generator, n_rows: int) -> Iterator[Positions]:
        """The rows of each buffer, block after block; the last block may be shorter."""
        starts = numbers.permutation(math.ceil(n_rows / self.block_rows)) * self.block_rows
        of_block = np.arange(min(self.block_rows, n_rows))
        for first in range(0, len(starts), self.buffer_blocks):
            rows = (starts[first : first + self.buffer_blocks, None] + of_block).reshape(-1)
            yield rows[rows < n_rows]
