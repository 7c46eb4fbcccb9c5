"""What cannot be executed again, and with which exit code that is said."""

import json

import numpy as np
import pytest

from sgdlab import workflows
from sgdlab.errors import DataError, StorageError, UsageError
from sgdlab.observer import Observer
from sgdlab.runs.directory import RunDirectory
from sgdlab.system import machine
from tests.conftest import make_arrays
from tests.runs.damage import edit
from tests.search.test_session import Stopping


def refused(call, error, code):
    """The one line with which a call ends."""
    with pytest.raises(error) as caught:
        call()
    assert type(caught.value).exit_code == code
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.fixture
def own_run(write_config, tmp_path):
    """A run whose arrays may be changed."""
    options = workflows.SearchOptions(tmp_path / "runs")
    return workflows.train(write_config(), options=options).directory


# The data


@pytest.mark.parametrize("part", ["Xtr", "ytr", "Xte", "yte"])
def test_arrays_that_changed(part, own_run, data_dir, verify):
    file = data_dir / f"{part}.npy"
    array = np.load(file)
    array.flat[0] = np.nextafter(array.flat[0], np.inf)
    np.save(file, array)
    line = refused(lambda: verify(own_run), DataError, 3)
    assert line.startswith(f"{data_dir}: not the arrays that {own_run.name} was trained on; ")
    assert line.endswith("(give data, the folder where they are now)")


def test_without_that_check_numbers_are_others(own_run, data_dir, verify, monkeypatch):
    array = np.load(data_dir / "ytr.npy")
    array[0] += 1
    np.save(data_dir / "ytr.npy", array)
    monkeypatch.setattr(RunDirectory, "is_of", lambda *_: True)
    place = verify(own_run).mismatch.place
    assert (place.epoch, place.quantity) == (1, "running_loss")


@pytest.mark.parametrize("part", ["Xtr", "yte"])
def test_arrays_that_are_away(part, own_run, data_dir, verify):
    (data_dir / f"{part}.npy").unlink()
    line = refused(lambda: verify(own_run), DataError, 3)
    assert line.startswith(f"{data_dir / part}.npy: no such file; ")


def test_a_folder_that_is_away(own_run, verify, tmp_path):
    assert "absent" in refused(lambda: verify(own_run, data=tmp_path / "absent"), DataError, 3)


def test_arrays_in_memory_that_are_others_or_not_given(write_config, tmp_path, verify):
    options = workflows.SearchOptions(tmp_path / "runs")
    train = {"batch_size": 10, "learning_rate": 0.05, "epochs": 2}
    run = workflows.train({"train": train}, options=options, arrays=make_arrays()).directory
    assert "arrays in memory" in refused(lambda: verify(run), DataError, 3)
    others = make_arrays(1)
    line = refused(lambda: verify(run, arrays=others), DataError, 3)
    assert line.startswith("arrays in memory: not the arrays that ")


class Changing(Observer):
    """Changes a file in the first epoch."""

    def __init__(self, file):
        self._file = file

    def advance(self, progress):
        with open(self._file, "r+b") as stream:
            stream.seek(-8, 2)
            stream.write(np.float64(7).tobytes())


def test_arrays_that_change_meanwhile(own_run, data_dir, verify):
    line = refused(lambda: verify(own_run, Changing(data_dir / "Xte.npy")), DataError, 3)
    assert line.startswith(f"{data_dir / 'Xte.npy'}: ")


# The run


def test_a_run_that_is_not_finished(write_config, tmp_path, verify):
    options = workflows.SearchOptions(tmp_path / "runs")
    grid = {"order": ["in_order", "shuffle_once"]}
    with pytest.raises(KeyboardInterrupt):
        workflows.grid_search(write_config(grid=grid), options=options, observer=Stopping(4))
    [path] = (tmp_path / "runs").iterdir()
    line = refused(lambda: verify(RunDirectory(path)), UsageError, 2)
    assert line.startswith(f"{path}: interrupted; expected a finished run (")


@pytest.mark.parametrize(
    ("key", "found"),
    [("numerics_version", "of an older sgdlab"), ("schema_version", "an older sgdlab wrote")],
)
def test_a_run_of_an_older_version(key, found, run_of, verify):
    run = run_of("single")
    edit(run.experiment_file, **{key: json.loads(run.experiment_file.read_bytes())[key] - 1})
    line = refused(lambda: verify(run), StorageError, 4)
    assert line.startswith(f"{run.experiment_file}: {key} ")
    assert found in line


def test_a_run_of_a_newer_version(run_of, verify):
    run = run_of("single")
    edit(run.experiment_file, numerics_version=1000)
    line = refused(lambda: verify(run), StorageError, 4)
    assert line.endswith("(use the newer one)")


def test_damage_is_told_of_before_anything_is_trained(run_of, verify):
    run = run_of("plain")
    run.cell_file(7).write_bytes(b"{}")
    line = refused(lambda: verify(run, Stopping(1)), StorageError, 4)
    assert line.startswith(f"{run.cell_file(7)}: ")


def test_a_contradiction_in_a_log_that_is_not_executed_again(run_of, verify):
    """Its numbers are what the end of the run is made of."""
    run = run_of("blocks")
    other = next(n for n in range(3) if n != int(run.experiment().best))
    log = json.loads(run.cell_file(other).read_bytes())
    log["replicates"][0]["validation_loss"] *= 2
    edit(run.cell_file(other), replicates=log["replicates"])
    line = refused(lambda: verify(run, sample=1), StorageError, 4)
    assert line.startswith(f"{run.cell_file(other)}: ")
    assert verify(run).mismatch.place.quantity == "validation_loss"


# The machine and the arguments


def test_too_little_memory(run_of, verify, monkeypatch):
    run = run_of("plain")
    monkeypatch.setattr(machine, "memory_bytes", lambda: 1000)
    line = refused(lambda: verify(run, Stopping(1)), StorageError, 4)
    assert line.startswith("memory: training 4 models side by side takes about ")


def test_arguments_without_sense(run_of, verify):
    run = run_of("single")
    line = refused(lambda: verify(run, sample=0), UsageError, 2)
    assert line == "sample=0: no cells; expected 1 or more"
    arrays = make_arrays()
    line = refused(lambda: verify(run, arrays=arrays, data="x"), UsageError, 2)
    assert line == "data=x: arrays in memory too; expected one of them"


def test_no_such_run(tmp_path):
    assert "no such run" in refused(lambda: workflows.verify("x", tmp_path), UsageError, 2)
