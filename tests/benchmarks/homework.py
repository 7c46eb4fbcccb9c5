"""The homework's script, as its description says: four nested loops, one model at a time."""

import itertools
from collections.abc import Iterable

import numpy as np

BATCH_SIZES = (160, 200, 400, 640)
EPOCHS = (16, 32, 48, 64)
LEARNING_RATES = (3e-8, 3e-6, 3e-5, 3e-3)
L2 = (1e-7, 1e-5, 1e-3, 1e-1)
GRID = tuple(itertools.product(BATCH_SIZES, EPOCHS, LEARNING_RATES, L2))


def train(X, y, batch_size, epochs, learning_rate, l2):
    """Weights of one setting; the bias stays at 0.1."""
    w, b = np.zeros(X.shape[1]), 0.1
    for _ in range(epochs):
        for start in range(0, len(X), batch_size):
            X_batch, y_batch = X[start : start + batch_size], y[start : start + batch_size]
            gradient = X_batch.T @ (X_batch @ w + b - y_batch) / len(y_batch) + l2 * w
            w -= learning_rate * gradient
    return w, b


def grid_search(X, y, X_validation, y_validation, grid: Iterable = GRID):
    """The smallest unregularised validation loss, and its setting."""
    best = (np.inf, None)
    for setting in grid:
        w, b = train(X, y, *setting)
        errors = X_validation @ w + b - y_validation
        loss = round(float(np.mean(errors**2) / 2), 4)
        regularized = round(loss + float(setting[3] / 2 * w @ w), 4)
        if loss < best[0]:
            best = (loss, (*setting, regularized))
    return best
