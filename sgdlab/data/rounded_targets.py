"""Targets that float32 can hardly tell from each other."""

from collections.abc import Iterator

import numpy as np

from sgdlab.data.constant import is_constant
from sgdlab.data.dataset import Dataset, read_targets

SHARE = 0.01  # of the standard deviation, by which rounding may move targets without a word


def remarks_on_rounding(dataset: Dataset) -> Iterator[str]:
    """A sentence if rounding to float32 moves the targets to train by more than a little."""
    file = dataset.arrays["ytr"]
    targets = read_targets(file)
    with np.errstate(over="ignore", invalid="ignore"):
        moved = np.sqrt(np.square(targets - targets.astype(np.float32)).mean())
        variance, mean = targets.var(), targets.mean()
        deviation = np.sqrt(variance)
    is_one_value = is_constant(variance, mean, len(targets), file.dtype)
    if moved > SHARE * deviation and not is_one_value:
        share = f"{100 * moved / deviation:.2g} % of their standard deviation"
        found = f"rounding to float32 moves the targets by {share}"
        yield f"{file.name}: {found}; subtract their mean, or take train.precision: float64"
