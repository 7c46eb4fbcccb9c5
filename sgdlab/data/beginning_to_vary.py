"""Columns that are constant where a model is trained, and not where it is used."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sgdlab.data.constant import constant_spread
from sgdlab.data.dataset import Dataset
from sgdlab.data.rows import Chunk
from sgdlab.data.transform import Transform

SHOWN = 3  # columns that a remark names
FAR = 8  # standard deviations, which no rounding of a value exceeds


def remarks_on_columns(dataset: Dataset) -> Iterator[str]:
    """A sentence for every set of held-out rows in which such columns vary.

    Rows are read only where standardizing found a constant column.
    """
    n_rows, dtype = dataset.shape.n_fold_train, dataset.arrays["Xtr"].dtype
    if dataset.shape.folds is not None:
        varying = np.zeros(dataset.shape.n_features, dtype=bool)
        for fold in dataset.folds:
            if _has_constant(fold.transform):
                chunks = (fold.validation(*both) for both in _numbered(dataset))
                varying |= _varying(fold.transform, chunks, n_rows, dtype)
        yield from _remark(varying, "rows that a fold holds out")
    if not _has_constant(dataset.transform):
        return
    sets = {"test rows": dataset.test(np.float64)}
    if dataset.shape.n_validation:
        sets = {"validation rows": dataset.validation(np.float64)} | sets
    for name, rows in sets.items():
        yield from _remark(_varying(dataset.transform, rows.walk(), n_rows, dtype), name)


def _has_constant(transform: Transform) -> bool:
    return transform.is_constant is not None and bool(transform.is_constant.any())


def _numbered(dataset: Dataset) -> Iterator[tuple[Chunk, NDArray[np.int64]]]:
    """All rows to train in the order of the file, with their numbers."""
    first = 0
    for chunk in dataset.pooled(np.float64).walk():
        numbers = np.arange(first, first + len(chunk[0]))
        first += len(numbers)
        yield chunk, numbers


def _varying(
    transform: Transform, chunks: Iterable[Chunk], n_rows: int, dtype: DTypeLike
) -> NDArray[np.bool_]:
    """Which constant columns deviate from their mean by more than rounding."""
    assert transform.is_constant is not None
    assert transform.mean is not None
    assert transform.scale is not None
    # A bound on a standard deviation; single values of the same rounding lie further out.
    rounding = FAR * constant_spread(transform.mean, n_rows, dtype) / transform.scale
    varying = np.zeros(len(rounding), dtype=bool)
    for rows, _ in chunks:
        varying |= (np.abs(rows) > rounding).any(axis=0)
    return varying & transform.is_constant


def _remark(varying: NDArray[np.bool_], where: str) -> Iterator[str]:
    columns = np.flatnonzero(varying).tolist()
    if not columns:
        return
    named = ", ".join(map(str, columns[:SHOWN]))
    more = f" and {len(columns) - SHOWN} more" if len(columns) > SHOWN else ""
    one = len(columns) == 1
    yield (
        f"standardize: column{'' if one else 's'} {named}{more} (from 0)"
        f" {'is' if one else 'are'} constant in training, but not in the {where};"
        f" {'it is' if one else 'they are'} not divided by a deviation"
    )
