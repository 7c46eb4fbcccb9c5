"""A run that somebody else made is believed in nothing that could do harm."""

import json
import os

import pytest

from sgdlab import workflows
from sgdlab.errors import StorageError, UsageError
from sgdlab.runs import sizes
from sgdlab.runs.reading import MANY
from sgdlab.runs.sizes import RECORD_BYTES
from tests.runs.damage import edit, write_sealed
from tests.search.test_session import contents
from tests.system.test_files import names, needs_unix

FOLDERS = ["cells", "final", "state", "state/stops", "state/next", "state/next/cells", "damaged"]


def refusals(config, options, directory):
    """The lines with which a search and an evaluation end."""
    calls = (
        lambda: workflows.grid_search(config, options=options),
        lambda: workflows.evaluate(directory.name, options.runs_dir),
    )
    for call in calls:
        with pytest.raises(StorageError) as caught:
            call()
        message = str(caught.value)
        assert len(message.splitlines()) == 1
        assert len(message) < 600
        yield message


@needs_unix
@pytest.mark.parametrize("where", ["elsewhere", "absent"])
@pytest.mark.parametrize("name", FOLDERS)
@pytest.mark.parametrize("kind", ["finished", "interrupted"])
def test_folders_that_lead_elsewhere_are_not_followed(
    kind, name, where, config, options, request, tmp_path
):
    directory = request.getfixturevalue(kind)
    outside, folder = tmp_path / "outside", directory.path / name
    outside.mkdir()
    for mine in ("lock", "block-0000-epoch-000001.npz", ".a.json.1-00000000.tmp"):
        (outside / mine).write_bytes(b"mine")
    before = names(outside)
    if folder.is_dir():
        folder.rename(tmp_path / "was")
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.symlink_to(outside if where == "elsewhere" else outside / "new")
    for message in refusals(config, options, directory):
        assert message.startswith(f"{folder}: a symbolic link; expected a folder of the run")
    assert names(outside) == before
    assert all((outside / mine).read_bytes() == b"mine" for mine in before)


@needs_unix
def test_nothing_is_written_through_a_run_that_is_a_link(config, options, tmp_path):
    found = workflows.grid_search(config, options=workflows.SearchOptions(tmp_path / "first"))
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "results.csv").write_bytes(b"mine")
    link = tmp_path / "runs" / found.directory.name
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(outside)
    with pytest.raises(StorageError, match="a symbolic link; expected a folder of its own"):
        workflows.grid_search(config, options=options)
    assert names(outside) == ["results.csv"]
    assert (outside / "results.csv").read_bytes() == b"mine"


@needs_unix
def test_a_run_that_is_a_link_to_a_finished_one_is_shown(config, options, finished, tmp_path):
    moved = finished.path.rename(tmp_path / "moved")
    finished.path.symlink_to(moved)
    before = contents(finished)
    seen = workflows.grid_search(config, options=options)
    assert seen.directory == finished
    assert workflows.evaluate(finished.name, options.runs_dir).result.cell == seen.best.cell
    assert contents(finished) == before


@needs_unix
@pytest.mark.parametrize("kind", ["fifo", "zeros", "folder", "link"])
@pytest.mark.parametrize("name", ["experiment.json", "weights.npz", "predictions.npz"])
def test_files_that_are_none_are_not_read(name, kind, config, options, finished, tmp_path):
    file = finished.path / name
    file.rename(tmp_path / "was")
    if kind == "fifo":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    else:
        file.symlink_to("/dev/zero" if kind == "zeros" else tmp_path / "was")
    with pytest.raises(StorageError) as caught:
        workflows.grid_search(config, options=options)
    what = "a symbolic link" if kind in ("zeros", "link") else "not a regular file"
    assert str(caught.value).startswith(f"{file}: cannot be used ({what}); expected it as sgdlab")


@pytest.mark.parametrize("name", ["experiment.json", "weights.npz", "cells/0003.json"])
def test_files_that_are_larger_than_any_are_not_read(name, config, options, finished):
    with open(finished.path / name, "ab") as stream:
        stream.truncate(2**42)
    with pytest.raises(StorageError, match=f"{2**42} bytes, of at most"):
        workflows.grid_search(config, options=options)


@needs_unix
@pytest.mark.parametrize("kind", ["fifo", "zeros", "folder"])
def test_latest_passes_what_is_no_record(kind, options, finished):
    record = finished.path.parent / "neighbour" / "experiment.json"
    record.parent.mkdir()
    if kind == "fifo":
        os.mkfifo(record)
    elif kind == "zeros":
        record.symlink_to("/dev/zero")
    else:
        record.mkdir()
    assert workflows.evaluate("latest", options.runs_dir).directory.name == finished.name
    with pytest.raises(UsageError, match=f"one of {finished.name}"):
        workflows.evaluate("absent", options.runs_dir)
    with pytest.raises(StorageError):
        workflows.evaluate("neighbour", options.runs_dir)


# Numbers and texts of a record


def counts(completed):
    return {"cells": {"completed": completed, "diverged": 0}}


ABSURD = {
    "files: 35, but cells are 100000000": counts(10**8),
    "cells.completed: input should be less than": counts(10**30),
    "findings.0: characters that are not printable": {"findings": ["all is well\x1b[2J"]},
    "findings.1: characters": {"findings": ["all is", "\u202egnp.exe"]},
    "findings.0: input should be a valid string": {"findings": [1] * 10**5},
    "sessions: input should be a valid tuple": {"sessions": 7},
    "final_plan.0: input should be": {"final_plan": [1] * 10**5},
    "10001 keys or values that are not its own": {f"{n:012d}": n for n in range(10**4 + 1)},
    "more brackets or keys": {"findings": [[]] * 10**5},
}


@pytest.mark.parametrize("why", ABSURD)
def test_a_record_is_not_believed(why, config, options, finished):
    assert MANY < 10**4
    edit(finished.experiment_file, **ABSURD[why])
    for message in refusals(config, options, finished):
        assert message.startswith(f"{finished.experiment_file}: cannot be used (")
        assert why in message.lower() or why in message


def test_a_record_is_larger_only_beside_logs(config, options, finished):
    """As many bytes more as these have."""
    record = json.loads(finished.experiment_file.read_bytes())
    record["environment"]["command_line"] = ["x" * (RECORD_BYTES - 3000)]
    write_sealed(finished.experiment_file, record)
    assert finished.experiment_file.stat().st_size > RECORD_BYTES
    assert workflows.grid_search(config, options=options).directory == finished
    record["environment"]["command_line"] = ["x" * (RECORD_BYTES + 10**6)]
    write_sealed(finished.experiment_file, record)
    for message in refusals(config, options, finished):
        assert "bytes, of at most" in message


GRIDS = {
    "more than are planned": {"batch_size": [10], "learning_rate": [0.1], "epochs": [2]}
    | {"l2": [n / 10**4 for n in range(10**4)], "initial_bias": [n / 10**4 for n in range(10**4)]},
    "no epochs": {"batch_size": [10], "learning_rate": [0.1]},
    "no equal lengths": {"zip": {"batch_size": [1, 2], "epochs": [1]}, "learning_rate": [0.1]},
}


@pytest.mark.parametrize("name", GRIDS)
def test_a_grid_is_counted_before_it_is_expanded(name, config, options, finished):
    record = json.loads(finished.experiment_file.read_bytes())
    for key in ("batch_size", "learning_rate", "epochs"):
        record["config"]["train"].pop(key, None)
    edit(finished.experiment_file, config=record["config"] | {"grid": [GRIDS[name]]})
    for message in refusals(config, options, finished):
        assert message.startswith(f"{finished.experiment_file}: cannot be used (config.")


@pytest.mark.parametrize("key", ["chunk_rows", "window_rows", "index"])
def test_a_plan_is_not_believed(key, config, options, interrupted):
    plan = json.loads(interrupted.experiment_file.read_bytes())["plan"]
    holder = plan[0] if key == "chunk_rows" else plan[0]["blocks"][0]
    holder[key] = 2**62 if key != "window_rows" else 10**9 * 16
    edit(interrupted.experiment_file, plan=plan)
    with pytest.raises(StorageError, match=rf"plan: .*{key}|plan: windows"):
        workflows.grid_search(config, options=options)


@pytest.mark.parametrize("fold", [10**8, 2**62, 1])
def test_folds_of_a_log_are_counted_before_they_are_listed(fold, config, options, finished):
    file = finished.cell_file(2)
    log = json.loads(file.read_bytes())
    log["replicates"][0]["fold"] = fold
    write_sealed(file, log)
    with pytest.raises(StorageError, match="replicates: fold and replicate: 1 of other folds"):
        workflows.grid_search(config, options=options)


def test_a_plan_that_was_asked_for_may_be_as_long_as_it_is(
    config, options, interrupted, monkeypatch
):
    """Also before anything of it is committed."""
    for stop in interrupted.stops():
        stop.unlink()
    for log in interrupted.cells_folder.iterdir():
        log.unlink()
    n_bytes = interrupted.experiment_file.stat().st_size
    monkeypatch.setattr(sizes, "RECORD_BYTES", n_bytes - 100)
    with pytest.raises(StorageError, match=f"{n_bytes} bytes, of at most"):
        interrupted.experiment()
    assert workflows.grid_search(config, options=options).directory == interrupted
