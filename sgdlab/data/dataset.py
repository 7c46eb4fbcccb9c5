"""Four array files as one data set: checked against each other, split, fingerprinted."""

import hashlib
import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sgdlab.config import Data
from sgdlab.data.npy import NpyFile
from sgdlab.data.orders import Purpose, generator
from sgdlab.data.rows import RowSet, Transform, check_finite, column_statistics
from sgdlab.errors import DataError

PARTS = ("Xtr", "ytr", "Xte", "yte")


def array_paths(folder: Path, prefix: str) -> dict[str, Path]:
    """The four files of a data set, by the last part of their names."""
    return {part: folder / f"{prefix}{part}.npy" for part in PARTS}


def split_sizes(n_rows: int, fraction: float) -> tuple[int, int]:
    """Rows for training and for validation.

    ``floor(n_rows * (1 - fraction))`` train, computed from the decimal as it was written:
    in floating point int(4000 * (1 - 0.8)) is 799.
    """
    n_train = math.floor(n_rows * (1 - Fraction(repr(float(fraction)))))
    return n_train, n_rows - n_train


@dataclass(frozen=True)
class Shape:
    """What the headers of a data set say, which is all that a plan needs."""

    n_train: int
    n_validation: int
    n_test: int
    n_features: int


@dataclass
class Dataset:
    """The open files of a data set; rows are read when a :class:`RowSet` is asked for them.

    Attributes
    ----------
    max_train
        Of the rows to train, only so many of the first are used; None: all.
    """

    config: Data
    files: dict[str, NpyFile]
    max_train: int | None = None
    shape: Shape = field(init=False)

    def __post_init__(self) -> None:
        self._check_fit()
        n_train, n_validation = split_sizes(
            self.files["Xtr"].n_rows, self.config.validation.fraction
        )
        if not n_train or not n_validation:
            found = f"{n_train} rows to train and {n_validation} to validate"
            path = self.files["Xtr"].path
            raise DataError(f"{path}: {found}; expected some of each (data.validation.fraction)")
        if self.max_train is not None:
            n_train = min(n_train, self.max_train)
        n_test, n_features = self.files["Xte"].n_rows, self.files["Xtr"].n_features
        self.shape = Shape(n_train, n_validation, n_test, n_features)

    def limited_to(self, max_train: int) -> "Dataset":
        """The same files, with only the first rows to train; the others are not used at all."""
        return Dataset(self.config, self.files, max_train)

    def training(self, dtype: DTypeLike, order: NDArray[np.int64] | None = None) -> RowSet:
        """The training rows, in the order of the file or in the given order of positions."""
        numbers = self._split[0]
        numbers = numbers if order is None else numbers[order]
        return self._rows("Xtr", numbers, self._targets("ytr")[numbers], dtype)

    def validation(self, dtype: DTypeLike) -> RowSet:
        numbers = self._split[1]
        return self._rows("Xtr", numbers, self._targets("ytr")[numbers], dtype)

    def test(self, dtype: DTypeLike) -> RowSet:
        targets = self._targets("yte")
        return self._rows("Xte", np.arange(len(targets)), targets, dtype)

    @cached_property
    def transform(self) -> Transform:
        """What is done to X, with statistics of the training rows alone."""
        data = self.config
        if data.preprocess == "none":
            return Transform(data.divide_by)
        with_scale = data.preprocess == "standardize"
        statistics = column_statistics(
            self.files["Xtr"], self._split[0], data.divide_by, with_scale
        )
        return Transform(data.divide_by, *statistics)

    @cached_property
    def file_hashes(self) -> dict[str, str]:
        """sha256 of each file, by part."""
        return {part: file.sha256 for part, file in self.files.items()}

    @property
    def fingerprint(self) -> str:
        """sha256 of the four files' hashes."""
        return hashlib.sha256(
            "".join(self.file_hashes[part] for part in PARTS).encode()
        ).hexdigest()

    @cached_property
    def _split(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Row numbers of the training file that train and that validate, both ascending."""
        numbers = np.arange(self.files["Xtr"].n_rows)
        validation = self.config.validation
        if validation.take == "random":
            numbers = generator(validation.seed, Purpose.SPLIT).permutation(numbers)
        n_train, n_validation = self.shape.n_train, self.shape.n_validation
        return np.sort(numbers[:n_train]), np.sort(numbers[len(numbers) - n_validation :])

    def _rows(
        self, part: str, numbers: NDArray[np.int64], targets: NDArray[np.float64], dtype: DTypeLike
    ) -> RowSet:
        return RowSet(self.files[part], numbers, targets, self.transform, dtype)

    def _targets(self, part: str) -> NDArray[np.float64]:
        return read_targets(self.files[part])

    def _check_fit(self) -> None:
        for X_part, y_part in (("Xtr", "ytr"), ("Xte", "yte")):
            check_pair(self.files[X_part], self.files[y_part])
        train, test = self.files["Xtr"], self.files["Xte"]
        if train.n_features != test.n_features:
            found = f"shapes {train.shape} and {test.shape}"
            raise DataError(f"{train.path}, {test.path}: {found}; expected rows of equal size")


@contextmanager
def open_dataset(config: Data) -> Iterator[Dataset]:
    """Open the four files of a config and check that they fit together.

    Raises
    ------
    DataError
        If a file is missing, broken, or does not fit the others.
    """
    with ExitStack() as stack:
        paths = array_paths(Path(config.path), config.prefix)
        files = {part: stack.enter_context(NpyFile(path)) for part, path in paths.items()}
        yield Dataset(config, files)


def check_pair(X: NpyFile, y: NpyFile) -> None:
    """Raise DataError unless ``y`` is one number for each row of ``X``."""
    _check_column(y)
    if X.n_rows != y.n_rows:
        found = f"shapes {X.shape} and {y.shape}"
        raise DataError(f"{X.path}, {y.path}: {found}; expected equally many rows")


def read_targets(file: NpyFile) -> NDArray[np.float64]:
    """All targets of a file, float64, shape (n_rows,); finite."""
    _check_column(file)
    values = file.read_rows(slice(None))
    check_finite(file, values, np.arange(file.n_rows))
    return values[:, 0].astype(np.float64)


def _check_column(y: NpyFile) -> None:
    if len(y.shape) > 2 or y.n_features != 1:
        raise DataError(f"{y.path}: shape {y.shape}; expected one number for each row of X")
