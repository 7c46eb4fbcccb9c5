"""The weights that a run keeps."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgdlab.config.grid import Cell
from sgdlab.data.shape import Shape
from sgdlab.data.transform import Transform
from sgdlab.errors import UsageError
from sgdlab.runs.archive import Arrays, Expected, Form
from sgdlab.runs.cell_log import CellResult
from sgdlab.runs.directory import NOTHING_KNOWN, RunDirectory
from sgdlab.runs.logs import Hashes
from sgdlab.runs.reading import MADE_AGAIN, read_bytes, reading
from sgdlab.runs.replicate_log import or_none, weights_sha256
from sgdlab.runs.sizes import most_of, weights_bytes
from sgdlab.runs.stops import npz_arrays
from sgdlab.runs.successor import from_either

# What to do where weights were trained again and came out with other bits than before.
OTHER_BITS = "on another machine or BLAS, start over with `fresh=True`"

# Of a cell: weights (replicates, n_features), and bias (replicates,) in float64.
Weights = tuple[NDArray[Any], NDArray[np.float64]]


@dataclass(frozen=True)
class Kept:
    """What ``weights.npz`` holds.

    Attributes
    ----------
    file
        Where it stands.
    weights
        Of all cells that were kept, by index and fold; trained on all rows: None.
    transform
        What was done to X before the weights saw it.
    """

    file: Path
    weights: dict[tuple[int, int | None], Weights]
    transform: Transform

    def folds_of(self, cell: int) -> list[int | None]:
        """The folds of which a cell's weights are there; None: of all rows.

        Raises
        ------
        UsageError
            If those of this cell were not kept.
        """
        if (cell, None) not in self.weights:
            cells = [other for other, fold in self.weights if fold is None]
            names = ", ".join(f"{number:04d}" for number in cells[:5])
            found = f"the weights of cell {cell:04d} were not kept"
            hint = "search again with `keep_weights=all`"
            raise UsageError(self.file.parent, found, f"one of {names}", hint)
        return [fold for other, fold in self.weights if other == cell]


def read_kept(
    directory: RunDirectory, shape: Shape, cells: Sequence[Cell], known: Hashes = NOTHING_KNOWN
) -> Kept:
    """The weights that a run keeps.

    Parameters
    ----------
    shape, cells
        Of its data and of its grid, which say what can be there.
    known
        sha256 of the run's files, as far as they are.

    Raises
    ------
    StorageError
        If the file is absent, broken, or not as it was written.
    """
    file, n_replicates = directory.weights_file, cells[0].train.replicates
    most_bytes = most_of(weights_bytes(shape, len(cells), n_replicates))
    look = partial(read_bytes, sha256=known.get(file.name), most_bytes=most_bytes)
    content = from_either(directory.path, file.name, look) if known else look(file)
    kept = npz_arrays(file, content, _form(shape, n_replicates))
    with reading(file):
        _check_kept(kept, shape, len(cells))
        names = kept["cells"].tolist()
        rows = zip(names, kept["weights"], kept["bias"], strict=True)
        found: dict[tuple[int, int | None], Weights]
        found = {(cell, None): (weights, bias) for cell, weights, bias in rows}
        if "fold_weights" in kept:
            of_folds = zip(names, kept["fold_weights"], kept["fold_bias"], strict=True)
            for cell, *both in of_folds:
                for fold, (weights, bias) in enumerate(zip(*both, strict=True)):
                    found[cell, fold] = (weights, bias)
        mean, scale = (kept[name] if kept[name].size else None for name in ("mean", "scale"))
        return Kept(file, found, Transform(float(kept["divide_by"]), mean, scale))


def _form(shape: Shape, n_replicates: int) -> Form:
    """What the file must have."""
    model, floats = (n_replicates, shape.n_features), ("f4", "f8")
    form = {
        "cells": Expected(("i8",), ("cells",)),
        "weights": Expected(floats, ("cells", *model)),
        "bias": Expected(("f8",), ("cells", n_replicates)),
        "divide_by": Expected(("f8",), ()),
        "mean": Expected(("f8",), ("means",)),
        "scale": Expected(("f8",), ("scales",)),
    }
    if shape.folds is None:
        return form
    return form | {
        "fold_weights": Expected(floats, ("cells", shape.folds, *model)),
        "fold_bias": Expected(("f8",), ("cells", shape.folds, n_replicates)),
        "fold_mean": Expected(("f8",), (shape.folds, "means")),
        "fold_scale": Expected(("f8",), (shape.folds, "scales")),
    }


def _check_kept(kept: Arrays, shape: Shape, n_cells: int) -> None:
    """Raise ValueError unless it is of cells of the grid, and of so many features."""
    numbers = kept["cells"]
    if (
        not len(numbers)
        or numbers[0] < 0
        or numbers[-1] >= n_cells
        or (np.diff(numbers) <= 0).any()
    ):
        raise ValueError(f"cells: not in order, or not of a grid of {n_cells}")
    for name in ("mean", "scale"):
        if kept[name].size not in (0, shape.n_features):
            raise ValueError(f"{name}: of {kept[name].size} features instead of {shape.n_features}")
    if not (np.isfinite(kept["divide_by"]) and kept["divide_by"] > 0):
        raise ValueError("divide_by: no positive number")


def as_logged(
    file: Path, weights: Weights, log: CellResult, fold: int | None, hint: str = MADE_AGAIN
) -> Weights:
    """Weights that a file has of a cell, in the cell's precision, if its log has their hashes.

    Parameters
    ----------
    log
        Of the training that they are of: on all rows, or in folds.

    Raises
    ------
    StorageError
        If they are others.
    """
    exact = weights[0].astype(log.cell.train.precision)
    with reading(file, hint):
        found = [weights_sha256(row) for row in exact]
        logged = [training for training in log.replicates if training.fold == fold]
        # Other cells may have made them wider; the last step may have left the range of floats.
        are_same = np.array_equal(exact, weights[0], equal_nan=True)
        if not are_same or found != [training.weights_sha256 for training in logged]:
            raise ValueError(f"not the weights of cell {log.cell.name} that its log has a hash of")
        if [or_none(bias) for bias in weights[1]] != [training.bias for training in logged]:
            raise ValueError(f"not the bias of cell {log.cell.name} that its log has")
    return exact, weights[1]


def or_empty(statistics: Sequence[NDArray[np.float64] | None]) -> NDArray[np.float64]:
    """Stacked; where there are none, as many empty ones."""
    return np.stack([np.zeros(0) if array is None else array for array in statistics])
