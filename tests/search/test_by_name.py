"""Results, logs, weights and rows of tables are found by the names of cells, never by place."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from sgdlab import workflows
from sgdlab.errors import StorageError
from sgdlab.observer import Observer
from sgdlab.runs import reading
from sgdlab.runs.directory import RunDirectory
from sgdlab.runs.seals import SEAL, sealed
from tests.search.test_session import GRID, TRAIN, Recorder, Stopping, contents, only_run

FOLDS = {"data": {"validation": {"folds": 3}}, "grid": {"l2": [0.0, 0.1, 0.2], "epochs": [2, 3]}}
PLAIN = {"grid": GRID, "train": TRAIN}
BOTH = {"test_losses": "all", "keep_weights": "all"}


class Removing(Observer):
    """Removes logs of a run when a training ends, before the run is finished."""

    def __init__(self, runs_dir, names, training):
        self._runs_dir, self._names, self._training = Path(runs_dir), names, training

    def end(self):
        self._training -= 1
        if not self._training:
            [run] = self._runs_dir.iterdir()
            for name in self._names:
                (run / name).unlink()


@pytest.mark.parametrize("extent", ["best", "all"])
@pytest.mark.parametrize(
    ("sections", "names", "training"),
    [
        (PLAIN, ["cells/0000.json"], 1),
        (PLAIN, ["cells/0007.json"], 1),
        (PLAIN, ["cells/0015.json", "cells/0002.json"], 1),
        (FOLDS, ["cells/0004.json"], 1),
        (FOLDS, ["final/BEST.json"], 2),
    ],
)
def test_a_log_that_vanishes_before_the_end_is_named_and_made_again(
    sections, names, training, extent, write_config, tmp_path
):
    config = write_config("grid", **sections)
    undisturbed = workflows.SearchOptions(tmp_path / "undisturbed", False, False, extent, extent)
    expected = workflows.grid_search(config, options=undisturbed)
    names = [name.replace("BEST", expected.best.cell.name) for name in names]
    options = workflows.SearchOptions(tmp_path / "runs", False, False, extent, extent)
    observer = Removing(options.runs_dir, names, training)
    with pytest.raises(StorageError) as caught:
        workflows.grid_search(config, options=options, observer=observer)
    assert any(str(caught.value).startswith(str(only_run(options).path / n)) for n in names)
    assert "train again: what is missing is made again" in str(caught.value)
    found = workflows.grid_search(config, options=options)
    assert contents(found.directory) == contents(expected.directory)
    assert found.rows() == expected.rows()


@pytest.mark.parametrize("n_epochs", [2, 6, 8])
def test_logs_that_vanish_between_two_commands_are_made_again(n_epochs, write_config, tmp_path):
    config = write_config("grid", train=TRAIN, grid=GRID | {"order": ["in_order", "shuffle_once"]})
    undisturbed = workflows.SearchOptions(tmp_path / "undisturbed")
    expected = contents(workflows.grid_search(config, options=undisturbed).directory)
    options = workflows.SearchOptions(tmp_path / "runs")
    with pytest.raises(KeyboardInterrupt):
        workflows.grid_search(config, options=options, observer=Stopping(n_epochs))
    directory = only_run(options)
    for file in sorted(directory.cells_folder.iterdir())[::3]:
        file.unlink()
    assert contents(workflows.grid_search(config, options=options).directory) == expected


# Logs of other cells


def relabelled(file, name):
    """The content of a log, as one of another cell."""
    log = json.loads(file.read_bytes()) | {"cell": name}
    del log[SEAL]
    return sealed(log)


@pytest.mark.parametrize("sections", [PLAIN, FOLDS], ids=["plain", "folds"])
@pytest.mark.parametrize("folder", ["cells", "final"])
@pytest.mark.parametrize("is_finished", [True, False])
def test_a_log_of_a_cell_outside_of_the_grid_is_refused(
    sections, folder, is_finished, write_config, tmp_path
):
    config, options = write_config("grid", **sections), workflows.SearchOptions(tmp_path / "runs")
    if is_finished:
        workflows.grid_search(config, options=options)
    else:
        with pytest.raises(KeyboardInterrupt):
            workflows.grid_search(config, options=options, observer=Stopping(3))
    directory = only_run(options)
    stray = directory.path / folder / "0016.json"
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(relabelled(directory.cell_file(1), "0016"))
    with pytest.raises(StorageError) as caught:
        workflows.grid_search(config, options=options)
    assert str(caught.value).startswith(f"{stray}: not a log of a cell of the grid; expected ")
    stray.unlink()
    assert len(workflows.grid_search(config, options=options).results) in (6, 16)


@pytest.mark.parametrize("source", [0, 4])
def test_a_log_of_another_cell_under_the_name_of_one_is_refused(source, write_config, tmp_path):
    config, options = write_config("grid", **PLAIN), workflows.SearchOptions(tmp_path / "runs")
    with pytest.raises(KeyboardInterrupt):
        workflows.grid_search(config, options=options, observer=Stopping(3))
    directory = only_run(options)
    file = directory.cell_file(1)
    file.write_bytes(relabelled(directory.cell_file(source), "0001"))
    with pytest.raises(StorageError, match=rf"^{file}: .*hyperparameters") as caught:
        workflows.grid_search(config, options=options)
    assert caught.value.exit_code == 4


# Stops and weights


def test_a_stop_of_trainings_that_the_run_has_not_is_dropped_with_a_word(write_config, tmp_path):
    config = write_config("grid", **PLAIN)
    expected = workflows.grid_search(
        config, options=workflows.SearchOptions(tmp_path / "undisturbed")
    ).directory
    changes = [{"cell": 99}, {"cell": -1}, {"replicate": 1}, {"fold": 0}]
    for number, change in enumerate(changes):
        options = workflows.SearchOptions(tmp_path / f"runs-{number}")
        with pytest.raises(KeyboardInterrupt):
            workflows.grid_search(config, options=options, observer=Stopping(3))
        file = next(iter(only_run(options).stops_folder.iterdir()))
        with np.load(file) as stop:
            arrays = dict(stop)
        for name, value in change.items():
            arrays[name][0] = value
        np.savez(file, **arrays)
        recorder = Recorder()
        found = workflows.grid_search(config, options=options, observer=recorder).directory
        assert any(str(file) in note for note in recorder.notes)
        shutil.rmtree(found.path / "damaged")
        assert contents(found) == contents(expected)


def test_a_stop_with_a_row_too_few_in_an_array_is_dropped(write_config, tmp_path):
    config, options = write_config("grid", **PLAIN), workflows.SearchOptions(tmp_path / "runs")
    with pytest.raises(KeyboardInterrupt):
        workflows.grid_search(config, options=options, observer=Stopping(3))
    file = next(iter(only_run(options).stops_folder.iterdir()))
    with np.load(file) as stop:
        arrays = dict(stop)
    np.savez(file, **(arrays | {"cell": arrays["cell"][:-1]}))
    recorder = Recorder()
    workflows.grid_search(config, options=options, observer=recorder)
    assert any(str(file) in note for note in recorder.notes)


def test_a_stop_that_cannot_be_opened_is_not_taken_for_a_broken_one(
    write_config, tmp_path, monkeypatch
):
    config, options = write_config("grid", **PLAIN), workflows.SearchOptions(tmp_path / "runs")
    with pytest.raises(KeyboardInterrupt):
        workflows.grid_search(config, options=options, observer=Stopping(3))
    file = next(iter(only_run(options).stops_folder.iterdir()))
    read = reading.read_regular

    def refuse(path, most_bytes):
        if path == file:
            raise PermissionError(13, "Permission denied")
        return read(path, most_bytes)

    with monkeypatch.context() as patch:
        patch.setattr(reading, "read_regular", refuse)
        with pytest.raises(StorageError, match=f"^{file}: cannot be read now .permission denied"):
            workflows.grid_search(config, options=options)
    assert file.exists()
    workflows.grid_search(config, options=options)


@pytest.mark.parametrize("order", [["float64", "float32"], ["float32", "float64"]])
def test_weights_kept_of_both_precisions_are_those_that_were_logged(order, write_config, tmp_path):
    """They stand in one array, which is as wide as the widest."""
    config = write_config("grid", grid={"precision": order, "l2": [0.0, 0.1]})
    options = workflows.SearchOptions(tmp_path / "runs", keep_weights="all")
    directory = workflows.grid_search(config, options=options).directory
    for cell in range(4):
        found = workflows.evaluate(directory.name, options.runs_dir, cell)
        assert found.warnings == ()
    every = workflows.SearchOptions(tmp_path / "runs", **BOTH)
    later = workflows.grid_search(config, options=every)
    at_once = workflows.grid_search(
        config, options=workflows.SearchOptions(tmp_path / "at-once", **BOTH)
    )
    assert contents(later.directory) == contents(at_once.directory)


def test_rows_of_the_table_are_of_the_cells_that_they_name(write_config, tmp_path):
    config = write_config("grid", **FOLDS)
    options = workflows.SearchOptions(tmp_path / "runs", **BOTH)
    found = workflows.grid_search(config, options=options)
    rows = list(csv.DictReader(found.directory.results_file.read_text().splitlines()))
    assert [row["cell"] for row in rows] == [f"{cell:04d}" for cell in range(6)]
    for row in rows:
        alone = workflows.evaluate(found.directory.name, options.runs_dir, int(row["cell"]))
        tested = next(rows for rows in alone.evaluated if rows.rows == "test")
        assert float(row["test_loss"]) == pytest.approx(tested.losses.half_mse, rel=1e-12)
        log = json.loads(found.directory.cell_file(int(row["cell"])).read_bytes())
        assert float(row["validation_loss"]) == log["validation_loss"]
        assert float(row["l2"]) == log["hyperparameters"]["l2"]


def test_a_finished_run_without_a_log_is_not_shown(write_config, tmp_path, monkeypatch):
    """It vanishes between the look at what is there and the reading."""
    config, options = write_config("grid", **PLAIN), workflows.SearchOptions(tmp_path / "runs")
    directory = workflows.grid_search(config, options=options).directory
    shutil.copytree(directory.path, tmp_path / "before")
    check = RunDirectory.missing_files

    def then_remove(self, *arguments):
        found = check(self, *arguments)
        self.cell_file(4).unlink(missing_ok=True)
        return found

    monkeypatch.setattr(RunDirectory, "missing_files", then_remove)
    with pytest.raises(StorageError, match=f"^{directory.cell_file(4)}: "):
        workflows.grid_search(config, options=options)
    monkeypatch.undo()
    again = workflows.grid_search(config, options=options).directory
    assert contents(again) == contents(RunDirectory(tmp_path / "before"))
