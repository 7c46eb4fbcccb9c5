"""How fast small batches are trained: batch size 1 beside scikit-learn.

scikit-learn fits and scores the same cells with GridSearchCV in two processes that are already
running; the engine reads the files, trains the cells and validates after every epoch. The grids of
16 to 64 epochs are like the homework's: the bias is not trained, and cells that differ only in
their number of epochs are one training of the engine. The others have no such cells.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from rich.console import RenderableType
from sklearn.base import clone
from sklearn.linear_model import SGDRegressor
from sklearn.model_selection import GridSearchCV

from sgdlab.config.grid import Cell
from sgdlab.config.model import Train
from sgdlab.data.dataset import Dataset
from sgdlab.report.layout import new_table
from tests.benchmarks import data
from tests.benchmarks.shown import seconds_cells, versions
from tests.benchmarks.stopwatch import Stopwatch

HOMEWORKS = (16, 32, 48, 64)
GRIDS = ((HOMEWORKS, False), ((4,), False), ((4,), True))  # epochs; is the bias trained?
L2 = (1e-7, 1e-5, 1e-3, 1e-1)


def tables(dataset: Dataset, stopwatch: Stopwatch) -> Iterator[RenderableType]:
    table = new_table(
        "batch size 1\n\ncells", "\n\nepochs", "\n\nbias", "seconds of\nscikit-\nlearn",
        "\n\nsgdlab", "\n\nratio", "largest\nrelative difference\nof weights",
    )  # fmt: skip
    for epochs, train_bias in GRIDS:
        once = replace(stopwatch, runs=1) if epochs is HOMEWORKS else stopwatch  # minutes
        for n_cells in (64, 256):
            cells = make_cells(n_cells, epochs, train_bias)
            names = f"scikit-learn, {n_cells} cells", f"sgdlab, {n_cells} cells"
            programs = scikit_learn(dataset, cells), partial(data.outcomes, dataset, cells)
            seconds = list(once.medians(dict(zip(names, programs, strict=True))).values())
            distance = largest_distance(dataset, cells, data.outcomes(dataset, cells))
            assert distance < 1e-9, f"weights differ from scikit-learn's by {distance:.1g}"
            what = (str(n_cells), ", ".join(map(str, epochs)), "trained" if train_bias else "fixed")
            ratio = f"{seconds[0] / seconds[1]:.1f}"
            table.add_row(*what, *seconds_cells(seconds), ratio, f"{distance:.1g}")
    yield table
    yield ""
    yield versions("scikit-learn")


def make_cells(n_cells: int, epochs: Sequence[int], train_bias: bool) -> list[Cell]:
    """A grid of learning rates, numbers of epochs and L2; nothing diverges."""
    rates = np.geomspace(1e-7, 1e-5, n_cells // len(L2) // len(epochs)).tolist()
    return [
        Cell(n, Train(order="in_order", batch_size=1, learning_rate=rate, epochs=epoch, l2=l2,
                      train_bias=train_bias))
        for n, (rate, epoch, l2) in enumerate(itertools.product(rates, epochs, L2))
    ]  # fmt: skip


def regressor(train: Train):
    return SGDRegressor(
        penalty="l2", learning_rate="constant", shuffle=False, tol=None,
        fit_intercept=train.train_bias, eta0=train.learning_rate, alpha=train.l2,
        max_iter=train.epochs,
    )  # fmt: skip


def scikit_learn(dataset, cells):
    """A program: GridSearchCV on the same split, in processes that are running already."""
    sets = (dataset.training(np.float64), dataset.validation(np.float64))
    rows = [chunk for each in sets for chunk in each.chunks(4000)]
    X, y = (np.concatenate(part) for part in zip(*rows, strict=True))
    n_train = dataset.shape.n_train
    search = GridSearchCV(
        regressor(cells[0].train),
        {
            "eta0": sorted({each.train.learning_rate for each in cells}),
            "max_iter": sorted({each.train.epochs for each in cells}),
            "alpha": list(L2),
        },
        cv=[(np.arange(n_train), np.arange(n_train, len(X)))],
        scoring="neg_mean_squared_error",
        refit=False,
        n_jobs=2,
    )
    short = clone(search).set_params(param_grid={"eta0": [1e-7] * 4, "max_iter": [1]})
    short.fit(X, y)  # starts the processes
    return lambda: search.fit(X, y)


def largest_distance(dataset, cells, outcomes):
    """Of some cells' weights from scikit-learn's, relative to their norm."""
    [(X, y)] = dataset.training(np.float64).chunks(dataset.shape.n_train)
    found = []
    for cell in cells[:: len(cells) // 8]:
        model = regressor(cell.train).fit(X, y)
        weights = outcomes[cell.index].weights
        found.append(np.linalg.norm(weights - model.coef_) / np.linalg.norm(model.coef_))
    return max(found)
