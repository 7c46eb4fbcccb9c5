"""A config's grid as an ordered sequence of cells, and how they are named."""

import itertools
import json
import math
import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sgdlab.config.fields import Model
from sgdlab.config.model import MAX_CELLS, REQUIRED, Config, Train, train_of
from sgdlab.system.garbage import collecting_later

# The order of columns in tables and files: the four that every grid has first.
FIRST_NAMES = ("batch_size", "learning_rate", "epochs", "l2")
NAMES = FIRST_NAMES + tuple(name for name in Train.model_fields if name not in FIRST_NAMES)


@dataclass(frozen=True, slots=True)
class Cell:
    """One setting of all hyperparameters; ``index`` counts from 0 in the order of the grid."""

    index: int
    train: Train

    @property
    def name(self) -> str:
        """The cell's identifier in file names and on the command line."""
        return f"{self.index:04d}"


@dataclass(frozen=True)
class Grid:
    """The cells of a config.

    Attributes
    ----------
    cells
        Mappings of a union one after the other; within each, zipped axes slowest, then the axes in
        the order of ``NAMES``, the last fastest. Points that stand twice (also as 0.1 and 0.10) are
        kept once.
    axes
        Names of the hyperparameters that differ between cells.
    n_duplicates
        How many points were dropped.
    """

    cells: tuple[Cell, ...]
    axes: tuple[str, ...]
    n_duplicates: int


@collecting_later()
def expand(config: Config) -> Grid:
    """All cells of a config; a config without a grid has one."""
    fixed = {name: getattr(config.train, name) for name in Train.model_fields}
    settings = (fixed | point for point in _points(config))
    given = _names(config)
    if given:  # all other values are those of every cell
        place = operator.itemgetter(*given)
        distinct = list({place(values): values for values in settings}.values())
    else:
        distinct = list(settings)
    cells = tuple(Cell(index, train_of(values)) for index, values in enumerate(distinct))
    axes = tuple(name for name in given if len({values[name] for values in distinct}) > 1)
    return Grid(cells, axes, _count(config) - len(distinct))


def check_grid(config: Config, n_planned: int) -> None:
    """Raise ValueError where a config that was written down has other cells than were planned.

    That of a file is checked where it is read, with the places of what is wrong. Nothing is
    expanded that is not counted before.
    """
    for n, (axes, together) in enumerate(_sections(config)):
        if len({len(values) for values in together.values()}) > 1:
            raise ValueError(f"config.grid.{n}.zip: lists of different lengths")
        for name in REQUIRED:
            if getattr(config.train, name) is None and name not in axes | together:
                raise ValueError(f"config.train.{name}: not there, nor in config.grid")
        n_distinct = math.prod(len(set(values)) for values in axes.values())
        n_distinct *= len(set(zip(*together.values(), strict=True))) or 1
        if n_distinct > n_planned:
            found = f"{n_distinct} cells, but plan.blocks.trajectories {n_planned}"
            raise ValueError(f"config.grid.{n}: {found}")
    if (n_points := _count(config)) > MAX_CELLS:
        raise ValueError(f"config.grid: {n_points} cells, of at most {MAX_CELLS}")


def _sections(config: Config) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """The axes of every mapping of the grid, and those that are taken together."""
    for section in config.grid:
        zipped = getattr(section, "zip", None)
        yield _axes(section), {} if zipped is None else _axes(zipped)
    if not config.grid:
        yield {}, {}


def _count(config: Config) -> int:
    """How many points the grid gives, with those that stand twice."""
    return sum(
        math.prod(map(len, axes.values())) * max(map(len, together.values()), default=1)
        for axes, together in _sections(config)
    )


def single_values(config: Config, cell: Cell) -> str:
    """The override that leaves one cell of a config: ``grid={l2: [0.1], loss: ["squared"]}``."""
    names = _names(config)
    values = ", ".join(f"{name}: [{json.dumps(getattr(cell.train, name))}]" for name in names)
    return f"grid={{{values}}}"


def _names(config: Config) -> list[str]:
    """The hyperparameters that the grid gives values for, in the order of ``NAMES``."""
    sections = [*config.grid, *(getattr(part, "zip", None) for part in config.grid)]
    given = {name for section in sections if section for name in _axes(section)}
    return [name for name in NAMES if name in given]


def _points(config: Config) -> Iterator[dict[str, Any]]:
    for axes, together in _sections(config):
        zipped = zip(*together.values(), strict=True)
        rows = [dict(zip(together, row, strict=True)) for row in zipped]
        for row, *values in itertools.product(rows or [{}], *axes.values()):
            yield row | dict(zip(axes, values, strict=True))


def _axes(section: Model) -> dict[str, Any]:
    """The axes that a mapping gives, in the order of ``NAMES``."""
    given = {name: getattr(section, name, None) for name in NAMES}
    return {name: values for name, values in given.items() if values is not None}
