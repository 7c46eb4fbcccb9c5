"""The homework's grid: 256 models, in sgdlab and in other programs.

The script and PyTorch train one model at a time and take minutes, and their time depends on neither
learning rate nor L2; one pair of them in sixteen is run, and the time is multiplied by sixteen.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import torch
from rich.console import RenderableType
from threadpoolctl import threadpool_limits

from sgdlab.data.dataset import Dataset
from sgdlab.report.layout import new_table
from tests.benchmarks import data, homework, jax_program, torch_program
from tests.benchmarks.shown import ratio_table, seconds_cells, versions
from tests.benchmarks.stopwatch import Stopwatch

DTYPES = ("float64", "float32")
WRONG = "wrong"
SAMPLE = (3e-5, 1e-5)  # learning rate and L2
SHARE = 16
SCRIPT, PYTORCH = "script", "PyTorch, one model at a time"
JAX, ENGINE, PRODUCTS = "JAX, the fastest program", "sgdlab", "bare products"
TOLERANCES = {"float64": 1e-9, "float32": 1e-4}  # of losses, relative


def tables(dataset: Dataset, stopwatch: Stopwatch) -> Iterator[RenderableType]:
    judges = {dtype: _Judge(dataset, dtype) for dtype in DTYPES}
    programs = {
        f"{name}, {dtype}": program
        for dtype, judge in judges.items()
        for name, program in _programs(dataset, dtype, judge).items()
    }
    medians = stopwatch.medians(programs)
    by_dtype = {
        dtype: {
            name.removesuffix(f", {dtype}"): each
            for name, each in medians.items()
            if name.endswith(dtype)
        }
        for dtype in DTYPES
    }
    shown = {dtype: _seconds(by_dtype[dtype], judges[dtype]) for dtype in DTYPES}
    yield _seconds_table(shown)
    yield ""
    yield ratio_table(_ratios(shown))
    yield ""
    yield _layouts_table(by_dtype, judges)
    yield f"{WRONG}: in some run not the losses of sgdlab; does not count"
    yield ""
    yield versions("jax", "torch")


def _programs(dataset, dtype, judge) -> dict[str, Callable]:
    """By name; JAX has compiled its own."""
    arrays = data.arrays(dataset, dtype)
    tensors = [torch.from_numpy(each) for each in arrays]
    found: dict[str, Callable] = {}
    for threads in (1, 2):
        found[f"{SCRIPT}, {threads} threads"] = partial(script, arrays, threads)
        found[f"{PYTORCH}, {threads} threads"] = partial(pytorch, tensors, threads, judge)
    for name, program in jax_program.programs(*arrays).items():
        found[name] = partial(judge, name, program)
        found[name]()
    found[ENGINE] = partial(data.outcomes, dataset, data.homework_cells(dtype))
    found[PRODUCTS] = partial(bare_products, arrays[0])
    return found


def _seconds(medians: dict[str, float], judge: "_Judge") -> dict[str, float]:
    """Of the whole grid, by what the table shows."""
    jax_seconds = [medians[name] for name in judge.distances if judge.is_right(name)]
    if not jax_seconds:
        raise AssertionError("no JAX program finds the losses of sgdlab")
    return {
        SCRIPT: SHARE * min(medians[f"{SCRIPT}, {threads} threads"] for threads in (1, 2)),
        PYTORCH: SHARE * min(medians[f"{PYTORCH}, {threads} threads"] for threads in (1, 2)),
        JAX: min(jax_seconds),
        ENGINE: medians[ENGINE],
        PRODUCTS: medians[PRODUCTS],
    }


def _seconds_table(shown: dict[str, dict[str, float]]) -> RenderableType:
    table = new_table("seconds", *DTYPES)
    for name in shown[DTYPES[0]]:
        table.add_row(name, *seconds_cells(each[name] for each in shown.values()))
    return table


def _ratios(shown: dict[str, dict[str, float]]) -> dict[str, float]:
    pairs = {
        f"{name} / {ENGINE}, {dtype}": each[name] / each[ENGINE]
        for name in (SCRIPT, PYTORCH, JAX)
        for dtype, each in shown.items()
    }
    double, single = (shown[dtype] for dtype in DTYPES)
    return pairs | {
        f"{SCRIPT}, float32 / {ENGINE}, float64": single[SCRIPT] / double[ENGINE],
        f"{ENGINE}, float64 / float32": double[ENGINE] / single[ENGINE],
        f"{ENGINE} / {PRODUCTS}, float64": double[ENGINE] / double[PRODUCTS],
        f"{ENGINE} / {PRODUCTS}, float32": single[ENGINE] / single[PRODUCTS],
    }


def _layouts_table(medians, judges) -> RenderableType:
    """All JAX programs; one that was ever wrong does not count."""
    table = new_table("seconds of the JAX programs", *DTYPES)
    for name in judges[DTYPES[0]].distances:
        cells = [
            f"{medians[dtype][name]:.2f}" if judge.is_right(name) else WRONG
            for dtype, judge in judges.items()
        ]
        table.add_row(name, *cells)
    return table


class _Judge:
    """The engine's losses, and how far each JAX program's were from them in its worst run."""

    def __init__(self, dataset: Dataset, dtype: str) -> None:
        self.distances: dict[str, float] = {}
        self._tolerance = TOLERANCES[dtype]
        self._losses: dict[int, np.ndarray] = {}
        cells = data.homework_cells(dtype)
        histories = data.outcomes(dataset, cells)
        for size in homework.BATCH_SIZES:
            longest = [
                each.index
                for each in cells
                if (each.train.batch_size, each.train.epochs) == (size, max(homework.EPOCHS))
            ]
            columns = [histories[index].validation_history for index in longest]
            self._losses[size] = np.stack(columns, axis=1)

    def __call__(self, name: str, program: jax_program.Program) -> None:
        found = program()
        distance = max(
            float(np.max(np.abs(found[size] / losses - 1))) for size, losses in self._losses.items()
        )
        self.distances[name] = max(distance, self.distances.get(name, 0.0))

    def check(self, batch_size: int, losses: Sequence[float]) -> None:
        """The losses of the sample's model of a batch size."""
        expected = self._losses[batch_size][
            :,
            homework.LEARNING_RATES.index(SAMPLE[0]) * len(homework.L2)
            + homework.L2.index(SAMPLE[1]),
        ]
        np.testing.assert_allclose(losses, expected, rtol=self._tolerance)

    def is_right(self, name: str) -> bool:
        return self.distances[name] <= self._tolerance


def script(arrays, threads: int) -> None:
    """A sample of the homework's script. Its weights are float64, whatever its arrays are."""
    X, y, X_validation, y_validation = arrays
    grid = [each for each in homework.GRID if each[2:] == SAMPLE]
    with threadpool_limits(threads, user_api="blas"):
        homework.grid_search(X, y.astype(float), X_validation, y_validation.astype(float), grid)


def pytorch(tensors, threads: int, judge: _Judge) -> None:
    """A sample of the grid, whose losses have to be sgdlab's."""
    torch.set_num_threads(threads)
    for size in homework.BATCH_SIZES:
        judge.check(size, torch_program.losses(*tensors, size, *SAMPLE, max(homework.EPOCHS)))


def bare_products(X) -> None:
    """As many products as the training needs: 64 models, tiles of 160 rows, 64 epochs."""
    V = np.zeros((64, X.shape[1]), X.dtype)
    P, G = np.empty((64, 160), X.dtype), np.empty_like(V)
    for _ in range(max(homework.EPOCHS)):
        for first in range(0, len(X), 160):
            tile = X[first : first + 160]
            np.matmul(V, tile.T, out=P)
            np.matmul(P, tile, out=G)
