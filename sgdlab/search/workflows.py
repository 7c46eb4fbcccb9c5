"""A function for each command that makes a run or reads one; see :mod:`sgdlab.workflows`."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from sgdlab.config.grid import expand, single_values
from sgdlab.config.reading import load_config
from sgdlab.config.source import ConfigLike
from sgdlab.errors import ConfigError
from sgdlab.evaluation.evaluate_run import EvaluationResult, evaluate_run
from sgdlab.observer import Observer
from sgdlab.runs.names import find_run
from sgdlab.search import planned
from sgdlab.search.planned import PlannedSearch
from sgdlab.search.result import SearchResult
from sgdlab.search.session import search
from sgdlab.search.verification.result import Verification
from sgdlab.search.verification.verify import VerifyOptions, verify_run
from sgdlab.search.wanted import SearchOptions

PathLike = str | os.PathLike[str]
Arrays = Mapping[str, NDArray[Any]]  # Xtr, ytr, Xte and yte, in memory


def grid_search(
    config: ConfigLike,
    overrides: Sequence[str] = (),
    options: SearchOptions | None = None,
    observer: Observer | None = None,
    arrays: Arrays | None = None,
) -> SearchResult:
    """Train every cell of a config's grid, or what is missing of it, and select the best.

    Parameters
    ----------
    config
        A YAML file, or a mapping of what it would hold.
    overrides
        Values that are replaced, as ``key.path=value``.
    arrays
        ``Xtr``, ``ytr``, ``Xte`` and ``yte``, in place of files: the config need not name any. The
        run is that of files that hold the same arrays.
    """
    loaded = load_config(config, overrides, needs_files=arrays is None)
    options, observer = options or SearchOptions(), observer or Observer()
    return search(loaded, expand(loaded), options, observer, arrays)


def train(
    config: ConfigLike,
    overrides: Sequence[str] = (),
    options: SearchOptions | None = None,
    observer: Observer | None = None,
    arrays: Arrays | None = None,
) -> SearchResult:
    """Train the single cell of a config: :func:`grid_search` for one cell.

    Raises
    ------
    ConfigError
        Also if the config has more than one cell.
    """
    loaded = load_config(config, overrides, needs_files=arrays is None)
    grid = expand(loaded)
    if len(grid.cells) != 1:
        place = "grid" if isinstance(config, Mapping) else config
        first = single_values(loaded, grid.cells[0])
        hint = f"search the grid, or choose a cell, as in `overrides` '{first}'"
        raise ConfigError(place, f"{len(grid.cells)} cells", "one", hint)
    return search(loaded, grid, options or SearchOptions(), observer or Observer(), arrays)


def plan_search(
    config_path: PathLike,
    overrides: Sequence[str] = (),
    measure: bool = False,
    runs_dir: PathLike = "runs",
) -> PlannedSearch:
    """What a search would do and cost, from the config and the arrays' headers.

    Parameters
    ----------
    measure
        Take about a second to measure this machine, and forecast time and memory.
    runs_dir
        Where the run would be written, and small files are for the measurement.
    """
    return planned.plan_search(load_config(config_path, overrides), measure, Path(runs_dir))


def evaluate(
    run: str,
    runs_dir: PathLike = "runs",
    cell: int | None = None,
    data: PathLike | None = None,
    prefix: str | None = None,
    mae_step: float | None = None,
    arrays: Arrays | None = None,
) -> EvaluationResult:
    """Evaluate the kept weights of a run; see :func:`sgdlab.evaluation.evaluate_run.evaluate_run`.

    Parameters
    ----------
    run
        A path, a name below ``runs_dir``, or ``latest``: the run that a command last finished or
        found finished.
    """
    directory = find_run(Path(runs_dir), run)
    return evaluate_run(directory, cell, data, prefix, mae_step, arrays)


def verify(
    run: str,
    runs_dir: PathLike = "runs",
    options: VerifyOptions | None = None,
    observer: Observer | None = None,
    arrays: Arrays | None = None,
) -> Verification:
    """Execute a run again; see :func:`sgdlab.search.verification.verify.verify_run`.

    Parameters
    ----------
    run
        As of :func:`evaluate`.
    """
    directory = find_run(Path(runs_dir), run)
    return verify_run(directory, options or VerifyOptions(), observer or Observer(), arrays)
