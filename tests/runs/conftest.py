"""Runs that are finished, or that broke off."""

from pathlib import Path

import pytest

from sgdlab import workflows
from sgdlab.runs.directory import RunDirectory
from tests.search.test_session import GRID, TRAIN, Stopping

TWO_ORDERS = GRID | {"order": ["in_order", "shuffle_once"]}


@pytest.fixture
def config(write_config):
    """Two passes of 16 cells each."""
    return write_config("grid", train=TRAIN, grid=TWO_ORDERS)


@pytest.fixture
def finished(config, options) -> RunDirectory:
    return workflows.grid_search(config, options=options).directory


@pytest.fixture
def interrupted_elsewhere(config, tmp_path) -> RunDirectory:
    options = workflows.SearchOptions(runs_dir=tmp_path / "elsewhere")
    with pytest.raises(KeyboardInterrupt):
        workflows.grid_search(config, options=options, observer=Stopping(6))
    (path,) = Path(options.runs_dir).iterdir()
    return RunDirectory(path)


@pytest.fixture
def interrupted(config, options) -> RunDirectory:
    """The first of two passes is done, and the second one begun."""
    with pytest.raises(KeyboardInterrupt):
        workflows.grid_search(config, options=options, observer=Stopping(6))
    (path,) = Path(options.runs_dir).iterdir()
    return RunDirectory(path)
