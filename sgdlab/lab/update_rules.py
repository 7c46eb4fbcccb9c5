"""How updates follow from minibatch gradients, at frozen weights and without the learning rate.

A rule takes the gradients of the next minibatch of some chains, shape (n_chains, n_parameters), and
gives their updates. It remembers earlier ones where the method does.
"""

from collections import deque
from collections.abc import Callable

import numpy as np

from sgdlab.lab.row_gradients import Vector

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


def momentum(beta: float) -> Rule:
    """``v = beta v + g`` (Polyak 1964; PyTorch's convention, without dampening)."""
    velocity: Vector | float = 0.0

    def rule(gradients: Vector) -> Vector:
        nonlocal velocity
        velocity = beta * velocity + gradients
        return velocity

    return rule


def adam(beta1: float, beta2: float, epsilon: float) -> Rule:
    """Moment estimates with their bias corrections: Kingma and Ba 2015, arXiv:1412.6980."""
    first: Vector | float = 0.0
    second: Vector | float = 0.0
    n_steps = 0

    def rule(gradients: Vector) -> Vector:
        nonlocal first, second, n_steps
        n_steps += 1
        first = beta1 * first + (1 - beta1) * gradients
        second = beta2 * second + (1 - beta2) * np.square(gradients)
        deviation = np.sqrt(second / (1 - beta2**n_steps))
        return first / (1 - beta1**n_steps) / (deviation + epsilon)

    return rule
