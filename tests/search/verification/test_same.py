"""A run that is as it was computed is the same again, and nothing of it is touched."""

import shutil

import numpy as np
import pytest

from sgdlab import workflows
from sgdlab.data import row_array
from sgdlab.runs import open_run, opening
from sgdlab.runs.directory import RunDirectory
from sgdlab.system import blas
from sgdlab.system import files as system_files
from tests.conftest import make_arrays
from tests.runs.damage import edit
from tests.search.test_session import Recorder, Stopping
from tests.search.verification.conftest import KINDS


def state_of(folder):
    """Everything of a folder that a write would change."""
    return {
        str(path): (path.stat().st_mtime_ns, path.stat().st_ino, path.is_dir() or path.read_bytes())
        for path in (folder, *folder.rglob("*"))
    }


@pytest.mark.parametrize("sample", [None, 1, 2])
@pytest.mark.parametrize("extent", ["best", "all"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_run_is_the_same_again(kind, extent, sample, library, verify):
    run = RunDirectory(library(kind, extent))
    before = state_of(run.path.parent)
    result = verify(run, sample=sample)
    assert result.mismatch is None
    assert result.is_exact
    assert sum(tally.n_compared for tally in result.tallies) > 30
    assert {tally.n_different for tally in result.tallies} == {0}
    assert state_of(run.path.parent) == before


def test_every_file_is_compared(library, verify):
    for kind in ("plain", "folds"):
        run = RunDirectory(library(kind))
        names = {name.split("/")[0] for name in run.experiment().known_hashes}
        found = {tally.file.rstrip("/") for tally in verify(run).tallies}
        assert found == names | {"experiment.json"}


def test_every_number_of_every_log_is_compared(library, verify):
    """Three of every epoch, and what stands beside them."""
    run = RunDirectory(library("plain"))
    cells = [2, 2, 3, 3] * 2  # epochs
    [logs] = [tally for tally in verify(run).tallies if tally.file == "cells/"]
    assert logs.n_compared >= sum(3 * epochs + 2 + 7 + 6 for epochs in cells)


@pytest.mark.parametrize("module", [system_files, open_run, opening])
def test_neither_lock_nor_write_is_tried(module, library, verify, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a write")

    for name in ("write_files", "make_folder", "locked", "open_run"):
        if hasattr(module, name):
            monkeypatch.setattr(module, name, refuse)
    monkeypatch.setattr("os.utime", refuse)
    assert verify(RunDirectory(library("folds"))).is_same


def test_the_run_that_was_made_last_stays_the_latest(library, verify, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for kind in ("single", "plain"):
        path = library(kind)
        shutil.copytree(path, tmp_path / "runs" / f"{kind}-1")
    (tmp_path / "runs" / "plain-1" / "experiment.json").touch()
    verify(RunDirectory(tmp_path / "runs" / "single-1"))
    assert workflows.verify("latest").directory.name == "plain-1"


def test_a_run_of_several_sessions(write_config, tmp_path, verify):
    grid = KINDS["plain"]["grid"] | {"order": ["in_order", "shuffle_once"]}
    config = write_config("grid", grid=grid)
    options = workflows.SearchOptions(tmp_path / "runs")
    with pytest.raises(KeyboardInterrupt):
        workflows.grid_search(config, options=options, observer=Stopping(4))
    workflows.grid_search(config, options=options)
    more = workflows.SearchOptions(tmp_path / "runs", test_losses="all", keep_weights="all")
    run = workflows.grid_search(config, options=more).directory
    assert len(run.experiment().sessions) == 3
    assert verify(run).is_same


@pytest.mark.parametrize("name", ["float32", "uint8", "Fortran"])
def test_arrays_of_other_kinds_that_are_streamed(name, write_config, data_dir, tmp_path, verify):
    arrays = make_arrays()
    for part in ("Xtr", "Xte"):
        array = arrays[part]
        made = np.asfortranarray(array) if name == "Fortran" else (40 * array + 100).astype(name)
        np.save(data_dir / f"{part}.npy", made)
    train = {"learning_rate": 1e-3 if name == "Fortran" else 1e-6}
    sections = {"run": {"memory_budget": 1000}, "data": {"preprocess": "center"}}
    options = workflows.SearchOptions(tmp_path / "runs")
    run = workflows.train(write_config(train=train, **sections), options=options).directory
    assert verify(run).is_same


def test_the_plan_of_the_run_is_followed_whatever_one_would_be_made_now(library, run_of, verify):
    """As on a machine with more processors, or with another version that cuts other blocks."""
    run = run_of("blocks")
    config = run.experiment().to_json()["config"]
    config["run"]["trajectories_per_block"] = "auto"
    edit(run.experiment_file, config=config)
    assert verify(run).is_same


# Where the arrays are


def test_arrays_that_moved_are_found_where_they_are_said_to_be(run_of, data_dir, verify):
    run = run_of("plain")
    moved = data_dir.rename(data_dir.with_name("moved"))
    for part in ("Xtr", "ytr", "Xte", "yte"):
        (moved / f"{part}.npy").rename(moved / f"my_{part}.npy")
    config = run.experiment().to_json()["config"]
    config["data"]["path"] = str(data_dir)
    edit(run.experiment_file, config=config)
    assert verify(run, data=moved, prefix="my_").is_same


def test_arrays_in_memory(write_config, tmp_path, verify):
    arrays = make_arrays()
    config = {"train": {"batch_size": 10, "learning_rate": 0.05, "epochs": 2}}
    options = workflows.SearchOptions(tmp_path / "runs")
    run = workflows.grid_search(config, options=options, arrays=arrays).directory
    assert verify(run, arrays=arrays).is_same


def test_large_files_are_known_by_their_whole_hash(write_config, tmp_path, verify, monkeypatch):
    monkeypatch.setattr(row_array, "HASHED_WHOLE_BYTES", 1000)
    options = workflows.SearchOptions(tmp_path / "runs")
    run = workflows.train(write_config(), options=options).directory
    assert verify(run).is_same


# On the way


def test_progress_is_told_of(library, verify):
    recorder = Recorder()
    verify(RunDirectory(library("plain")), recorder)
    assert recorder.n_begun == recorder.n_ended == 1
    last = recorder.progress[-1]
    assert (last.epoch, last.n_epochs, last.n_cells) == (3, 3, 8)


def test_an_interruption_leaves_nothing(library, verify):
    run = RunDirectory(library("plain"))
    before = state_of(run.path.parent)
    with pytest.raises(KeyboardInterrupt):
        verify(run, Stopping(2))
    assert state_of(run.path.parent) == before


def test_threads_are_those_of_the_session_that_finished_the_run(run_of, verify, monkeypatch):
    run = run_of("plain")
    sessions = run.experiment().to_json()["sessions"]
    edit(run.experiment_file, sessions=[sessions[0] | {"threads": 3}])
    asked = []
    limited = blas.blas_threads

    def noting(n_threads):
        asked.append(n_threads)
        return limited(n_threads)

    monkeypatch.setattr("sgdlab.search.verification.verify.blas_threads", noting)
    assert verify(run).is_same
    assert asked == [3]
