"""Made-up rows and the plan's own blocks, small enough to be timed in a moment."""

import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from sgdlab.config.model import Data
from sgdlab.data.dataset import PARTS, Dataset, array_paths, open_dataset
from sgdlab.data.in_memory import MemoryArray
from sgdlab.data.npy import NpyFile
from sgdlab.data.row_array import RowArray, Rows
from sgdlab.data.rows import rows_in
from sgdlab.data.shape import Shape
from sgdlab.data.stand_in import is_stand_in, shape_if_missing
from sgdlab.errors import StorageError, reason
from sgdlab.planning.memory import MOST_EPOCHS
from sgdlab.planning.plan import Block, Stop, Trajectory
from sgdlab.system.files import ELSEWHERE, temporary_folder

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

    ``X`` are the training rows; None if they would be made up, in ``dtype``.
    """

    config: Data
    shape: Shape
    dtype: np.dtype[Any]
    X: RowArray | None

    @property
    def is_in_files(self) -> bool:
        """Whether the rows lie in files, or would."""
        return self.X is None or isinstance(self.X, NpyFile)

    @property
    def is_read_apart(self) -> bool:
        """Whether few rows that are read together are neighbours, even if all are held.

        From a file, many short reads take several times as long as copying the rows.
        """
        validation = self.config.validation
        return validation.folds is None and validation.take == "random"


def source_of(dataset: Dataset) -> Source:
    X = dataset.arrays["Xtr"]
    return Source(dataset.config, dataset.shape, X.dtype, X)


@contextmanager
def open_source(config: Data) -> Iterator[tuple[Source, bool]]:
    """The data that a run would see, and whether they are a stand-in, there or yet to be made."""
    shape = shape_if_missing(config)
    if shape is not None:
        yield Source(config, shape, np.dtype(np.float32), None), True
        return
    with open_dataset(config) as dataset:
        yield source_of(dataset), is_stand_in(dataset.arrays)


@contextmanager
def sample_dataset(source: Source, n_train: int, in_files: bool) -> Iterator[Dataset]:
    """About ``n_train`` random rows to train, split and stored as those of the source are.

    Parameters
    ----------
    in_files
        Whether they are written to temporary files: reading these is a part of what is measured.
    """
    whole = source.shape.n_train + source.shape.n_validation
    n_rows = max(2, source.shape.folds or 0, math.ceil(n_train * whole / source.shape.n_train))
    sizes = {part: n_rows if part in ("Xtr", "ytr") else TEST_ROWS for part in PARTS}
    divide_by = 1.0 if source.config.divide_by == 1 else 2.0
    config = source.config.without_files().model_copy(update={"divide_by": divide_by})
    arrays = {part: _made_up(part, source, n) for part, n in sizes.items()}
    if not in_files:
        yield Dataset(config, arrays)
        return
    with temporary_folder() as folder:
        for part, path in array_paths(folder, "").items():
            try:
                _write(path, arrays[part])
            except OSError as error:
                raise StorageError(path, reason(error), "a writable disk", ELSEWHERE) from None
        with open_dataset(config.model_copy(update={"path": str(folder)})) as dataset:
            yield dataset


class _Repeated(MemoryArray):
    """Some rows that come again and again, of which no more is held."""

    def __init__(self, name: str, rows: NDArray[Any], n_rows: int) -> None:
        super().__init__(name, rows)
        self._n_distinct = len(rows)
        self.shape = (n_rows, *rows.shape[1:])

    def read_rows(self, rows: Rows, out: NDArray[Any] | None = None) -> NDArray[Any]:
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(self.n_rows))
        return super().read_rows(rows % self._n_distinct, out)


def _made_up(part: str, source: Source, n_rows: int) -> MemoryArray:
    """Numbers from 0 to 1, or small whole ones; they repeat, which no kernel notices."""
    if part.startswith("y"):
        return MemoryArray(part, np.zeros(n_rows))  # so that no weights change, nothing diverges
    width = source.shape.n_features
    n_distinct = max(1, min(n_rows, REPEATED_BYTES // (8 * width)))
    numbers = np.random.default_rng(0).random((n_distinct, width))
    if source.dtype.kind != "f":
        numbers = np.rint(numbers)
    rows = numbers.astype(source.dtype, order="F" if source.shape.is_fortran else "C")
    return _Repeated(part, rows, n_rows)


def _write(path: Path, array: MemoryArray) -> None:
    if array.is_fortran:
        np.save(path, np.asfortranarray(array.read_rows(slice(None)).reshape(array.shape)))
        return
    header = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape}
    step = rows_in(REPEATED_BYTES, array.n_features)
    with open(path, "wb") as stream:
        npy_format.write_array_header_1_0(stream, header)
        for start in range(0, array.n_rows, step):
            stream.write(array.read_rows(slice(start, start + step)).tobytes())


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
                _sample_trajectory(trajectory, next(numbers))
                for trajectory in block.trajectories[::step]
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
