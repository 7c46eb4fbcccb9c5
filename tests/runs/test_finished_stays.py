"""A finished run stays finished, whatever is asked of it later and fails."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from sgdlab import workflows
from sgdlab.engine import training
from sgdlab.errors import StorageError
from sgdlab.evaluation import score
from sgdlab.observer import Observer
from sgdlab.runs.directory import RunDirectory
from tests.runs.damage import truncate
from tests.search.test_session import Recorder, Stopping, contents

PLAIN = {"grid": {"l2": [0.0, 0.1], "order": ["in_order", "shuffle_once"]}}
FOLDS = {"data": {"validation": {"folds": 3}}, "grid": {"l2": [0.0, 0.1, 0.2]}}
WEIGHTS, LOSSES = {"keep_weights": "all"}, {"test_losses": "all"}


@pytest.fixture(params=[PLAIN, FOLDS], ids=["plain", "folds"])
def run(request, write_config, tmp_path):
    """A config, the options of a finished run of it, and that run."""
    config = write_config("grid", **request.param)
    options = workflows.SearchOptions(tmp_path / "runs")
    return config, options, workflows.grid_search(config, options=options).directory


def asking(options, more):
    return workflows.SearchOptions(options.runs_dir, **more)


def shown(config, options, directory):
    """What the commands show that ask for no more than there is."""
    evaluated = workflows.evaluate(directory.name, options.runs_dir)
    return workflows.grid_search(config, options=options), evaluated.evaluated


def undisturbed(config, more, tmp_path) -> RunDirectory:
    options = workflows.SearchOptions(tmp_path / "undisturbed")
    workflows.grid_search(config, options=options)
    return workflows.grid_search(config, options=asking(options, more)).directory


def full_after(monkeypatch, n_writes):
    """A disk that is full after some files are written, and stays so."""
    original, written = Path.write_bytes, []

    def write(path, content):
        written.append(path)
        if len(written) > n_writes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return original(path, content)

    monkeypatch.setattr(Path, "write_bytes", write)


def check_is_as_before(before, seen, run):
    config, options, directory = run
    now = contents(directory, but=())
    assert {name: now[name] for name in before} == before
    assert shown(config, options, directory) == seen
    assert directory.experiment().is_finished


@pytest.mark.parametrize("more", [WEIGHTS, LOSSES, WEIGHTS | LOSSES], ids=str)
@pytest.mark.parametrize("n_writes", [0, 1, 2, 3, 5])
def test_a_full_disk_takes_nothing_from_it(n_writes, more, run, tmp_path, monkeypatch):
    config, options, directory = run
    before, seen = contents(directory, but=()), shown(*run)
    expected = contents(undisturbed(config, more, tmp_path))
    full_after(monkeypatch, n_writes)
    with pytest.raises(StorageError, match="no space left on device"):
        workflows.grid_search(config, options=asking(options, more))
    monkeypatch.undo()
    check_is_as_before(before, seen, run)
    workflows.grid_search(config, options=asking(options, more))
    assert contents(directory) == expected
    assert not directory.state_folder.exists()


@pytest.mark.parametrize("more", [WEIGHTS, LOSSES], ids=str)
@pytest.mark.parametrize("n_epochs", [1, 2])
def test_an_interruption_takes_nothing_from_it(n_epochs, more, run, tmp_path):
    config, options, directory = run
    before, seen = contents(directory, but=()), shown(*run)
    expected = contents(undisturbed(config, more, tmp_path))
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            workflows.grid_search(
                config, options=asking(options, more), observer=Stopping(n_epochs)
            )
        check_is_as_before(before, seen, run)
    workflows.grid_search(config, options=asking(options, more))
    assert contents(directory) == expected
    assert len(directory.experiment().sessions) == 4


@pytest.mark.parametrize("place", [(training, "run_pass"), (score, "score")], ids=str)
def test_memory_that_runs_out_takes_nothing_from_it(place, run, tmp_path, monkeypatch):
    config, options, directory = run
    before, seen = contents(directory, but=()), shown(*run)

    def fail(*_arguments, **_options):
        raise MemoryError

    monkeypatch.setattr(*place, fail)
    with pytest.raises(MemoryError):
        workflows.grid_search(config, options=asking(options, WEIGHTS | LOSSES))
    monkeypatch.undo()
    check_is_as_before(before, seen, run)


@pytest.mark.parametrize("n_writes", [2, 3])
@pytest.mark.parametrize("lost", ["table", "log"])
def test_what_is_made_again_in_vain_leaves_the_rest_finished(lost, n_writes, run, monkeypatch):
    config, options, directory = run
    before, best = contents(directory), int(directory.experiment().best)
    log = directory.cell_file(1 if best == 0 else 0)
    (directory.results_file if lost == "table" else log).unlink()
    full_after(monkeypatch, n_writes)
    with pytest.raises(StorageError, match="no space left"):
        workflows.grid_search(config, options=options)
    monkeypatch.undo()
    assert directory.experiment().is_finished
    assert workflows.evaluate("latest", options.runs_dir).warnings == ()
    workflows.grid_search(config, options=options)
    assert contents(directory) == before


def test_what_is_begun_for_more_outlives_the_command_that_asks_for_less(run):
    config, options, directory = run
    with pytest.raises(KeyboardInterrupt):
        workflows.grid_search(config, options=asking(options, WEIGHTS), observer=Stopping(3))
    stops = [path.name for path in directory.stops()]
    workflows.grid_search(config, options=options)
    assert [path.name for path in directory.stops()] == stops
    assert stops


def test_a_damaged_plan_of_more_is_set_aside(run, tmp_path):
    config, options, directory = run
    expected = contents(undisturbed(config, WEIGHTS, tmp_path))
    with pytest.raises(KeyboardInterrupt):
        workflows.grid_search(config, options=asking(options, WEIGHTS), observer=Stopping(1))
    record = directory.successor.experiment_file
    truncate(record)
    damaged, recorder = record.read_bytes(), Recorder()
    seen = shown(*run)
    assert seen[0].directory == directory
    workflows.grid_search(config, options=asking(options, WEIGHTS), observer=recorder)
    kept = directory.path / "damaged" / "next" / "experiment.json"
    assert kept.read_bytes() == damaged
    assert any(str(kept.parent) in note for note in recorder.notes)
    shutil.rmtree(kept.parents[1])
    assert contents(directory) == expected


@pytest.mark.parametrize("name", ["mkdir", "replace", "unlink", "rmdir"])
def test_leftovers_of_a_run_on_a_disk_that_cannot_be_written_hide_nothing(name, run, monkeypatch):
    config, options, directory = run
    seen = shown(*run)
    (directory.path / ".results.csv.1-0123abcd.tmp").write_text("x")
    directory.stops_folder.mkdir(parents=True)

    def refuse(*_arguments, **_options):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, name, refuse)
    assert shown(*run) == seen
    monkeypatch.undo()
    workflows.grid_search(config, options=options, observer=Observer())
    assert not directory.has_leftovers
