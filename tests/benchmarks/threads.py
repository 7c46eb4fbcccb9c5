"""What a second thread is worth, on small and on large shapes."""

import itertools
import statistics
import time
from collections.abc import Iterator

import numpy as np
from rich.console import RenderableType

from sgdlab.data.dataset import Dataset
from sgdlab.report.layout import new_table
from tests.benchmarks import data
from tests.benchmarks.growth import make_cells, milliseconds
from tests.benchmarks.stopwatch import Stopwatch

THREADS = (1, 2)
SHAPES = ((800, 256), (3200, 2304))  # rows and features
CELLS = (1, 64)
BATCH_SIZES = (16, 160)
MEASURED_S, MIN_EPOCHS = 0.3, 8


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
    found: dict[int, list[float]] = {threads: [] for threads in THREADS}
    for _ in range(stopwatch.runs):
        for threads in THREADS:
            found[threads] += stopwatch.undisturbed(
                lambda threads=threads: epoch_seconds(numbers, n_cells, batch_size, threads)
            )
    return [statistics.median(each) for each in found.values()]


def epoch_seconds(numbers: Dataset, n_cells: int, batch_size: int, threads: int) -> list[float]:
    """Of every epoch but the first."""
    ends: list[float] = []
    for _ in data.epochs(numbers, make_cells(n_cells, batch_size), threads):
        ends.append(time.perf_counter())
        if len(ends) > MIN_EPOCHS and ends[-1] - ends[0] > MEASURED_S:
            break
    return np.diff(ends).tolist()
