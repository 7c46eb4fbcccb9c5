"""Small problems in memory for the tests of gradient noise, and their gradients row by row."""

import numpy as np

from sgdlab.config.model import Train
from sgdlab.lab.gradient_noise.row_gradients import RowGradients


class Rows:
    """Arrays in the place of a row set; ``piece`` rows at a time, whatever is asked for."""

    def __init__(self, X, y, piece):
        self.X, self.y, self.piece = X, y, piece
        self.n_rows, self.n_features = X.shape

    def chunks(self, chunk_rows):
        size = min(self.piece, chunk_rows)
        for start in range(0, self.n_rows, size):
            yield self.X[start : start + size], self.y[start : start + size]


def problem(n=40, d=5, seed=0, piece=11, **keys):
    """Row gradients at random weights, and the same as a plain matrix, a row for each row."""
    rng = np.random.default_rng(seed)
    X, w, b = rng.standard_normal((n, d)) + 0.5, rng.standard_normal(d), 0.3
    y = X @ rng.standard_normal(d) + rng.standard_normal(n)
    train = Train(batch_size=4, learning_rate=0.1, epochs=1, **keys)
    gradients = RowGradients(Rows(X, y, piece), train, w, b)
    return gradients, np.array([row_gradient(x, t, w, b, train) for x, t in zip(X, y, strict=True)])


def row_gradient(x, target, w, b, train):
    residual = x @ w + b - target
    psi = {
        "squared": residual,
        "absolute": np.sign(residual),
        "huber": np.clip(residual, -train.huber_delta, train.huber_delta),
    }[train.loss]
    gradient = psi * x + train.l2 * w
    return np.append(gradient, psi) if train.train_bias else gradient
