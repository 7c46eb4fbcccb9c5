"""How much of the models and losses of a training may be rounding."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sgdlab.lab.scaling_rule.design import Base
from sgdlab.uncertainty.rounding import EPSILON, UNITS


def rounding_of_models(base: Base, size: float) -> float:
    """A length that models of some size may differ by for nothing.

    Every step rounds the weights, and predictions that are as large as the targets. What steps lose
    adds up as a random walk does: chance has many signs.
    """
    epsilon, train = float(np.finfo(base.train.precision).eps), base.train
    walk = min(base.n_steps, UNITS * math.sqrt(base.n_steps))
    of_gradients = train.learning_rate * math.sqrt(base.eigenvalue) * base.target_size
    found = epsilon * walk * (size + of_gradients)
    if train.train_bias:
        # It is stored in float64, but added to predictions in their precision.
        found += EPSILON * walk * abs(train.initial_bias) + epsilon * base.target_size
    return found


def without_rounding(base: Base, losses: ArrayLike) -> NDArray[np.float64]:
    """The same losses, and 0 where every row is fitted but for rounding."""
    epsilon, known = float(np.finfo(base.train.precision).eps), np.asarray(losses, np.float64)
    return np.where(np.sqrt(2 * known) <= UNITS * epsilon * base.target_size, 0.0, known)
