"""What float32 costs in accuracy, and saves in time, on the homework's grid."""

from collections.abc import Iterator
from functools import partial

import numpy as np
from rich.console import RenderableType

from sgdlab.data.dataset import Dataset
from sgdlab.report.layout import new_table
from tests.benchmarks import data
from tests.benchmarks.shown import ratio_table
from tests.benchmarks.stopwatch import Stopwatch

DTYPES = ("float64", "float32")
LOSSES = ("running_loss", "train_loss", "validation_loss", "validation_mae")
TOPS = (1, 10, 256)


def tables(dataset: Dataset, stopwatch: Stopwatch) -> Iterator[RenderableType]:
    cells = {dtype: data.homework_cells(dtype) for dtype in DTYPES}
    double, single = (data.outcomes(dataset, cells[dtype]) for dtype in DTYPES)
    seconds = stopwatch.medians(
        {f"sgdlab, {each}": partial(data.outcomes, dataset, cells[each]) for each in DTYPES}
    )
    yield differences_table(double, single)
    yield ""
    yield ranks_table(double, single)
    yield ""
    yield ratio_table(
        {"float64 / float32": seconds["sgdlab, float64"] / seconds["sgdlab, float32"]}
    )


def differences_table(double, single) -> RenderableType:
    """Over the cells that diverge in neither precision."""
    kept = [
        index
        for index, outcome in double.items()
        if outcome.status == single[index].status == "completed"
    ]
    table = new_table(
        f"float32 beside float64, {len(kept)} cells", "largest relative difference", "median"
    )
    for name in LOSSES:
        distances = [
            abs(getattr(single[index], name) / getattr(double[index], name) - 1) for index in kept
        ]
        table.add_row(name, f"{max(distances):.1e}", f"{np.median(distances):.1e}")
    distances = [
        np.linalg.norm(single[index].weights - double[index].weights)
        / np.linalg.norm(double[index].weights)
        for index in kept
    ]
    table.add_row("weights, norm", f"{max(distances):.1e}", f"{np.median(distances):.1e}")
    return table


def ranks_table(double, single) -> RenderableType:
    """How many of the best cells by validation loss stand in the same place."""
    ranked = [
        sorted(each, key=lambda index: (each[index].validation_loss, index))
        for each in (double, single)
    ]
    table = new_table("best cells by validation loss", "in the same place", "the same cells")
    for n in TOPS:
        tops = [order[:n] for order in ranked]
        same = sum(a == b for a, b in zip(*tops, strict=True))
        table.add_row(str(n), str(same), str(len(set(tops[0]) & set(tops[1]))))
    return table
