"""Any rows with their targets, of a folder that need not hold a whole data set."""

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sgdlab.data.dataset import PAIRS, array_paths, check_folder, check_pair, read_targets
from sgdlab.data.in_memory import in_memory
from sgdlab.data.npy import NpyFile
from sgdlab.data.row_array import RowArray
from sgdlab.data.row_shape import flatten_alike, in_words, remark_on_shapes
from sgdlab.data.rows import RowSet
from sgdlab.data.transform import Transform
from sgdlab.errors import DataError


@contextmanager
def open_pairs(folder: Path, prefix: str) -> Iterator[dict[str, NpyFile]]:
    """The pairs of X and y that are there, by part; of each pair both.

    Raises
    ------
    DataError
        If there is none, or a file is missing or broken.
    UsageError
        If the prefix leads to another folder.
    """
    paths = array_paths(folder, prefix)
    check_folder(folder)
    pairs = [pair for pair in PAIRS if any(os.path.lexists(paths[part]) for part in pair)]
    if not pairs:
        names = ", ".join(path.name for path in paths.values())
        raise DataError(folder, "no arrays", f"a pair of {names}", "see `prefix`")
    for X_part, y_part in pairs:
        if not os.path.lexists(paths[y_part]):
            found = f"no labels: {paths[y_part].name} is not beside it"
            raise DataError(paths[X_part], found, "a target for every row")
    with ExitStack() as stack:
        parts = [part for pair in pairs for part in pair]
        yield {part: stack.enter_context(NpyFile(paths[part])) for part in parts}


def pairs_in_memory(arrays: Mapping[str, NDArray[Any]]) -> dict[str, RowArray]:
    """The same of arrays in memory.

    Raises
    ------
    DataError
        If there is none, one of a pair is missing, or one is no array of rows.
    """
    pairs = [pair for pair in PAIRS if any(part in arrays for part in pair)]
    return in_memory(arrays, [part for pair in pairs or PAIRS for part in pair])


def rows_of_pairs(
    arrays: Mapping[str, RowArray],
    transform: Transform,
    dtype: DTypeLike,
    row_shape: tuple[int, ...],
) -> dict[str, RowSet]:
    """All rows of each pair, by the name of X, of a file without its folder.

    Parameters
    ----------
    row_shape
        Of the rows that the weights were trained on.

    Raises
    ------
    DataError
        If X and y do not fit, or a row of X has not as many values, or another shape.
    """
    n_features = math.prod(row_shape)
    named = {}
    for X_part, y_part in PAIRS:
        if X_part in arrays:
            X, y = arrays[X_part], arrays[y_part]
            check_pair(X, y)
            if X.n_features != n_features:
                found = f"{X.n_features} values a row"
                raise X.error(found, f"the {n_features} that the weights have")
            if not flatten_alike(X.row_shape, row_shape):
                found = f"{in_words(X.row_shape)} values a row"
                expected = f"{in_words(row_shape)}, as the weights were trained on"
                raise X.error(found, expected, "transpose them")
            targets = read_targets(y, dtype)
            named[Path(X.name).name] = RowSet(X, np.arange(X.n_rows), targets, transform)
    return named


def remarks_on_pairs(arrays: Mapping[str, RowArray], row_shape: tuple[int, ...]) -> list[str]:
    """Sentences on arrays whose rows are flat where the weights' were not, or the other way."""
    remarks = []
    for part in ("Xtr", "Xte"):
        if part in arrays:
            name, shape = Path(arrays[part].name).name, arrays[part].row_shape
            remarks += remark_on_shapes(name, shape, "the run's Xtr", row_shape)
    return remarks
