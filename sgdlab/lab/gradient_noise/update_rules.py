"""How updates follow from minibatch gradients, at frozen weights and without the learning rate.

A rule takes the gradients of the next minibatch of some chains, shape (n_chains, n_parameters), and
gives their updates. It remembers earlier ones where the method does.
"""

from collections import deque
from collections.abc import Callable

import numpy as np

from sgdlab.lab.gradient_noise.row_gradients import Vector
from sgdlab.words.optimizers import Optimizer

Rule = Callable[[Vector], Vector]


def scaled(factor: float) -> Rule:
    """A learning rate that has become ``factor`` times what it was."""
    return lambda gradients: factor * gradients


def shifted(penalty: Vector) -> Rule:
    """A penalty's gradient, which is the same for every minibatch."""
    return lambda gradients: gradients + penalty


def averaged(n_minibatches: int) -> Rule:
    """A batch as large as this many minibatches: the last ones together."""
    last: deque[Vector] = deque(maxlen=n_minibatches)

    def rule(gradients: Vector) -> Vector:
        last.append(gradients)
        mean: Vector = np.mean(last, axis=0)
        return mean

    return rule


def of_optimizer(optimizer: Optimizer) -> Rule:
    """What an optimizer subtracts; an update holds until the next one is asked for."""
    averages: dict[str, Vector] = {}
    n_updates = 0

    def rule(gradients: Vector) -> Vector:
        nonlocal n_updates
        n_updates += 1
        for name in optimizer.averages:
            averages.setdefault(name, np.zeros_like(gradients))
        return optimizer.direction(gradients, averages, n_updates)

    return rule
