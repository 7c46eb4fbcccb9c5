"""The logs of a run's cells, each found by the cell's name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sgdlab.config.grid import Cell
from sgdlab.errors import StorageError
from sgdlab.runs.cell_log import CellResult
from sgdlab.runs.reading import parse_json, read_bytes, reading
from sgdlab.runs.seals import sha256_of

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
        If there is a file that is no log of one of them.
    """
    names = {f"{cell.name}.json": cell.index for cell in cells}
    files = sorted(folder.glob("*.json"))
    for file in files:
        if file.name not in names:
            expected = f"the cells {cells[0].name} to {cells[-1].name}, which the grid has"
            raise StorageError(file, "not a log of a cell of the grid", expected, "move it away")
    return {names[file.name] for file in files}


def read_logs(run: Path, folder: str, cells: Sequence[Cell], known: Hashes) -> Logs:
    """The logs of cells in a folder of a run; all of them must be there.

    Parameters
    ----------
    known
        Of the run's files, as far as they are.

    Raises
    ------
    StorageError
        If one is absent, broken, not as it was written, or of other hyperparameters than the cell.
    """
    results, hashes, origins = {}, {}, {}
    for cell in cells:
        name = log_name(folder, cell)
        content = read_bytes(run / name, known.get(name))
        hashes[name] = sha256_of(content)
        results[cell.index], origins[name] = _parsed(run / name, content, cell)
    return Logs(results, hashes, origins)


def _parsed(file: Path, content: bytes, cell: Cell) -> tuple[CellResult, str]:
    log = parse_json(file, content)
    with reading(file):
        result = CellResult.from_log(log)
        if result.cell.index != cell.index:
            raise ValueError(f"cell {result.cell.name}")
        if result.cell.train != cell.train:
            raise ValueError("hyperparameters: not those of that cell of the grid")
        return result, str(log["origin"])
