"""How runs are named, and how one is found again."""

from pathlib import Path

import numpy as np
import pytest

from sgdlab import workflows
from sgdlab.errors import UsageError
from sgdlab.runs.names import find_run
from tests.conftest import make_arrays
from tests.runs.damage import edit
from tests.search.test_session import GRID, TRAIN, Stopping, contents


def test_run_names_depend_on_the_experiment_and_its_data_alone(write_config, options, data_dir):
    def name(config, *overrides):
        return workflows.grid_search(config, overrides, options).directory.name

    config = write_config("named", train=TRAIN, grid=GRID)
    usual = name(config)
    assert usual.startswith("named-")
    assert name(config, "run.threads=1") == usual
    assert name(config, "run.memory_budget=1MB") == usual
    assert name(config, "data.target_unit=years") == usual
    assert name(config, "train.seed=1") != usual
    assert name(config, "select.metric=mae") != usual
    assert name(config, "data.preprocess=center") != usual
    np.save(data_dir / "yte.npy", make_arrays(1)["yte"])
    assert name(config) != usual


def test_names_stay_inside_the_runs_folder(write_config, options):
    for text in ("../x", "/etc/x", "a" * 300, "ä b|c"):
        config = write_config("odd", train=TRAIN, grid={"l2": [0.0]})
        found = workflows.grid_search(config, [f'name="{text}"'], options)
        assert found.directory.path.parent == Path(options.runs_dir)


def test_starting_over_passes_runs_that_cannot_be_read(config, options, finished):
    fresh = workflows.SearchOptions(options.runs_dir, fresh=True)
    second = workflows.grid_search(config, options=fresh).directory
    for directory in (finished, second):
        edit(directory.experiment_file, schema_version=1)
    third = workflows.grid_search(config, options=fresh).directory
    assert third.name == f"{finished.name}-3"
    assert contents(third) == contents(finished)


def test_find_run_by_path_name_and_latest(config, options, tmp_path):
    directory = workflows.grid_search(config, options=options).directory
    runs = Path(options.runs_dir)
    for reference in (str(directory.path), directory.name, "latest"):
        assert find_run(runs, reference).path.samefile(directory.path)
    with pytest.raises(UsageError, match=f"one of {directory.name}"):
        find_run(runs, "missing")
    with pytest.raises(UsageError, match="there are no runs"):
        find_run(tmp_path / "nowhere", "latest")


def test_latest_is_the_run_last_finished_or_found_finished(write_config, options):
    first, second = write_config("first"), write_config("second", train={"epochs": 4})
    one = workflows.train(first, options=options).directory
    two = workflows.train(second, options=options).directory
    assert find_run(Path(options.runs_dir), "latest") == two
    workflows.train(first, options=options)
    assert find_run(Path(options.runs_dir), "latest") == one
    workflows.evaluate(two.name, options.runs_dir)
    assert find_run(Path(options.runs_dir), "latest") == one


def test_a_run_that_is_not_finished_is_never_latest(config, write_config, options, interrupted):
    with pytest.raises(UsageError, match=f"no finished run; {interrupted.name} is interrupted"):
        find_run(Path(options.runs_dir), "latest")
    done = workflows.train(write_config("done"), options=options).directory
    with pytest.raises(KeyboardInterrupt):
        workflows.grid_search(config, options=options, observer=Stopping(2))
    assert find_run(Path(options.runs_dir), "latest") == done
