"""Plain minibatch SGD for one cell: the judge of every fast path."""

from typing import NamedTuple

import numpy as np

from sgdlab.config import Train
from sgdlab.data.orders import epoch_order


class Reference(NamedTuple):
    weights: np.ndarray
    bias: float
    running: list[float]  # half mean squared error of the rows before their own updates, an epoch
    validation: list[float]


def plain_sgd(train: Train, X, y, X_validation, y_validation, replicate=0, weights=None):
    """Twenty lines, straight from the definition of a step."""
    w = np.zeros(X.shape[1]) if weights is None else weights.copy()
    b, running, validation = train.initial_bias, [], []
    for epoch in range(train.epochs):
        rows = epoch_order(train.order, len(X), train.seed, replicate, epoch)
        squares = 0.0
        for start in range(0, len(rows), train.batch_size):
            batch = rows[start : start + train.batch_size]
            r = X[batch] @ w + b - y[batch]
            squares += np.sum(r**2)
            psi = {
                "squared": r,
                "absolute": np.sign(r),
                "huber": np.where(
                    np.abs(r) <= train.huber_delta, r, train.huber_delta * np.sign(r)
                ),
            }[train.loss]
            w = w - train.learning_rate * (X[batch].T @ psi / len(batch) + train.l2 * w)
            if train.train_bias:
                b -= train.learning_rate * np.mean(psi)
        running.append(squares / (2 * len(rows)))
        validation.append(np.mean((X_validation @ w + b - y_validation) ** 2) / 2)
    return Reference(w, b, running, validation)


def relative_distance(a, b) -> float:
    """Norm-wise: ``|a - b| / |b|``, and 0 if both are 0."""
    distance = np.linalg.norm(np.subtract(a, b))
    return float(distance / np.linalg.norm(b)) if distance else 0.0
