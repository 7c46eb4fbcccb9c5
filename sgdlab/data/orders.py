"""The order in which training rows are seen, a function of the config alone."""

import math
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sgdlab.errors import UsageError

FIXED_ORDERS = ("in_order", "shuffle_once")


class Purpose(IntEnum):
    """What random numbers are for; each purpose has a stream of its own."""

    SPLIT = 0
    ORDER = 1
    INITIAL_WEIGHTS = 2
    SAMPLING = 3
    XOR_RESTARTS = 4
    GRADIENT_NOISE = 5
    BOOTSTRAP = 6
    RESAMPLING = 7


def generator(seed: int, purpose: Purpose, *of: int) -> np.random.Generator:
    """The random numbers of one purpose, replicate and epoch, whatever ran before.

    Seeds are below 2**32: a larger one would look like a smaller one with another purpose.
    """
    return np.random.default_rng(np.random.SeedSequence([seed, purpose, *of]))


class Blocks(NamedTuple):
    """Of the order ``shuffle_blocks``: rows of a block, and blocks of a buffer."""

    block_rows: int
    buffer_blocks: int


def epoch_order(
    order: str, n_rows: int, seed: int, replicate: int, epoch: int, blocks: Blocks | None = None
) -> NDArray[np.int64]:
    """Positions of the training rows in the order in which an epoch sees them, shape (n_rows,).

    Epochs count from 0. ``with_replacement`` draws ``n_rows`` independent positions, so a given row
    is missed with probability (1 - 1/n_rows)**n_rows, about 37 %. ``shuffle_blocks`` cuts the rows
    into blocks of neighbours, takes the blocks in random order, and shuffles the rows of as many as
    a buffer holds (CorgiPile, Xu et al. 2022, doi:10.1145/3514221.3526150).
    """
    if order == "in_order":
        return np.arange(n_rows)
    if order == "shuffle_once":
        return generator(seed, Purpose.ORDER, replicate, 0).permutation(n_rows)
    if order == "shuffle_each_epoch":
        return generator(seed, Purpose.ORDER, replicate, epoch).permutation(n_rows)
    if order == "with_replacement":
        return generator(seed, Purpose.ORDER, replicate, epoch).integers(n_rows, size=n_rows)
    if order == "shuffle_blocks" and blocks is not None:
        numbers = generator(seed, Purpose.ORDER, replicate, epoch)
        buffers = _buffers(numbers, n_rows, blocks)
        return np.concatenate([numbers.permutation(buffer) for buffer in buffers])
    expected = "in_order, shuffle_once, shuffle_each_epoch, with_replacement or shuffle_blocks"
    raise UsageError(f"order {order!r}: unknown; expected {expected}")


def buffer_ends(
    n_rows: int, seed: int, replicate: int, epoch: int, blocks: Blocks
) -> NDArray[np.int64]:
    """After how many rows of an epoch of ``shuffle_blocks`` each buffer is used up."""
    numbers = generator(seed, Purpose.ORDER, replicate, epoch)
    return np.cumsum([len(buffer) for buffer in _buffers(numbers, n_rows, blocks)])


def _buffers(
    numbers: np.random.Generator, n_rows: int, blocks: Blocks
) -> Iterator[NDArray[np.int64]]:
    """The rows of each buffer, block after block; the last block of the rows may be shorter."""
    starts = numbers.permutation(math.ceil(n_rows / blocks.block_rows)) * blocks.block_rows
    of_block = np.arange(min(blocks.block_rows, n_rows))
    for first in range(0, len(starts), blocks.buffer_blocks):
        rows = (starts[first : first + blocks.buffer_blocks, None] + of_block).reshape(-1)
        yield rows[rows < n_rows]
