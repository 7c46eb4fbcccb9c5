"""What a second thread is worth, on small and on large shapes."""

import itertools
import statistics
from collections.abc import Iterator

from rich.console import RenderableType

from sgdlab.data.dataset import Dataset
from sgdlab.report.layout import new_table
from tests.benchmarks import data
from tests.benchmarks.growth import cycles, make_cells, milliseconds
from tests.benchmarks.stopwatch import Stopwatch

THREADS = (1, 2)
SHAPES = ((800, 256), (3200, 2304))  # rows and features
CELLS = (1, 64)
BATCH_SIZES = (16, 160)
MEASURED_S = 0.3


def tables(dataset: Dataset, stopwatch: Stopwatch) -> Iterator[RenderableType]:
    table = new_table(
        "rows",
        "features",
        "cells",
        "batch size",
        "ms an epoch,\n1 thread",
        "\n2 threads",
        "\nratio",
    )
    for n_rows, n_features in SHAPES:
        with data.random_numbers(n_rows, n_features) as numbers:
            for n_cells, batch_size in itertools.product(CELLS, BATCH_SIZES):
                seconds = in_turn(numbers, n_cells, batch_size, stopwatch)
                row = (n_rows, n_features, n_cells, batch_size)
                ratio = f"{seconds[0] / seconds[1]:.2f}"
                table.add_row(*map(str, row), *map(milliseconds, seconds), ratio)
    yield table


def in_turn(numbers: Dataset, n_cells: int, batch_size: int, stopwatch: Stopwatch) -> list[float]:
    """Median seconds of an epoch with each number of threads."""
    cells = make_cells(n_cells, batch_size)
    found: dict[int, list[float]] = {threads: [] for threads in THREADS}
    for _ in range(stopwatch.runs):
        for threads in THREADS:
            found[threads] += stopwatch.undisturbed(
                lambda threads=threads: cycles(numbers, cells, threads, MEASURED_S)
            )
    return [statistics.median(each) for each in found.values()]
