"""Four arrays as one data set: checked against each other, split, fingerprinted."""

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sgdlab.config.model import Data
from sgdlab.data.folds import Fold, assign_folds
from sgdlab.data.in_memory import in_memory
from sgdlab.data.npy import NpyFile
from sgdlab.data.row_array import RowArray
from sgdlab.data.row_shape import flatten_alike, remark_on_shapes
from sgdlab.data.rows import RowSet
from sgdlab.data.shape import Shape, shape_of
from sgdlab.data.statistics import Statistics, column_statistics
from sgdlab.data.transform import Transform, check_finite
from sgdlab.errors import DataError, UsageError, reason
from sgdlab.random_streams import Purpose, generator

PARTS = ("Xtr", "ytr", "Xte", "yte")
PAIRS = (("Xtr", "ytr"), ("Xte", "yte"))


def array_paths(folder: Path, prefix: str) -> dict[str, Path]:
    """The four files of a data set, by the last part of their names.

    Raises
    ------
    UsageError
        If the prefix leads to another folder.
    """
    names = {part: f"{prefix}{part}.npy" for part in PARTS}
    if any(Path(name).name != name for name in names.values()):
        found = f"leads to another folder than {folder}"
        raise UsageError(f"prefix {prefix!r}", found, "the start of file names")
    return {part: folder / name for part, name in names.items()}


def check_folder(folder: Path) -> None:
    """Raise DataError if this is no folder to look for arrays in."""
    try:
        found = "" if stat.S_ISDIR(os.stat(folder).st_mode) else "not a folder"
    except (OSError, ValueError) as error:
        found = reason(error)
    if found:
        raise DataError(folder, found, "a folder of arrays")


def array_files(folder: Path) -> list[str]:
    """The names of all .npy files of a folder; none of one that is absent.

    Raises
    ------
    DataError
        If it is no folder, or cannot be listed.
    """
    try:
        return sorted(name for name in os.listdir(folder) if name.endswith(".npy"))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DataError(folder, reason(error), "a folder of arrays") from None


@dataclass
class Dataset:
    """The open arrays of a data set; rows are read when a :class:`RowSet` is asked for them.

    Attributes
    ----------
    max_train
        Of the rows to train, only so many of the first are used; None: all.
    """

    config: Data
    arrays: Mapping[str, RowArray]
    max_train: int | None = None
    shape: Shape = field(init=False)

    def __post_init__(self) -> None:
        self._check_fit()
        train, n_test = self.arrays["Xtr"], self.arrays["Xte"].n_rows
        kind = (train.dtype.itemsize, train.is_fortran)
        self.shape = shape_of(train.n_rows, n_test, train.n_features, self.config, *kind)
        self._check_split()
        if self.max_train is not None:
            self.shape = replace(self.shape, n_train=min(self.shape.n_train, self.max_train))

    def limited_to(self, max_train: int) -> "Dataset":
        """The same arrays, with only the first rows to train; the others are not used at all."""
        return Dataset(self.config, self.arrays, max_train)

    def training(self, dtype: DTypeLike, order: NDArray[np.int64] | None = None) -> RowSet:
        """The training rows, in the order of the file or in the given order of positions.

        With folds these are all rows.
        """
        numbers = self._split[0]
        numbers = numbers if order is None else numbers[order]
        return self._rows("Xtr", numbers, read_targets(self.arrays["ytr"], dtype)[numbers])

    def validation(self, dtype: DTypeLike) -> RowSet:
        numbers = self._split[1]
        return self._rows("Xtr", numbers, read_targets(self.arrays["ytr"], dtype)[numbers])

    def pooled(self, dtype: DTypeLike, order: NDArray[np.int64] | None = None) -> RowSet:
        """All rows before any fold's statistics, divided alone; see :attr:`folds`.

        Rows of which these are still to be subtracted are in float64, whatever the dtype.
        """
        numbers = self._split[0] if order is None else self._split[0][order]
        targets = read_targets(self.arrays["ytr"], dtype)[numbers]
        divided = Transform(self.config.divide_by)
        rows_dtype = np.float64 if self.shape.has_means else dtype
        return RowSet(self.arrays["Xtr"], numbers, targets, divided, rows_dtype)

    def test(self, dtype: DTypeLike) -> RowSet:
        targets = read_targets(self.arrays["yte"], dtype)
        return self._rows("Xte", np.arange(len(targets)), targets)

    @cached_property
    def transform(self) -> Transform:
        """What is done to X, with statistics of the training rows alone."""
        [statistics] = self._statistics(None) or [Statistics()]
        return Transform(self.config.divide_by, *statistics)

    @cached_property
    def held_out(self) -> NDArray[np.int64]:
        """For every row of the training file the fold that holds it out, shape (n_rows,)."""
        assert self.shape.folds is not None
        return assign_folds(self.shape.n_train, self.shape.folds, self.config.validation)

    @cached_property
    def folds(self) -> tuple[Fold, ...]:
        """Each with the statistics of its own training rows; the file is read once for all."""
        n_folds = self.shape.folds or 0
        statistics = self._statistics(self.held_out) or [Statistics()] * n_folds
        return tuple(
            Fold(self.arrays["Xtr"], self.held_out, number, Transform(1.0, *of_fold))
            for number, of_fold in enumerate(statistics)
        )

    @cached_property
    def file_hashes(self) -> dict[str, str]:
        """sha256 of every file, by part."""
        return {part: array.sha256 for part, array in self.arrays.items()}

    @property
    def remarks(self) -> list[str]:
        """Sentences on what looks like a mistake, and need not be one."""
        train, test = self.arrays["Xtr"], self.arrays["Xte"]
        return remark_on_shapes("Xtr", train.row_shape, "Xte", test.row_shape)

    @property
    def fingerprint(self) -> str:
        """sha256 of the four files' hashes."""
        return fingerprint_of(self.arrays)

    def check_unchanged(self) -> None:
        """Raise DataError if one of the files was changed since it was opened.

        Whatever is stored under the fingerprint is computed before, and stored afterwards.
        """
        for array in self.arrays.values():
            array.check_unchanged()

    @cached_property
    def _split(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Row numbers of the training file that train and that validate, both ascending."""
        numbers = np.arange(self.arrays["Xtr"].n_rows)
        validation = self.config.validation
        if validation.take == "random":
            numbers = generator(validation.seed, Purpose.SPLIT).permutation(numbers)
        n_train, n_validation = self.shape.n_train, self.shape.n_validation
        return np.sort(numbers[:n_train]), np.sort(numbers[len(numbers) - n_validation :])

    def _statistics(self, held_out: NDArray[np.int64] | None) -> Sequence[Statistics]:
        """What the config wants to know of the columns of the training rows, or of each fold's."""
        data = self.config
        if data.preprocess == "none":
            return []
        with_scale = data.preprocess == "standardize"
        file, numbers = self.arrays["Xtr"], self._split[0]
        return column_statistics(file, numbers, data.divide_by, with_scale, held_out)

    def _rows(self, part: str, numbers: NDArray[np.int64], targets: NDArray[Any]) -> RowSet:
        return RowSet(self.arrays[part], numbers, targets, self.transform)

    def _check_split(self) -> None:
        shape, train = self.shape, self.arrays["Xtr"]
        if shape.folds is not None:
            if shape.folds > shape.n_train:
                found = f"{shape.n_train} rows for {shape.folds} folds"
                raise train.error(found, "a row for each", "data.validation.folds")
        elif not shape.n_train or not shape.n_validation:
            found = f"{shape.n_train} rows to train and {shape.n_validation} to validate"
            raise train.error(found, "some of each", "data.validation.fraction")

    def _check_fit(self) -> None:
        for X_part, y_part in PAIRS:
            check_pair(self.arrays[X_part], self.arrays[y_part])
        train, test = self.arrays["Xtr"], self.arrays["Xte"]
        if train.n_features != test.n_features:
            found = f"shapes {train.shape} and {test.shape}"
            raise DataError(f"{train.name}, {test.name}", found, "rows of equal size")
        if not flatten_alike(train.row_shape, test.row_shape):
            found = f"shapes {train.shape} and {test.shape}"
            hint = "transpose one of them"
            raise DataError(f"{train.name}, {test.name}", found, "rows of equal shape", hint)


@contextmanager
def open_dataset(
    config: Data, arrays: Mapping[str, NDArray[Any]] | None = None
) -> Iterator[Dataset]:
    """Open the four files of a config, or take arrays in their place; check that they fit together.

    Parameters
    ----------
    arrays
        In memory, by part.

    Raises
    ------
    DataError
        If an array is missing, broken, or does not fit the others.
    UsageError
        If the prefix leads to another folder.
    """
    if arrays is not None:
        yield Dataset(config, in_memory(arrays, PARTS))
        return
    with ExitStack() as stack:
        paths = array_paths(config.folder, config.prefix)
        check_folder(config.folder)
        files = {part: stack.enter_context(NpyFile(path)) for part, path in paths.items()}
        yield Dataset(config, files)


def fingerprint_of(arrays: Mapping[str, RowArray]) -> str:
    """sha256 of the hashes of all four arrays of a data set."""
    return hashlib.sha256("".join(arrays[part].sha256 for part in PARTS).encode()).hexdigest()


def check_pair(X: RowArray, y: RowArray) -> None:
    """Raise DataError unless ``y`` is one number for each row of ``X``."""
    _check_column(y)
    if X.n_rows != y.n_rows:
        found = f"shapes {X.shape} and {y.shape}"
        raise DataError(f"{X.name}, {y.name}", found, "equally many rows")


def read_targets(file: RowArray, dtype: DTypeLike = np.float64) -> NDArray[Any]:
    """All targets of a file, shape (n_rows,); finite, in ``dtype`` too."""
    _check_column(file)
    values = file.read_rows(slice(None))
    check_finite(file, values, slice(0, file.n_rows))
    with np.errstate(over="ignore"):
        targets = values[:, 0].astype(np.float64).astype(dtype)
    if not np.isfinite(targets).all():
        row = int(np.argmin(np.isfinite(targets)))
        found = f"{values[row, 0]} at row {row} (from 0), out of the range of {targets.dtype}"
        raise file.error(found, "moderate numbers", "see train.precision")
    return targets


def _check_column(y: RowArray) -> None:
    if len(y.shape) > 2 or y.n_features != 1:
        raise y.error(f"shape {y.shape}", "one number for each row of X")
