"""What is of another run is not taken for one's own, whatever its files are called."""

import shutil

import numpy as np
import pytest

from sgdlab import workflows
from sgdlab.errors import NothingToSelectError, StorageError
from sgdlab.runs.directory import RunDirectory
from tests.search.test_session import GRID, TRAIN, Recorder, Stopping, contents

FOLDS = {"data": {"validation": {"folds": 3}}, "grid": {"l2": [0.0, 0.1], "epochs": [2, 3]}}
PLAIN = {"grid": GRID, "train": TRAIN}


def search(config, runs_dir, observer=None):
    return workflows.grid_search(config, (), workflows.SearchOptions(runs_dir), observer)


def change_data(data_dir, arrays):
    np.save(data_dir / "Xtr.npy", arrays["Xtr"] * 1.5)


@pytest.fixture(params=[PLAIN, FOLDS], ids=["plain", "folds"])
def config(request, write_config):
    return write_config("grid", **request.param)


@pytest.mark.parametrize("lost", [[], ["weights.npz", "results.csv", "cells/0001.json"]])
def test_a_run_of_other_data_under_this_name_is_left_alone(
    lost, config, data_dir, arrays, tmp_path
):
    mine = search(config, tmp_path / "mine").directory.path
    change_data(data_dir, arrays)
    other = search(config, tmp_path / "other").directory.path
    shutil.rmtree(mine)
    shutil.copytree(other, mine)
    for name in lost:
        (mine / name).unlink()
    before = contents(RunDirectory(mine))
    np.save(data_dir / "Xtr.npy", arrays["Xtr"])
    with pytest.raises(StorageError, match=r"experiment\.json: cannot be used \(data\.fingerprint"):
        search(config, tmp_path / "mine")
    assert contents(RunDirectory(mine)) == before


def test_logs_of_other_data_are_refused_where_nothing_else_says_what_they_are_of(
    config, data_dir, arrays, tmp_path
):
    mine = search(config, tmp_path / "mine").directory.path
    change_data(data_dir, arrays)
    other = search(config, tmp_path / "other").directory.path
    (mine / "experiment.json").unlink()
    mine.rename(tmp_path / "mine" / other.name)
    with pytest.raises(StorageError, match=r"cells/0000\.json: of another run, whose config or"):
        search(config, tmp_path / "mine")


def test_a_lost_experiment_of_the_same_data_is_made_again(config, tmp_path):
    found = search(config, tmp_path / "mine")
    before = (found.directory.path / "results.csv").read_bytes()
    (found.directory.path / "experiment.json").unlink()
    again = search(config, tmp_path / "mine")
    assert again.directory.path == found.directory.path
    assert (again.directory.path / "results.csv").read_bytes() == before


@pytest.mark.parametrize("foreign", ["data", "grid"])
def test_stops_of_another_run_are_dropped_with_a_word(
    foreign, write_config, data_dir, arrays, tmp_path
):
    config = write_config("grid", **PLAIN)
    mine = stopped(config, tmp_path / "mine")
    if foreign == "data":
        change_data(data_dir, arrays)
        other = stopped(config, tmp_path / "other")
        np.save(data_dir / "Xtr.npy", arrays["Xtr"])
    else:
        values = {"l2": [0.3, 0.7] if "l2" in GRID else [0.3]}
        other = stopped(write_config("g2", grid=GRID | values, train=TRAIN), tmp_path / "other")
    for folder in ("cells", "state/stops"):
        shutil.rmtree(mine / folder)
    shutil.copytree(other / "state/stops", mine / "state/stops")
    assert list((mine / "state/stops").iterdir())
    expected, observer = search(config, tmp_path / "again"), Recorder()
    found = search(config, tmp_path / "mine", observer)
    assert found.rows() == expected.rows()
    assert any("broken; " in note for note in observer.notes)


def stopped(config, runs_dir):
    """A run of which a part is trained."""
    with pytest.raises(KeyboardInterrupt):
        search(config, runs_dir, Stopping(2))
    [run] = runs_dir.iterdir()
    return run


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_a_validation_loss_beyond_float64_ends_the_run_with_what_was_found(
    precision, write_config, data_dir, arrays, tmp_path
):
    huge = arrays["Xtr"].copy()
    huge[-1] = 1e200 if precision == "float64" else 1e38
    if precision == "float32":
        huge[-1] *= np.sign(np.arange(huge.shape[1]) - 0.5)
        arrays["ytr"][-1] = 3e38
        np.save(data_dir / "ytr.npy", arrays["ytr"])
    np.save(data_dir / "Xtr.npy", huge)
    fixed = TRAIN | {"precision": precision}
    config = write_config("huge", grid={"learning_rate": [0.01, 0.02]}, train=fixed)
    for _ in range(2):
        if precision == "float32":
            search(config, tmp_path / "runs")
            continue
        with pytest.raises(NothingToSelectError, match="no number that float64 holds"):
            search(config, tmp_path / "runs")
    [run] = (tmp_path / "runs").iterdir()
    assert (run / "results.csv").exists()
    assert not (run / "state").exists()
