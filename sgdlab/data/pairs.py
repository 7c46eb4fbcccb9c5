"""Any rows with their targets, of a folder that need not hold a whole data set."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from sgdlab.data.dataset import PAIRS, array_paths, check_pair, read_targets
from sgdlab.data.npy import NpyFile
from sgdlab.data.rows import RowSet, Transform
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
    pairs = [pair for pair in PAIRS if any(os.path.lexists(paths[part]) for part in pair)]
    if not pairs:
        names = ", ".join(path.name for path in paths.values())
        raise DataError(f"{folder}: no arrays; expected a pair of {names} (see --prefix)")
    with ExitStack() as stack:
        parts = [part for pair in pairs for part in pair]
        yield {part: stack.enter_context(NpyFile(paths[part])) for part in parts}


def rows_of_pairs(
    files: dict[str, NpyFile], transform: Transform, dtype: DTypeLike, n_features: int
) -> dict[str, RowSet]:
    """All rows of each pair, by the name of the file of X.

    Raises
    ------
    DataError
        If X and y do not fit, or a row of X has not ``n_features`` values.
    """
    named = {}
    for X_part, y_part in PAIRS:
        if X_part in files:
            X, y = files[X_part], files[y_part]
            check_pair(X, y)
            if X.n_features != n_features:
                found = f"{X.path}: {X.n_features} values a row"
                raise DataError(f"{found}; expected the {n_features} that the weights have")
            targets = read_targets(y, dtype)
            named[X.path.name] = RowSet(X, np.arange(X.n_rows), targets, transform)
    return named
