"""Numbers of which every replicate has one."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Mean:
    """A mean over replicates and its standard error; both NaN if a replicate has no number."""

    value: float
    standard_error: float


def mean_of(values: NDArray[np.float64]) -> Mean:
    """Of one number for each of at least two replicates, shape (n_replicates,)."""
    spread = np.std(values, ddof=1) / math.sqrt(len(values))
    return Mean(float(np.mean(values)), float(spread))
