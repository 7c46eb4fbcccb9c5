"""The arrays that the benchmarks train on, and the engine on them."""

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from sgdlab.config.grid import Cell, expand
from sgdlab.config.model import Data, Run
from sgdlab.config.reading import load_config
from sgdlab.data.dataset import Dataset, open_dataset
from sgdlab.data.stand_in import synthesize
from sgdlab.engine.passes import EpochRecord, run_pass
from sgdlab.engine.running_block import Outcome
from sgdlab.planning.making import make_plan
from sgdlab.planning.memory import assign_memory
from sgdlab.system.machine import n_processors
from sgdlab.words.orders import ShuffleOnce

CONFIG = Path(__file__).parents[2] / "configs" / "age.yaml"


@contextlib.contextmanager
def stand_in() -> Iterator[Dataset]:
    """The homework's arrays: 3200 rows to train, 800 to validate, 2304 columns."""
    with tempfile.TemporaryDirectory() as folder:
        synthesize(Path(folder), "age_regression_")
        with open_dataset(Data(path=folder, prefix="age_regression_")) as dataset:
            yield dataset


@contextlib.contextmanager
def random_numbers(n_train: int, n_features: int) -> Iterator[Dataset]:
    """Uniform random float32 arrays; a quarter as many rows to validate as to train."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        for part, n_rows in {"tr": n_train * 5 // 4, "te": 1}.items():
            X = rng.random((n_rows, n_features), np.float32)
            np.save(Path(folder, f"X{part}.npy"), X)
            np.save(Path(folder, f"y{part}.npy"), rng.random(n_rows))
        with open_dataset(Data(path=folder)) as dataset:
            yield dataset


def homework_cells(precision: str) -> Sequence[Cell]:
    """The 256 cells of configs/age.yaml."""
    return expand(load_config(CONFIG, [f"train.precision={precision}"])).cells


def arrays(dataset: Dataset, dtype: str):
    """X and y to train, shuffled as the homework's cells see them; X and y to validate."""
    order = ShuffleOnce().positions(dataset.shape.n_train, 0)
    sets = dataset.training(dtype, order), dataset.validation(dtype)
    return tuple(part for each in sets for part in next(each.chunks(each.n_rows)))


def epochs(
    dataset: Dataset, cells: Sequence[Cell], threads: int | None = None
) -> Iterator[EpochRecord]:
    """The engine at work on some cells, epoch by epoch; the files are read first."""
    threads = threads or n_processors()
    passes = make_plan(cells, dataset.shape, Run(), threads).passes
    for work in assign_memory(passes, dataset.shape, Run(memory_budget=2**62)):
        yield from run_pass(work, dataset, threads)


def outcomes(
    dataset: Dataset, cells: Sequence[Cell], threads: int | None = None
) -> dict[int, Outcome]:
    """What the engine makes of each cell, by its index."""
    records = epochs(dataset, cells, threads)
    found = {outcome.cell: outcome for record in records for outcome in record.outcomes}
    assert len(found) == len(cells)
    return found
