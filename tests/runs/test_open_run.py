"""What becomes of a run whose process is killed, or that two processes want."""

import os
import shutil
from contextlib import ExitStack
from dataclasses import replace

import pytest

from sgdlab import workflows
from sgdlab.config.grid import expand
from sgdlab.config.reading import load_config
from sgdlab.errors import StorageError
from sgdlab.runs.opening import open_run
from sgdlab.system import locks
from tests.runs.damage import truncate
from tests.search.test_session import GRID, TRAIN, Recorder, contents


def test_intermediate_files_that_are_broken_are_trained_again(
    config, options, interrupted, tmp_path
):
    undisturbed = workflows.grid_search(
        config, options=workflows.SearchOptions(runs_dir=tmp_path / "undisturbed")
    )
    broken = sorted(interrupted.stops_folder.iterdir())[:3]
    for path in broken:
        truncate(path)
    damaged = {path.name: path.read_bytes() for path in broken}
    recorder = Recorder()
    workflows.grid_search(config, options=options, observer=recorder)
    set_aside = interrupted.path / "damaged"
    assert {path.name: path.read_bytes() for path in set_aside.iterdir()} == damaged
    shutil.rmtree(set_aside)
    assert contents(interrupted) == contents(undisturbed.directory)
    for path, note in zip(broken, recorder.notes, strict=False):
        assert note.startswith(f"{path}: broken; set aside as {set_aside / path.name}")


PLAIN = {"train": TRAIN, "grid": GRID}
FOLDS = {"data": {"validation": {"folds": 3}}, "grid": {"l2": [0.0, 0.1]}, "train": {"epochs": 2}}
ALL = {"test_losses": "all", "keep_weights": "all"}


@pytest.mark.parametrize(
    ("sections", "wanted", "is_finished"),
    [(PLAIN, {}, False), (FOLDS, {}, False), (PLAIN, ALL, True), (FOLDS, ALL, True)],
    ids=["plain", "folds", "more of a finished one", "more of one with folds"],
)
def test_after_a_kill_at_any_write_the_same_command_finishes_the_run(
    sections, wanted, is_finished, write_config, tmp_path, monkeypatch
):
    """What a killed process would leave is what is there before a flush, rename or removal."""
    config = write_config("grid", **sections)
    undisturbed = workflows.SearchOptions(runs_dir=tmp_path / "undisturbed", **wanted)
    if is_finished:
        workflows.grid_search(config, options=replace(undisturbed, **dict.fromkeys(ALL, "best")))
    snapshots = []

    def copying(function):
        def wrapped(*arguments, **options):
            snapshots.append(tmp_path / f"{function.__name__}-{len(snapshots)}")
            shutil.copytree(undisturbed.runs_dir, snapshots[-1])
            return function(*arguments, **options)

        return wrapped

    for owner, name in ((os, "fsync"), (os, "replace"), (os, "unlink"), (os, "rmdir")):
        monkeypatch.setattr(owner, name, copying(getattr(owner, name)))
    directory = workflows.grid_search(config, options=undisturbed).directory
    monkeypatch.undo()
    expected, names = contents(directory), sorted(path.name for path in directory.path.iterdir())
    assert len(snapshots) > 30
    for runs_dir in snapshots:
        killed = replace(undisturbed, runs_dir=runs_dir)
        directory = workflows.grid_search(config, options=killed).directory
        assert contents(directory) == expected
        assert sorted(path.name for path in directory.path.iterdir()) == names
        assert workflows.evaluate(directory.name, runs_dir).warnings == ()
    assert set(names) == {
        "cells", "experiment.json", "predictions.npz", "results.csv", "weights.npz",
    } | ({"final"} if sections is FOLDS else set())  # fmt: skip


@pytest.mark.parametrize("is_locked", [True, False])
def test_what_a_kill_after_the_end_leaves_is_removed(config, options, finished, is_locked):
    before = contents(finished, but=())
    finished.stops_folder.mkdir(parents=True)
    if is_locked:
        (finished.state_folder / "lock").touch()
    (finished.path / ".experiment.json.1-00000000.tmp").write_text("{")
    recorder = Recorder()
    workflows.grid_search(config, options=options, observer=recorder)
    assert contents(finished, but=()) == before
    assert not finished.state_folder.exists()
    assert recorder.n_begun == 0


def test_a_process_that_takes_the_lock_next_keeps_its_files(finished, config, monkeypatch):
    """It comes between the release of the lock and the removal of the folder."""
    cells = expand(load_config(config)).cells
    release = locks.FileLock.release
    held = ExitStack()

    def release_then_hold(lock, *arguments, **options):
        release(lock, *arguments, **options)
        monkeypatch.undo()
        held.enter_context(open_run(finished, cells, is_synthetic=False))

    monkeypatch.setattr(locks.FileLock, "release", release_then_hold)
    with open_run(finished, cells, is_synthetic=False):
        pass
    with held:
        assert {path.name for path in finished.state_folder.iterdir()} == {
            "lock", "lock.holder", "stops",
        }  # fmt: skip
        with (
            pytest.raises(StorageError, match="in use by pid"),
            open_run(finished, cells, is_synthetic=False),
        ):
            pytest.fail("two holders")
    assert not finished.state_folder.exists()
