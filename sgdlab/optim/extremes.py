"""Numbers so large or so small that steps must be made exactly as they are defined.

Fast paths multiply in another order than the definition does, which gives the same digits as long
as no intermediate result leaves the range of its numbers. Within the limits here none does, with
room to spare: a learning rate times a residual stays far from both ends. Rows may be of any size,
since whatever is large or small by them alone is so in the definition, too.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgdlab.config.model import Train
from sgdlab.words.losses import LOSSES
from sgdlab.words.starts import STARTS

SMALLEST = {"float64": 1e-60, "float32": 1e-10}  # of residuals; a learning rate may be its square
# Times which a step may multiply the weights: a window of them, in which predictions and targets
# are multiplied together, loses as many digits.
LARGEST_DECAY = {"float64": 1e6, "float32": 1e2}


def has_extremes(train: Train) -> bool:
    """Whether a hyperparameter of a cell is extreme in the cell's precision.

    One that is small matters only where residuals are as small by it: L2 may be as near to 0 as it
    likes.
    """
    smallest, rate = SMALLEST[train.precision], train.learning_rate
    names = ("initial_bias", *LOSSES.own(train.loss), *STARTS.own(train.initial_weights))
    of_residuals = [abs(getattr(train, name)) for name in names]
    return (
        max(rate, train.l2, train.weight_decay, *of_residuals) > 1 / smallest
        or rate * (train.l2 + train.weight_decay) > LARGEST_DECAY[train.precision]
        or rate < smallest**2
        or any(0 < size < smallest for size in of_residuals)
    )


def are_extreme(targets: NDArray[Any]) -> bool:
    """Whether targets are extreme in the precision that is their dtype."""
    smallest = SMALLEST[targets.dtype.name]
    largest = float(np.abs(targets).max(initial=0.0))
    return largest > 0 and not smallest <= largest <= 1 / smallest
