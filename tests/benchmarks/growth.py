"""How time grows with the number of cells, rows and features, and as batches shrink.

Seconds of one epoch, validation included, reading the files not: the median of all that fit into a
second, but for the first.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from rich.console import RenderableType

from sgdlab.config.grid import Cell
from sgdlab.config.model import Train
from sgdlab.data.dataset import Dataset
from sgdlab.planning.memory import MOST_EPOCHS
from sgdlab.report.layout import new_table
from tests.benchmarks import data
from tests.benchmarks.stopwatch import Stopwatch

CELLS = (1, 4, 16, 64, 256, 1024)
TIMES_ROWS = (1, 2, 4, 8)
FEATURES = (256, 576, 1024, 2304, 4608, 9216)
BATCH_SIZES = (1, 4, 16, 64, 256)
N_ROWS, N_FEATURES, N_CELLS, BATCH_SIZE, SMALL_BATCH_SIZE = 3200, 2304, 64, 160, 16
MEASURED_S, MIN_EPOCHS = 1.0, 3 * MOST_EPOCHS


def tables(dataset: Dataset, stopwatch: Stopwatch) -> Iterator[RenderableType]:
    def measured(dataset, n_cells, batch_size) -> float:
        cells = make_cells(n_cells, batch_size)
        return stopwatch.undisturbed(lambda: epoch_seconds(dataset, cells))

    def on_random_numbers(n_rows, n_features, batch_size) -> float:
        with data.random_numbers(n_rows, n_features) as other:
            return measured(other, N_CELLS, batch_size)

    both = (BATCH_SIZE, SMALL_BATCH_SIZE)
    yield _table("cells", CELLS, both, lambda n, size: measured(dataset, n, size))
    yield ""
    rows = [N_ROWS * times for times in TIMES_ROWS]
    yield _table("rows", rows, both, lambda n, size: on_random_numbers(n, N_FEATURES, size))
    yield ""
    yield _table("features", FEATURES, both, lambda n, size: on_random_numbers(N_ROWS, n, size))
    yield ""
    table = new_table(f"batch size, {N_CELLS} cells", "ms an epoch")
    for size in BATCH_SIZES:
        table.add_row(str(size), milliseconds(measured(dataset, N_CELLS, size)))
    yield table


def _table(
    what: str, values: Sequence[int], batch_sizes: Sequence[int], measure: Callable
) -> RenderableType:
    """Milliseconds an epoch, and the power of the value that they follow."""
    table = new_table(what, *(f"ms an epoch,\nbatch size {size}" for size in batch_sizes))
    seconds = np.array([[measure(value, size) for size in batch_sizes] for value in values])
    for value, row in zip(values, seconds, strict=True):
        table.add_row(str(value), *map(milliseconds, row))
    powers = [np.polyfit(np.log(values), np.log(column), 1)[0] for column in seconds.T]
    table.add_section()
    table.add_row(f"power of {what}", *(f"{power:.2f}" for power in powers))
    return table


def milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.3g}" if seconds < 1 else f"{1000 * seconds:.0f}"


def make_cells(n_cells: int, batch_size: int) -> list[Cell]:
    """Cells of different learning rates that end when they are stopped."""
    rates = np.geomspace(1e-8, 1e-6, n_cells).tolist()
    return [
        Cell(n, Train(batch_size=batch_size, learning_rate=rate, l2=1e-3, epochs=10**6))
        for n, rate in enumerate(rates)
    ]


def epoch_seconds(dataset: Dataset, cells: Sequence[Cell]) -> float:
    """Median seconds of an epoch, of as many together as are validated together."""
    return statistics.median(cycles(dataset, cells, None, MEASURED_S))


def cycles(
    dataset: Dataset, cells: Sequence[Cell], threads: int | None, measured_s: float
) -> list[float]:
    """Seconds of an epoch, each the mean of ``MOST_EPOCHS``; the first are left out."""
    ends: list[float] = []
    for _ in data.epochs(dataset, cells, threads):
        ends.append(time.perf_counter())
        is_whole = len(ends) % MOST_EPOCHS == 0
        if is_whole and len(ends) >= MIN_EPOCHS and ends[-1] - ends[0] > measured_s:
            break
    return (np.diff(ends[MOST_EPOCHS - 1 :: MOST_EPOCHS]) / MOST_EPOCHS).tolist()
