"""How fast small batches are trained: batch size 1 beside scikit-learn, and both kernels.

    python -m tests.benchmarks.small_batches

scikit-learn fits and scores the same cells with GridSearchCV in two processes that are already
running; the engine trains them and validates after every epoch. Close what else runs.
"""

import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from sklearn.linear_model import SGDRegressor
from sklearn.model_selection import GridSearchCV

from sgdlab import provenance
from sgdlab.config import Data, Run, Train
from sgdlab.data.dataset import open_dataset
from sgdlab.data.stand_in import synthesize
from sgdlab.engine.passes import run_pass
from sgdlab.grid import Cell
from sgdlab.plan import make_plan
from sgdlab.report.layout import new_table
from sgdlab.system import n_processors

RUNS = 3
EPOCHS = 4
L2 = (1e-7, 1e-5, 1e-3, 1e-1)


def main() -> None:
    console = Console(width=80)
    with tempfile.TemporaryDirectory() as folder:
        synthesize(Path(folder), "age_regression_")
        with open_dataset(Data(path=folder, prefix="age_regression_")) as dataset:
            console.print(beside_scikit_learn(dataset))
            console.print(both_kernels(dataset))
    environment = provenance.environment()
    console.print(f"{environment['processor']}, {environment['processors']} processors")
    console.print(f"medians of {RUNS} runs; {EPOCHS} epochs of 3200 rows, 2304 columns, float64")


def make_cells(n_cells: int, batch_size: int) -> list[Cell]:
    rates = np.geomspace(1e-7, 1e-5, n_cells // len(L2)).tolist()
    settings = [(rate, l2) for rate in rates for l2 in L2]
    return [
        Cell(n, Train(order="in_order", batch_size=batch_size, learning_rate=rate, l2=l2,
                      epochs=EPOCHS))
        for n, (rate, l2) in enumerate(settings)
    ]  # fmt: skip


def beside_scikit_learn(dataset):
    table = new_table("cells", "scikit-learn, s", "engine, s", "ratio", "largest difference of w")
    for n_cells in (64, 256):
        cells = make_cells(n_cells, 1)
        theirs = scikit_learn(dataset, cells)
        seconds, outcomes = engine(dataset, cells)
        distance = largest_distance(dataset, cells, outcomes)
        ratio = f"{theirs / seconds:.1f}"
        table.add_row(str(n_cells), f"{theirs:.2f}", f"{seconds:.2f}", ratio, f"{distance:.1g}")
    return table


def both_kernels(dataset):
    table = new_table("64 cells, batch size", "direct, s", "blocked, s", "the plan takes")
    for batch_size in (1, 4, 16, 64, 160):
        cells = make_cells(64, batch_size)
        direct, _ = engine(dataset, cells, None)
        blocked, _ = engine(dataset, cells, 128)
        plan = make_plan(cells, dataset.shape, Run(), n_processors())
        chosen = "direct" if plan.blocks[0].window_rows is None else "blocked"
        table.add_row(str(batch_size), f"{direct:.2f}", f"{blocked:.2f}", chosen)
    return table


def engine(dataset, cells, window_rows="auto"):
    """Median seconds, and the outcomes by cell; with the planned kernels or a given one."""
    (each,) = make_plan(cells, dataset.shape, Run(), n_processors()).passes
    if window_rows != "auto":
        each = replace(each, blocks=tuple(replace(b, window_rows=window_rows) for b in each.blocks))
    seconds = []
    for _ in range(RUNS):
        start = time.perf_counter()
        records = list(run_pass(each, each.blocks, dataset, True, n_processors()))
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), {o.cell: o for r in records for o in r.outcomes}


def regressor(**settings):
    return SGDRegressor(
        penalty="l2", learning_rate="constant", shuffle=False, tol=None, max_iter=EPOCHS, **settings
    )


def scikit_learn(dataset, cells):
    """Median seconds of GridSearchCV on the same split, its pool warm."""
    sets = (dataset.training(np.float64), dataset.validation(np.float64))
    rows = [chunk for each in sets for chunk in each.chunks(4000)]
    X, y = (np.concatenate(part) for part in zip(*rows, strict=True))
    n_train = dataset.shape.n_train
    search = GridSearchCV(
        regressor(),
        {"eta0": sorted({each.train.learning_rate for each in cells}), "alpha": list(L2)},
        cv=[(np.arange(n_train), np.arange(n_train, len(X)))],
        scoring="neg_mean_squared_error",
        refit=False,
        n_jobs=2,
    )
    seconds = []
    for _ in range(RUNS + 1):
        start = time.perf_counter()
        search.fit(X, y)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def largest_distance(dataset, cells, outcomes):
    """Of some cells' weights from scikit-learn's, relative to their norm."""
    [(X, y)] = dataset.training(np.float64).chunks(dataset.shape.n_train)
    found = []
    for cell in cells[:: len(cells) // 8]:
        model = regressor(eta0=cell.train.learning_rate, alpha=cell.train.l2).fit(X, y)
        weights = outcomes[cell.index].weights
        found.append(np.linalg.norm(weights - model.coef_) / np.linalg.norm(model.coef_))
    return max(found)


if __name__ == "__main__":
    main()
