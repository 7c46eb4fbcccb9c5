"""The order in which training rows are seen, a function of the config alone."""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from sgdlab.errors import UsageError

FIXED_ORDERS = ("in_order", "shuffle_once")


class Purpose(IntEnum):
    """What random numbers are for; each purpose has a stream of its own."""

    SPLIT = 0
    ORDER = 1
    INITIAL_WEIGHTS = 2
    GRADIENT_NOISE = 5
    BOOTSTRAP = 6
    RESAMPLING = 7


def generator(seed: int, purpose: Purpose, *of: int) -> np.random.Generator:
    """The random numbers of one purpose, replicate and epoch, whatever ran before.

    Seeds are below 2**32: a larger one would look like a smaller one with another purpose.
    """
    return np.random.default_rng(np.random.SeedSequence([seed, purpose, *of]))


def epoch_order(
    order: str, n_rows: int, seed: int, replicate: int, epoch: int
) -> NDArray[np.int64]:
    """Positions of the training rows in the order in which an epoch sees them, shape (n_rows,).

    Epochs count from 0. ``with_replacement`` draws ``n_rows`` independent positions, so a given row
    is missed with probability (1 - 1/n_rows)**n_rows, about 37 %.
    """
    if order == "in_order":
        return np.arange(n_rows)
    if order == "shuffle_once":
        return generator(seed, Purpose.ORDER, replicate, 0).permutation(n_rows)
    if order == "shuffle_each_epoch":
        return generator(seed, Purpose.ORDER, replicate, epoch).permutation(n_rows)
    if order == "with_replacement":
        return generator(seed, Purpose.ORDER, replicate, epoch).integers(n_rows, size=n_rows)
    expected = "in_order, shuffle_once, shuffle_each_epoch or with_replacement"
    raise UsageError(f"order {order!r}: unknown; expected {expected}")
