"""How a run ended, and the files that it has beside its logs, beside the same made again."""

import csv
import io
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgdlab.config.grid import Cell
from sgdlab.optim.losses import Losses
from sgdlab.runs.archive import Arrays
from sgdlab.runs.conclusion import Conclusion, WithBest, WithoutBest
from sgdlab.runs.reading import reading
from sgdlab.runs.stops import npz_arrays
from sgdlab.search.verification.closeness import Closeness
from sgdlab.search.verification.comparison import Comparison
from sgdlab.search.verification.result import Place
from sgdlab.search.verification.stored import Stored
from sgdlab.words.metrics import METRICS

# What the axes of arrays are: in weights.npz after that of the cells.
AXES = {
    "weights": ("replicate", "feature"),
    "bias": ("replicate",),
    "fold_weights": ("fold", "replicate", "feature"),
    "fold_bias": ("fold", "replicate"),
    "mean": ("feature",),
    "scale": ("feature",),
    "fold_mean": ("fold", "feature"),
    "fold_scale": ("fold", "feature"),
    "validation": ("replicate", "row"),
    "test": ("replicate", "row"),
}
OF_CELLS = ("weights", "bias", "fold_weights", "fold_bias")


@dataclass(frozen=True)
class EndBeside:
    """The end of a run and its files, and what they are to be compared with.

    Attributes
    ----------
    near
        How near numbers of a cell must be.
    is_tested
        Whether test losses were measured as the run has measured them.
    """

    stored: Stored
    near: Callable[[Cell], Closeness]
    is_tested: bool
    comparison: Comparison

    def compare_weights(self, made: bytes, cells: Collection[int]) -> None:
        """Compare ``weights.npz``, as far as it is of the given cells."""
        file = self.stored.directory.weights_file
        known, found = self.stored.arrays(file), npz_arrays(file, made)
        if not self._are_alike(file, known, found):
            return
        of_file, index = Place(file.name, ""), found["cells"]
        self._compare_array(of_file, "cells", known["cells"], index, 0.0)
        for row, number in enumerate(index.tolist()):
            if number in cells and known["cells"][row] == number:
                cell = self.stored.grid.cells[number]
                place = replace(of_file, cell=cell.name)
                for name in OF_CELLS:
                    if name in found:
                        both = (known[name][row], found[name][row])
                        allowed = _of_weights(self.near(cell), name, both[0])
                        self._compare_array(place, name, *both, allowed)
        near = self.near(self.stored.grid.cells[int(index[0])])
        for name in found:
            if name not in (*OF_CELLS, "cells"):
                allowed = _of_weights(near, name, known[name])
                self._compare_array(of_file, name, known[name], found[name], allowed)

    def compare_predictions(self, made: bytes, best: Cell) -> None:
        """Compare ``predictions.npz``, which is of the best cell."""
        file = self.stored.directory.predictions_file
        known, found = self.stored.arrays(file), npz_arrays(file, made)
        if self._are_alike(file, known, found):
            place = Place(file.name, "", best.name)
            for name in found:
                allowed = self.near(best).allowed("predictions", known[name])
                self._compare_array(place, name, known[name], found[name], allowed)

    def compare_table(self, made: bytes) -> None:
        """Compare ``results.csv``."""
        file = self.stored.directory.results_file
        known, found = self.stored.table(), list(csv.DictReader(io.StringIO(made.decode())))
        with reading(file):
            if [list(row) for row in known] != [list(row) for row in found]:
                raise ValueError("not the columns and rows of a run of these cells")
        for before, now, cell in zip(known, found, self.stored.grid.cells, strict=True):
            values = {name: _field(text) for name, text in before.items()}
            for name, text in now.items():
                if self.is_tested or not name.startswith("test_"):
                    of = name.removesuffix("_standard_error")
                    size = values[of]
                    allowed = self.near(cell).allowed(of, size) if isinstance(size, float) else 0.0
                    place = Place(file.name, name, cell.name)
                    self.comparison.value(place, values[name], _field(text), float(allowed))

    def compare_conclusion(self, found: Conclusion) -> None:
        """Compare what ``experiment.json`` says of how the run ended."""
        known = self.stored.conclusion
        for status, number in known.cells:
            self._compare(f"cells.{status}", number, getattr(found.cells, status))
        if isinstance(known, WithBest) and isinstance(found, WithBest):
            self._compare_with_best(known, found)
        elif isinstance(known, WithoutBest) and isinstance(found, WithoutBest):
            self._compare("reason", known.reason, found.reason)

    def _compare_with_best(self, known: WithBest, found: WithBest) -> None:
        near = self.near(self.stored.grid.cells[int(known.best)])
        allowed = float(near.allowed("constant", known.constant))
        self._compare("constant", known.constant, found.constant, allowed)
        self._compare_losses("constant_losses", known.constant_losses, found.constant_losses, near)
        if self.is_tested:
            self._compare_losses("test_losses", known.test_losses, found.test_losses, near)
        for name, difference in known.differences.items():
            now, metric = found.differences[name], METRICS.make(difference.metric)
            size = abs(difference.mean) + 2 * abs(metric.of(known.constant_losses[name]))
            allowed = float(near.allowed(difference.metric, size))
            for key in ("metric", "mean", "standard_error", "n_rows"):
                both = (getattr(difference, key), getattr(now, key))
                self._compare(f"differences.{name}.{key}", *both, allowed)
        if self.comparison.is_exact:  # they are made of the numbers above, which are rounded there
            self._compare("findings", " ".join(known.findings), " ".join(found.findings))

    def _compare_losses(
        self, key: str, known: Mapping[str, Losses], found: Mapping[str, Losses], near: Closeness
    ) -> None:
        """Compare losses by the names of rows or cells."""
        if self.comparison.first is not None and known.keys() != found.keys():
            return
        with self.stored.directory.interpreting():
            if different := known.keys() ^ found.keys():
                raise ValueError(f"{key}.{min(different)}: not of the cells that completed")
        for name, losses in known.items():
            if name.isdecimal():
                near = self.near(self.stored.grid.cells[int(name)])
            for loss, value in vars(losses).items():
                allowed = float(near.allowed(loss, value))
                self._compare(f"{key}.{name}.{loss}", value, getattr(found[name], loss), allowed)

    def _compare(self, quantity: str, known: Any, found: Any, allowed: float = 0.0) -> None:
        place = Place(self.stored.directory.experiment_file.name, quantity)
        self.comparison.value(place, known, found, allowed)

    def _compare_array(
        self,
        place: Place,
        name: str,
        known: NDArray[Any],
        found: NDArray[Any],
        allowed: NDArray[Any] | float,
    ) -> None:
        axes = AXES.get(name, ("row",))

        def place_of(index: tuple[int, ...]) -> Place:
            where: dict[str, Any] = dict(zip(axes, index, strict=False))
            return replace(place, quantity=name, **where)

        self.comparison.array(place.file, known, found, place_of, allowed)

    def _are_alike(self, file: Path, known: Arrays, found: Arrays) -> bool:
        """Whether arrays have names, shapes and dtypes that can be compared.

        Raises
        ------
        StorageError
            If they have not, although nothing else of the run differs.
        """
        before, now = map(_forms, (known, found))
        if before == now:
            return True
        if self.comparison.first is None:
            with reading(file):
                name = min(name for name in before | now if before.get(name) != now.get(name))
                raise ValueError(f"{name}: not an array as a run of these cells has it")
        return False


def _forms(arrays: Arrays) -> dict[str, tuple[Any, ...]]:
    return {name: (array.shape, array.dtype) for name, array in arrays.items()}


def _of_weights(near: Closeness, name: str, known: NDArray[Any]) -> NDArray[Any]:
    """Weights are as near as the largest of a model allows: small ones are sums that cancel."""
    if name.endswith("bias"):
        return near.allowed("bias", known)
    largest = np.max(np.abs(known), axis=-1, keepdims=True, initial=0.0) if known.ndim else known
    return near.allowed(name, largest)


def _field(text: str) -> float | str | None:
    """What a field of a table says: a number where it is one, and None where it is empty."""
    try:
        return float(text) if text else None
    except ValueError:
        return text
