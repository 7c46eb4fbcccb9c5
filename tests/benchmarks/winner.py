"""The homework's winning cell alone: the engine beside a plain loop that does the same.

Both begin with the files and end with the weights, the running and validation losses of every epoch
and the loss on the training rows; each is given the better of 1 and 2 BLAS threads.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np
from rich.console import RenderableType
from threadpoolctl import threadpool_limits

from sgdlab.config.model import Train
from sgdlab.data.dataset import Dataset
from sgdlab.report.layout import new_table
from sgdlab.words.orders import ShuffleOnce
from tests.benchmarks import data
from tests.benchmarks.shown import ratio_table, seconds_cells
from tests.benchmarks.stopwatch import Stopwatch

WINNER = 60
LOOP, ENGINE = "plain loop", "sgdlab"


def tables(dataset: Dataset, stopwatch: Stopwatch) -> Iterator[RenderableType]:
    table = new_table("seconds of cell 0060 alone", "float64", "float32")
    cells = {dtype: data.homework_cells(dtype)[WINNER] for dtype in ("float64", "float32")}
    for dtype, cell in cells.items():
        check(dataset, cell, 1e-9 if dtype == "float64" else 1e-3)
    programs = {
        f"{name}, {dtype}, {threads} threads": partial(program, dataset, cell, threads)
        for dtype, cell in cells.items()
        for name, program in ((LOOP, plain_loop), (ENGINE, engine))
        for threads in (1, 2)
    }
    medians = stopwatch.medians(programs)
    best = {
        (name, dtype): min(medians[f"{name}, {dtype}, {threads} threads"] for threads in (1, 2))
        for name in (LOOP, ENGINE)
        for dtype in cells
    }
    for name in (LOOP, ENGINE):
        table.add_row(name, *seconds_cells(best[name, dtype] for dtype in cells))
    yield table
    yield ""
    yield ratio_table(
        {f"{LOOP} / {ENGINE}, {dtype}": best[LOOP, dtype] / best[ENGINE, dtype] for dtype in cells}
    )


def engine(dataset, cell, threads: int):
    return data.outcomes(dataset, [cell], threads)[cell.index]


def plain_loop(dataset, cell, threads: int):
    """Weights, and validation losses of all epochs; the bias is not trained."""
    with threadpool_limits(threads, user_api="blas"):
        return _train(cell.train, *_read(dataset, cell.train.precision))


def _read(dataset, dtype: str):
    """As a script does: whole files, of which rows are taken."""
    X, y = (np.load(dataset.arrays[name].name) for name in ("Xtr", "ytr"))
    order = ShuffleOnce().positions(dataset.shape.n_train, 0)
    for rows in (dataset.training(dtype, order), dataset.validation(dtype)):
        yield X[rows.numbers].reshape(rows.n_rows, -1).astype(dtype, copy=False)
        yield y[rows.numbers].astype(dtype)


def _train(train: Train, X, y, X_validation, y_validation):
    w, b = np.zeros(X.shape[1], X.dtype), X.dtype.type(train.initial_bias)
    running, validation = [], []
    for _ in range(train.epochs):
        squares = 0.0
        for start in range(0, len(X), train.batch_size):
            rows = X[start : start + train.batch_size]
            errors = rows @ w + b - y[start : start + train.batch_size]
            squares += errors @ errors
            w -= train.learning_rate * (rows.T @ errors / len(rows) + train.l2 * w)
        running.append(squares / (2 * len(X)))
        validation.append(np.mean((X_validation @ w + b - y_validation) ** 2) / 2)
    return w, running, validation, np.mean((X @ w + b - y) ** 2) / 2


def check(dataset, cell, tolerance: float) -> None:
    """Both find the same losses."""
    outcome = engine(dataset, cell, 1)
    _, running, validation, train_loss = plain_loop(dataset, cell, 1)
    np.testing.assert_allclose(outcome.running_history, running, rtol=tolerance)
    np.testing.assert_allclose(outcome.validation_history, validation, rtol=tolerance)
    np.testing.assert_allclose(outcome.train_loss, train_loss, rtol=tolerance)
