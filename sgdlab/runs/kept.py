"""The weights that a run keeps."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgdlab.data.transform import Transform
from sgdlab.errors import UsageError
from sgdlab.runs.directory import RunDirectory
from sgdlab.runs.reading import reading
from sgdlab.runs.stops import read_npz

# Of a cell: weights (replicates, n_features), and bias (replicates,) in float64.
Weights = tuple[NDArray[Any], NDArray[np.float64]]


def all_kept_weights(directory: RunDirectory) -> dict[tuple[int, int | None], Weights]:
    """Those of all cells in ``weights.npz``, by index and fold; trained on all rows: None."""
    kept = read_npz(directory.weights_file)
    with reading(directory.weights_file):
        cells = kept["cells"].tolist()
        rows = zip(cells, kept["weights"], kept["bias"], strict=True)
        found: dict[tuple[int, int | None], Weights]
        found = {(cell, None): (weights, bias) for cell, weights, bias in rows}
        if "fold_weights" in kept:
            of_folds = zip(cells, kept["fold_weights"], kept["fold_bias"], strict=True)
            for cell, *both in of_folds:
                for fold, (weights, bias) in enumerate(zip(*both, strict=True)):
                    found[cell, fold] = (weights, bias)
        return found


def kept_weights(directory: RunDirectory, cell: int) -> dict[int | None, Weights]:
    """Those of one cell, from ``weights.npz``, by fold; trained on all rows: None.

    Raises
    ------
    UsageError
        If those of this cell were not kept.
    """
    kept = all_kept_weights(directory)
    if (cell, None) not in kept:
        cells = [other for other, fold in kept if fold is None]
        names = ", ".join(f"{number:04d}" for number in cells[:5])
        found = f"the weights of cell {cell:04d} were not kept"
        hint = "search again with `keep_weights=all`"
        raise UsageError(directory.path, found, f"one of {names}", hint)
    return {fold: weights for (other, fold), weights in kept.items() if other == cell}


def kept_transform(directory: RunDirectory) -> Transform:
    """What was done to X before the weights of a run saw it, from ``weights.npz``."""
    kept = read_npz(directory.weights_file)
    with reading(directory.weights_file):
        mean, scale = (kept[name] if kept[name].size else None for name in ("mean", "scale"))
        return Transform(float(kept["divide_by"]), mean, scale)


def or_empty(statistics: Sequence[NDArray[np.float64] | None]) -> NDArray[np.float64]:
    """Stacked; where there are none, as many empty ones."""
    return np.stack([np.zeros(0) if array is None else array for array in statistics])
