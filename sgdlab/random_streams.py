"""Random numbers: a stream of their own for each purpose, whatever ran before."""

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What random numbers are for; the numbers here are part of what a seed means."""

    SPLIT = 0
    ORDER = 1
    INITIAL_WEIGHTS = 2
    SAMPLING = 3
    XOR_RESTARTS = 4
    GRADIENT_NOISE = 5
    RESAMPLING = 7
    FRESH_SUBSET = 8
    PERMUTATION = 9
    VERIFICATION = 10


def generator(seed: int, purpose: Purpose, *of: int) -> np.random.Generator:
    """The random numbers of one purpose, replicate and epoch.

    Seeds are below 2**32: a larger one would look like a smaller one with another purpose.
    """
    return np.random.default_rng(np.random.SeedSequence([seed, purpose, *of]))
