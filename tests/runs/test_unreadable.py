"""What cannot be read now is neither absent nor broken."""

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from sgdlab import workflows
from sgdlab.errors import SgdlabError, StorageError, UsageError
from sgdlab.observer import Observer
from sgdlab.runs import reading, stops
from sgdlab.runs.experiment import read_experiment
from sgdlab.runs.setting_aside import set_aside
from sgdlab.system.looking import is_there, names_in
from tests.runs.damage import truncate
from tests.search.test_session import Recorder, Stopping, contents

PASSING = [errno.EACCES, errno.EIO, errno.EMFILE, errno.ESTALE, errno.ENOMEM]


def refusal(call, place):
    with pytest.raises(StorageError) as caught:
        call()
    assert str(caught.value).startswith(f"{place}: cannot be read now (")
    assert "delete" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("number", PASSING, ids=errno.errorcode.get)
@pytest.mark.parametrize("place", ["cells_folder", "final_folder"])
def test_logs_that_cannot_be_listed_are_not_trained_again(
    place, number, config, options, finished, refusing, monkeypatch
):
    before = contents(finished, but=())
    recorder, folder = Recorder(), getattr(finished, place)
    refusing(folder, number, "listdir", "scandir")
    refusal(lambda: workflows.grid_search(config, options=options, observer=recorder), folder)
    monkeypatch.undo()
    assert recorder.n_begun == 0
    assert contents(finished, but=()) == before


@pytest.mark.parametrize("number", PASSING, ids=errno.errorcode.get)
@pytest.mark.parametrize("name", ["experiment_file", "weights_file", "stops_folder", "stop"])
def test_an_unfinished_run_is_left_alone_while_something_of_it_cannot_be_looked_at(
    name, number, config, options, interrupted, refusing, monkeypatch
):
    before = contents(interrupted)
    path = interrupted.stops()[0] if name == "stop" else getattr(interrupted, name)
    if name == "stops_folder":
        refusing(path, number, "listdir", "scandir")
    elif name == "stop":
        original = reading.read_regular

        def read(given, most_bytes):
            if given == path:
                raise OSError(number, os.strerror(number), str(given))
            return original(given, most_bytes)

        monkeypatch.setattr(reading, "read_regular", read)
    else:
        refusing(path, number, "stat", "lstat")
    recorder = Recorder()
    refusal(lambda: workflows.grid_search(config, options=options, observer=recorder), path)
    monkeypatch.undo()
    assert recorder.n_begun == 0
    assert contents(interrupted) == before


def test_memory_that_runs_out_over_a_stop_damages_nothing(
    config, options, interrupted, monkeypatch
):
    before = contents(interrupted)

    def fail(*_arguments, **_options):
        raise MemoryError

    monkeypatch.setattr(stops, "arrays_of", fail)
    refusal(lambda: workflows.grid_search(config, options=options), interrupted.stops()[0])
    monkeypatch.undo()
    assert contents(interrupted) == before


def test_a_finished_run_is_shown_where_its_leftovers_cannot_be_listed(
    config, options, finished, refusing
):
    seen = workflows.grid_search(config, options=options)
    finished.stops_folder.mkdir(parents=True)
    refusing(finished.state_folder, errno.EACCES, "listdir", "scandir", "lstat")
    assert workflows.grid_search(config, options=options) == seen


@pytest.mark.parametrize(
    "name", [".x.tmp", ".results.csv.1-0123abcd.tmp", "cells/.0001.json.7-0123abcd.tmp"]
)
def test_a_folder_that_is_called_like_a_temporary_file_is_left_alone(
    name, config, options, finished
):
    folder = finished.path / name
    folder.mkdir()
    (folder / "mine").write_text("mine")
    assert workflows.grid_search(config, options=options).directory == finished
    assert (folder / "mine").read_text() == "mine"


# The folder of runs


@pytest.mark.parametrize("number", PASSING, ids=errno.errorcode.get)
@pytest.mark.parametrize("reference", ["latest", "grid-0"])
def test_runs_that_cannot_be_listed_are_not_no_runs(number, reference, options, finished, refusing):
    refusing(options.runs_dir, number, "listdir", "scandir", "stat")
    line = refusal(lambda: workflows.evaluate(reference, options.runs_dir), options.runs_dir)
    assert f"cannot be read now ({os.strerror(number).lower()})" in line


@pytest.mark.parametrize("when", ["listed", "looked at"])
def test_latest_passes_over_a_run_that_is_deleted_meanwhile(
    when, config, write_config, options, finished, monkeypatch
):
    last = workflows.train(write_config("last"), options=options).directory
    assert workflows.evaluate("latest", options.runs_dir).directory.name == last.name

    if when == "listed":
        original = os.listdir

        def listed(folder="."):
            names = original(folder)
            shutil.rmtree(last.path, ignore_errors=True)
            return names

        monkeypatch.setattr(os, "listdir", listed)
    else:

        def read(path, *more):
            shutil.rmtree(last.path, ignore_errors=True)
            return read_experiment(path, *more)

        monkeypatch.setattr("sgdlab.runs.directory.read_experiment", read)
    assert workflows.evaluate("latest", options.runs_dir).directory.name == finished.name


def test_starting_over_does_not_pass_a_run_that_cannot_be_read_now(
    config, options, finished, refusing
):
    fresh = workflows.SearchOptions(options.runs_dir, fresh=True)
    with pytest.raises(KeyboardInterrupt):
        workflows.grid_search(config, options=fresh, observer=Stopping(2))
    second = finished.path.with_name(f"{finished.name}-2")
    refusing(second / "experiment.json", errno.EIO, "lstat", "stat")
    refusal(lambda: workflows.grid_search(config, options=fresh), second / "experiment.json")
    assert not second.with_name(f"{finished.name}-3").exists()


# What may be looked at


@pytest.mark.parametrize("name", ["absent", "file/below", "a" * 300, "nul\0"])
def test_what_is_not_there_is_absent(name, tmp_path):
    (tmp_path / "file").touch()
    assert not is_there(tmp_path / name)
    assert names_in(tmp_path / name) == []


def test_a_link_to_nothing_is_there(tmp_path):
    (tmp_path / "link").symlink_to("nowhere")
    assert is_there(tmp_path / "link")


@pytest.mark.parametrize(
    ("number", "word"),
    [(errno.EMFILE, "ulimit -n"), (errno.EACCES, "permissions"), (errno.EIO, "disk")],
)
def test_advice_fits_the_reason(number, word, tmp_path, refusing):
    refusing(tmp_path / "file", number, "lstat", "listdir")
    for look in (is_there, names_in):
        assert word in refusal(lambda look=look: look(tmp_path / "file"), tmp_path / "file")


# What is damaged is set aside


def test_what_is_set_aside_never_takes_the_place_of_something(tmp_path):
    for number in range(3):
        (tmp_path / "file").write_text(str(number))
        set_aside(tmp_path, tmp_path / "file")
    kept = sorted((tmp_path / "damaged").iterdir())
    assert [path.name for path in kept] == ["file", "file-2", "file-3"]
    assert [path.read_text() for path in kept] == ["0", "1", "2"]


def test_a_damaged_stop_that_cannot_be_moved_stays(config, options, interrupted, monkeypatch):
    path = interrupted.stops()[0]
    truncate(path)
    before, original = path.read_bytes(), os.replace

    def refuse(source, target):
        if Path(source) == path:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        original(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(StorageError, match="read-only"):
        workflows.grid_search(config, options=options)
    assert path.read_bytes() == before


# Searches that leave nothing


def test_a_search_that_is_refused_for_its_data_leaves_no_run(write_config, options, data_dir):
    for part, place in (("Xtr", (3, 2)), ("ytr", 5), ("Xte", (0, 0)), ("yte", 7)):
        good = np.load(data_dir / f"{part}.npy")
        bad = good.copy()
        bad[place] = np.nan
        np.save(data_dir / f"{part}.npy", bad)
        with pytest.raises(SgdlabError, match=f"{part}.npy"):
            workflows.train(write_config("one"), options=options, observer=Observer())
        np.save(data_dir / f"{part}.npy", good)
        if part != "Xte" and part != "yte":
            assert list(Path(options.runs_dir).iterdir()) == []


def test_runs_that_are_not_finished_are_not_offered(options, write_config, interrupted):
    with pytest.raises(UsageError) as caught:
        workflows.evaluate("mistyped", options.runs_dir)
    assert interrupted.name not in str(caught.value)
    done = workflows.train(write_config("done"), options=options).directory
    with pytest.raises(UsageError, match=f"one of {done.name} "):
        workflows.evaluate("mistyped", options.runs_dir)


@pytest.mark.parametrize(
    ("n_epochs", "kept"), [(1, "0 of 32 cells kept"), (6, "16 of 32 cells kept")]
)
def test_an_interruption_says_what_is_kept(n_epochs, kept, config, options):
    with pytest.raises(KeyboardInterrupt) as caught:
        workflows.grid_search(config, options=options, observer=Stopping(n_epochs))
    (note,) = caught.value.__notes__
    assert note == f"{kept}; what is left starts at its first epoch"
    with pytest.raises(KeyboardInterrupt) as caught:
        workflows.grid_search(config, options=options, observer=Stopping(1))
    assert caught.value.__notes__ == [note]
