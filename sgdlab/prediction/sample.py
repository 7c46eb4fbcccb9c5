"""Made-up rows and the plan's own blocks, small enough to be timed in a moment."""

import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.lib import format as npy_format

from sgdlab.config import Data
from sgdlab.data.dataset import Dataset, Shape, array_paths, open_dataset
from sgdlab.data.npy import NpyFile
from sgdlab.data.stand_in import is_stand_in, shape_if_missing
from sgdlab.memory import MOST_EPOCHS
from sgdlab.plan import Block, Stop, Trajectory

EPOCHS = 10 * MOST_EPOCHS  # at most, of a sample
EPOCHS_OF_A_STOP = 2 * MOST_EPOCHS  # a validation without a stop comes between two with one
LARGEST_WEIGHTS_BYTES = 32 * 2**20  # of more trajectories, evenly spread ones stand for all
REPEATED_BYTES = 2**20  # of random rows, of which a sample is made
TEST_ROWS = 100
MOST_FOLDS = 4
LARGEST_LEARNING_RATE = 1e6  # of a larger one float32 makes infinities
LARGEST_DECAY = 1.5  # of a step: a stronger one takes as long, but makes scales infinite


@dataclass(frozen=True)
class Source:
    """The data of a plan, of which no value needs to be there.

    ``X`` is the file of the training rows; None if it would be made up, in ``dtype``.
    """

    config: Data
    shape: Shape
    dtype: np.dtype[Any]
    X: NpyFile | None


def source_of(dataset: Dataset) -> Source:
    X = dataset.files["Xtr"]
    return Source(dataset.config, dataset.shape, X.dtype, X)


@contextmanager
def open_source(config: Data) -> Iterator[tuple[Source, bool]]:
    """The data that a run would see, and whether they are a stand-in, there or yet to be made."""
    shape = shape_if_missing(config)
    if shape is not None:
        yield Source(config, shape, np.dtype(np.float32), None), True
        return
    with open_dataset(config) as dataset:
        yield source_of(dataset), is_stand_in(dataset.files)


@contextmanager
def sample_dataset(source: Source, n_train: int) -> Iterator[Dataset]:
    """About ``n_train`` random rows to train, split and stored as those of the source are."""
    whole = source.shape.n_train + source.shape.n_validation
    n_rows = max(2, source.shape.folds or 0, math.ceil(n_train * whole / source.shape.n_train))
    with TemporaryDirectory(prefix="sgdlab-") as name:
        for part, path in array_paths(Path(name), "").items():
            n = n_rows if part in ("Xtr", "ytr") else TEST_ROWS
            if part.startswith("X"):
                _write_rows(path, source, n)
            else:
                np.save(path, np.zeros(n))  # so that no weights change, and nothing diverges
        divide_by = 1.0 if source.config.divide_by == 1 else 2.0
        changed = {"path": name, "prefix": "", "divide_by": divide_by}
        with open_dataset(source.config.model_copy(update=changed)) as dataset:
            yield dataset


def _write_rows(path: Path, source: Source, n_rows: int) -> None:
    """Numbers from 0 to 1, or small whole ones; they repeat, which no kernel notices."""
    width = source.shape.n_features
    n_distinct = max(1, min(n_rows, REPEATED_BYTES // (8 * width)))
    numbers = np.random.default_rng(0).random((n_distinct, width))
    if source.dtype.kind != "f":
        numbers = np.rint(numbers)
    rows = numbers.astype(source.dtype)
    if source.shape.is_fortran:
        np.save(path, np.asfortranarray(np.resize(rows, (n_rows, width))))
        return
    header = {"descr": rows.dtype.str, "fortran_order": False, "shape": (n_rows, width)}
    with open(path, "wb") as stream:
        npy_format.write_array_header_1_0(stream, header)
        for start in range(0, n_rows, n_distinct):
            stream.write(rows[: n_rows - start].tobytes())


@dataclass(frozen=True)
class SampleBlocks:
    """Blocks with the shapes of given ones; ``share`` of their trajectories are there."""

    blocks: tuple[Block, ...]
    share: float


def sample_blocks(blocks: Sequence[Block], n_features: int) -> SampleBlocks:
    """The same kernels on the same stacks; weights start at zero.

    Of many folds a few stand for all.
    """
    n_trajectories = sum(len(block.trajectories) for block in blocks)
    step = math.ceil(n_trajectories * n_features * 8 / LARGEST_WEIGHTS_BYTES)
    numbers = itertools.count()
    folds = sorted({block.fold for block in blocks if block.fold is not None})[:MOST_FOLDS]
    thinned = tuple(
        replace(
            block,
            trajectories=tuple(
                _sample_trajectory(each, next(numbers)) for each in block.trajectories[::step]
            ),
        )
        for block in blocks
        if block.fold is None or block.fold in folds
    )
    return SampleBlocks(thinned, next(numbers) / n_trajectories)


def _sample_trajectory(trajectory: Trajectory, number: int) -> Trajectory:
    train = trajectory.train
    learning_rate = min(train.learning_rate, LARGEST_LEARNING_RATE)
    decay = learning_rate * (train.l2 + train.weight_decay)  # chooses how steps are computed
    factor = min(1.0, LARGEST_DECAY / decay) if decay else 1.0
    changed = {
        "learning_rate": learning_rate,
        "l2": train.l2 * factor,
        "weight_decay": train.weight_decay * factor,
        "initial_scale": 0.0,
        "initial_bias": 0.0,
        "epochs": EPOCHS,
        "replicates": 1,
    }
    ends = range(EPOCHS_OF_A_STOP, EPOCHS + 1, EPOCHS_OF_A_STOP)
    stops = tuple(Stop(epoch, number) for epoch in ends)
    return replace(trajectory, train=train.model_copy(update=changed), stops=stops)


def largest_batch(blocks: Sequence[Block]) -> int:
    return max(size for block in blocks for size in block.batch_sizes)
