"""The logs of a run's cells, each found by the cell's name."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sgdlab.config.grid import Cell
from sgdlab.errors import StorageError
from sgdlab.runs.cell_log import CellResult
from sgdlab.runs.reading import parse_json, read_bytes, reading
from sgdlab.runs.seals import sha256_of
from sgdlab.runs.sizes import log_bytes, most_of
from sgdlab.runs.successor import from_either
from sgdlab.system.looking import names_in

LOG = re.compile(r"[0-9]{4,7}\.json")
Places = Mapping[Path, Path]  # where logs stand that are not moved into their places yet
ALL_IN_PLACE: Places = MappingProxyType({})
Hashes = Mapping[str, str]  # sha256 of files of a run, by their names in it: cells/0000.json


@dataclass(frozen=True)
class Logs:
    """What came out of some cells, in the order of the grid.

    Attributes
    ----------
    results
        By the cell's index.
    hashes, origins
        Of the logs, by their names in the run; see :func:`sgdlab.runs.names.origin_of`.
    """

    results: dict[int, CellResult]
    hashes: dict[str, str]
    origins: dict[str, str]

    @property
    def in_order(self) -> list[CellResult]:
        return list(self.results.values())


def log_name(folder: str, cell: Cell) -> str:
    """What the log of a cell is called in its run."""
    return f"{folder}/{cell.name}.json"


def logged_cells(folder: Path, cells: Sequence[Cell]) -> set[int]:
    """Which cells of a grid have a log in a folder, by their indices.

    Raises
    ------
    StorageError
        If the folder cannot be listed, or there is a log of none of them.
    """
    names = {f"{cell.name}.json": cell.index for cell in cells}
    found = [name for name in names_in(folder) if LOG.fullmatch(name)]
    for name in found:
        if name not in names:
            expected = f"the cells {cells[0].name} to {cells[-1].name}, which the grid has"
            place, what = folder / name, "not a log of a cell of the grid"
            raise StorageError(place, what, expected, "move it away")
    return {names[name] for name in found}


def read_logs(
    run: Path,
    folder: str,
    cells: Sequence[Cell],
    known: Hashes,
    places: Places = ALL_IN_PLACE,
    folds: int | None = None,
) -> Logs:
    """The logs of cells in a folder of a run; all of them must be there.

    Parameters
    ----------
    known
        Of the run's files, as far as they are.
    folds
        Of which they are.

    Raises
    ------
    StorageError
        If one is absent, broken, not as it was written, or of other hyperparameters than the cell.
    """
    results, hashes, origins = {}, {}, {}
    for cell in cells:
        name = log_name(folder, cell)
        file, content = _content(run, name, known, places, most_of(log_bytes(cell, folds)))
        hashes[name] = sha256_of(content)
        log = parse_json(file, content)
        with reading(file):
            results[cell.index] = result = CellResult.from_log(log)
            _check_cell(result, cell)
            origins[name] = str(log["origin"])
    return Logs(results, hashes, origins)


def read_keys(
    run: Path, folder: str, cell: Cell, known: Hashes, folds: int | None = None
) -> dict[str, Any]:
    """The keys of a cell's log as they stand in it: its numbers may contradict each other.

    Raises
    ------
    StorageError
        As :func:`read_logs`, whatever else is wrong with it.
    """
    name, most_bytes = log_name(folder, cell), most_of(log_bytes(cell, folds))
    file, content = _content(run, name, known, ALL_IN_PLACE, most_bytes)
    log = parse_json(file, content)
    with reading(file):
        _check_cell(CellResult.as_it_says(log), cell)
    return log


def _content(
    run: Path, name: str, known: Hashes, places: Places, most_bytes: int
) -> tuple[Path, bytes]:
    """A log of at most so many bytes, and the file in which it stands."""
    if (sha256 := known.get(name)) is not None:
        look = partial(read_bytes, sha256=sha256, most_bytes=most_bytes)
        return run / name, from_either(run, name, look)
    file = places.get(run / name, run / name)
    return file, read_bytes(file, most_bytes=most_bytes)


def _check_cell(result: CellResult, cell: Cell) -> None:
    if result.cell.index != cell.index:
        raise ValueError(f"cell {result.cell.name}")
    if result.cell.train != cell.train:
        raise ValueError("hyperparameters: not those of that cell of the grid")
