"""Plain minibatch SGD for one cell: the judge of every fast path."""

import math
from typing import NamedTuple

import numpy as np

from sgdlab.config.model import Train
from sgdlab.config.objects import order_of


class Reference(NamedTuple):
    weights: np.ndarray
    bias: float
    running: list[float]  # half mean squared error of the rows before their own updates, an epoch
    validation: list[float]


def plain_sgd(
    train: Train,
    X,
    y,
    X_validation,
    y_validation,
    replicate=0,
    weights=None,
    until=None,
    left_out=(),
    stir=lambda value, *_: value,
):
    """Twenty lines, straight from the definition of a step.

    ``left_out`` are positions that have their place in the order of rows but are not seen. ``stir``
    is given every result with the terms that are added up in it, products as pairs, and gives it
    back, or one that another order of operations might have given.
    """
    w = np.zeros(X.shape[1]) if weights is None else weights.copy()
    order = order_of(train, replicate)
    b, running, validation = train.initial_bias, [], []
    steps = [plain_optimizer(train), plain_optimizer(train)]  # of the weights and of the bias
    for epoch in range(until or train.epochs):
        rows = order.positions(len(X), epoch)
        rows = rows[~np.isin(rows, left_out)]
        squares = 0.0
        for start in range(0, len(rows), train.batch_size):
            batch = rows[start : start + train.batch_size]
            r = stir(X[batch] @ w + b - y[batch], (X[batch], w), b, y[batch])
            squares += np.sum(r**2)
            psi = {
                "squared": r,
                "absolute": np.sign(r),
                "huber": np.where(
                    np.abs(r) <= train.huber_delta, r, train.huber_delta * np.sign(r)
                ),
            }[train.loss]
            done, to_do = epoch + start / len(rows), epoch + (start + len(batch)) / len(rows)
            rate = train.learning_rate * plain_schedule(train, done, to_do)
            gradient = X[batch].T @ psi / len(batch) + train.l2 * w
            step = steps[0](stir(gradient, (X[batch].T, psi / len(batch)), train.l2 * w))
            step = rate * step if rate else np.zeros_like(w)
            w = stir(w * (1 - rate * train.weight_decay) - step, w, step)
            if train.train_bias:
                step = rate * steps[1](stir(np.mean(psi), psi))
                b = stir(b - step, b, step)
        running.append(squares / (2 * len(rows)) if len(rows) else math.nan)
        validation.append(np.mean((X_validation @ w + b - y_validation) ** 2) / 2)
    return Reference(w, b, running, validation)


def plain_optimizer(train: Train):
    """A function from a gradient to what is subtracted, apart from the learning rate."""
    velocity = mean = square = 0.0
    n_steps = 0

    def direction(gradient):
        nonlocal velocity, mean, square, n_steps
        n_steps += 1
        if train.optimizer in ("momentum", "nesterov"):
            velocity = train.momentum * velocity + gradient
            is_plain = train.optimizer == "momentum"
            return velocity if is_plain else gradient + train.momentum * velocity
        if train.optimizer == "adam":
            mean = train.beta1 * mean + (1 - train.beta1) * gradient
            square = train.beta2 * square + (1 - train.beta2) * gradient**2
            root = np.sqrt(square / (1 - train.beta2**n_steps))
            return mean / (1 - train.beta1**n_steps) / (root + train.epsilon)
        return gradient

    return direction


def plain_schedule(train: Train, begin: float, end: float) -> float:
    """The factor of the learning rate for a batch between two times, in epochs."""
    warmup = train.warmup * train.epochs
    if begin < warmup:
        return min(end / warmup, 1.0)
    done = (begin - warmup) / (train.epochs - warmup)
    final, n = train.final_factor, train.schedule_steps
    return {
        "constant": 1.0,
        "exponential": final**done,
        "step": final ** (int(done * (n + 1)) / n),
        "inverse_time": final / (final + (1 - final) * done),
        "cosine": final + (1 - final) * (1 + math.cos(math.pi * done)) / 2,
    }[train.schedule]


def relative_distance(a, b) -> float:
    """Norm-wise: ``|a - b| / |b|``, and 0 if both are 0."""
    distance = np.linalg.norm(np.subtract(a, b))
    return float(distance / np.linalg.norm(b)) if distance else 0.0
