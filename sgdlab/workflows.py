"""One function for each command; each can be called from Python and prints nothing."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sgdlab.config import json_schema
from sgdlab.config_file import load_config
from sgdlab.data.dataset import open_dataset
from sgdlab.data.describe import Description, describe
from sgdlab.data.stand_in import shape_if_missing, synthesize
from sgdlab.errors import ConfigError
from sgdlab.estimate import Estimate, estimate
from sgdlab.grid import expand
from sgdlab.observer import Observer
from sgdlab.plan import Plan, make_plan, n_threads
from sgdlab.reevaluation import EvaluationResult, evaluate_run
from sgdlab.run_names import find_run
from sgdlab.search import SearchResult
from sgdlab.session import SearchOptions as SearchOptions  # part of these functions
from sgdlab.session import search

PathLike = str | os.PathLike[str]


def grid_search(
    config_path: PathLike,
    overrides: Sequence[str] = (),
    options: SearchOptions | None = None,
    observer: Observer | None = None,
) -> SearchResult:
    """Train every cell of a config's grid, or what is missing of it, and select the best.

    Parameters
    ----------
    config_path
        A YAML file.
    overrides
        ``key.path=value`` each.

    Raises
    ------
    ConfigError, DataError, StorageError, NothingToSelectError
        See :mod:`sgdlab.errors`.
    """
    config = load_config(config_path, overrides)
    return search(config, expand(config), options or SearchOptions(), observer or Observer())


def train(
    config_path: PathLike,
    overrides: Sequence[str] = (),
    options: SearchOptions | None = None,
    observer: Observer | None = None,
) -> SearchResult:
    """Train the single cell of a config: :func:`grid_search` for one cell.

    Raises
    ------
    ConfigError
        Also if the config has more than one cell.
    """
    config = load_config(config_path, overrides)
    grid = expand(config)
    if len(grid.cells) != 1:
        hint = "use grid-search, or give single values with --set"
        raise ConfigError(f"{config_path}: {len(grid.cells)} cells; expected one ({hint})")
    return search(config, grid, options or SearchOptions(), observer or Observer())


def plan_search(config_path: PathLike, overrides: Sequence[str] = ()) -> tuple[Plan, Estimate]:
    """What a search would do and cost, from the config and the arrays' headers alone."""
    config = load_config(config_path, overrides)
    cells = expand(config).cells
    shape = shape_if_missing(config.data)
    if shape is None:
        with open_dataset(config.data) as dataset:
            shape = dataset.shape
    plan = make_plan(cells, shape, config.run, n_threads(config.run))
    return plan, estimate(plan, len(cells), shape, config.run)


def evaluate(
    run: str,
    runs_dir: PathLike = "runs",
    cell: int | None = None,
    data: PathLike | None = None,
    prefix: str | None = None,
    mae_step: float | None = None,
) -> EvaluationResult:
    """Evaluate the kept weights of a run; see :func:`sgdlab.reevaluation.evaluate_run`.

    Parameters
    ----------
    run
        A path, a name below ``runs_dir``, or ``latest``: the run that a command last finished or
        found finished.
    data, prefix
        Folder and prefix of other arrays; by default the run's own.
    mae_step
        The learning rate of one step of subgradient descent on the mean absolute error.
    """
    folder = None if data is None else Path(data)
    return evaluate_run(find_run(Path(runs_dir), run), cell, folder, prefix, mae_step)


def synthesize_data(folder: PathLike, prefix: str, seed: int = 0) -> Description:
    """Write the stand-in arrays into a folder that has none, and describe them."""
    synthesize(Path(folder), prefix, seed)
    return describe(Path(folder), prefix)


def describe_data(folder: PathLike, prefix: str | None = None) -> Description:
    """What is in a folder of arrays."""
    return describe(Path(folder), prefix)


def schema() -> dict[str, Any]:
    """The JSON Schema of a config file."""
    return json_schema()
