"""A loss, an order of rows and an optimizer of somebody's own: ``python -m tests.whole.toy_words``.

One class each, as the README of the package describes it; nothing else knows of them. A grid of
them is trained and compared with a plain loop. It is a program, since words are added before the
config is imported.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from sgdlab.words.losses import LOSSES, Loss
from sgdlab.words.optimizers import OPTIMIZERS, Optimizer, as_column
from sgdlab.words.orders import ORDERS, Order
from sgdlab.words.registry import Numbers, hyperparameter


@LOSSES.add
@dataclass(frozen=True)
class LogCosh(Loss):
    name = "log_cosh"
    width: Numbers = hyperparameter(1.0, "residual at which log_cosh turns straight", gt=0)

    def value(self, residuals):
        return self.width**2 * np.log(np.cosh(residuals / self.width))

    def derivative(self, residuals):
        return self.width * np.tanh(residuals / self.width)


@ORDERS.add
@dataclass(frozen=True)
class Strides(Order):
    """Every ``stride``-th row, then those beside them, beginning elsewhere in every epoch."""

    name = "strides"
    is_random = False
    stride: int = hyperparameter(2, "of strides: rows from one to the next", ge=1, le=100)

    def positions(self, n_rows, epoch):
        starts = range(min(self.stride, n_rows))
        rows = np.concatenate([np.arange(first, n_rows, self.stride) for first in starts])
        return np.roll(rows, epoch)


@OPTIMIZERS.add
@dataclass(frozen=True)
class Cautious(Optimizer):
    """The gradient over 1 plus a running mean of its size."""

    name = "cautious"
    averages = ("size",)
    memory: Numbers = hyperparameter(0.5, "of cautious: share of the size that is kept", ge=0, lt=1)

    def direction(self, gradient, averages, n_updates):
        size, memory = averages["size"], as_column(self.memory, gradient)
        size *= memory
        size += (1 - memory) * np.abs(gradient)
        return gradient / (1 + size)


GRID = {
    "loss": ["squared", "log_cosh"],
    "width": [0.5, 2.0],
    "order": ["in_order", "strides"],
    "stride": [2, 3, 7],
    "optimizer": ["sgd", "cautious"],
    "memory": [0.0, 0.9],
    "batch_size": [7, 16],
}


def plain_loop(train, X, y):
    """Minibatch steps as they are defined, with the formulas above written out again."""
    w, b, sizes = np.zeros(X.shape[1]), 0.0, [0.0, 0.0]
    for epoch in range(train.epochs):
        rows = np.arange(len(X))
        if train.order == "strides":
            rows = np.roll(np.argsort(rows % train.stride, kind="stable"), epoch)
        for start in range(0, len(X), train.batch_size):
            batch = rows[start : start + train.batch_size]
            r = X[batch] @ w + b - y[batch]
            psi = train.width * np.tanh(r / train.width) if train.loss == "log_cosh" else r
            steps = [X[batch].T @ psi / len(batch) + train.l2 * w, np.mean(psi)]
            if train.optimizer == "cautious":
                for n, step in enumerate(steps):
                    sizes[n] = train.memory * sizes[n] + (1 - train.memory) * np.abs(step)
                    steps[n] = step / (1 + sizes[n])
            w, b = w - train.learning_rate * steps[0], b - train.learning_rate * steps[1]
    return np.append(w, b)


def main(folder: Path) -> None:
    from sgdlab import workflows
    from sgdlab.config.grid import expand
    from sgdlab.runs.kept import read_kept

    rng = np.random.default_rng(0)
    X, X_test = rng.standard_normal((90, 5)), rng.standard_normal((20, 5))
    w = rng.standard_normal(5)
    arrays = {"Xtr": X, "ytr": X @ w + rng.standard_normal(90), "Xte": X_test, "yte": X_test @ w}
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    usual = {"epochs": 3, "learning_rate": 0.05, "l2": 0.01}
    config = {"data": {"path": str(folder)}, "train": usual, "grid": GRID}
    (folder / "toy.yaml").write_text(yaml.safe_dump(config))
    options = workflows.SearchOptions(folder / "runs", keep_weights="all")
    result = workflows.grid_search(folder / "toy.yaml", (), options)
    cells = expand(result.config).cells
    kept, worst = read_kept(result.directory, result.shape, cells).weights, 0.0
    for cell in (each.cell for each in result.results):
        weights, bias = kept[cell.index, None]
        found = np.append(weights[0], bias)
        expected = plain_loop(cell.train, X[:72], arrays["ytr"][:72])
        worst = max(worst, np.linalg.norm(found - expected) / np.linalg.norm(expected))
    print(f"{len(result.results)} cells, {worst:.1e} from the plain loop at most")
    if not worst < 1e-9:
        sys.exit("a cell is not what the plain loop gives")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
