"""What becomes of a run whose files are missing, broken, moved, or left behind by a kill."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sgdlab import workflows
from sgdlab.config.reading import load_config
from sgdlab.engine import training
from sgdlab.errors import NothingToSelectError, SgdlabError, StorageError, UsageError
from tests.runs.damage import complaint, edit, truncate
from tests.search.test_session import Recorder, contents

# Missing and broken files


@pytest.mark.parametrize(
    ("lost", "n_epochs"),
    [
        (["results.csv"], 0),
        (["predictions.npz"], 0),
        (["cells/0003.json"], 5),
        (["weights.npz"], 5),  # the pass of the best cell
        (["cells", "weights.npz", "results.csv"], 10),
    ],
)
def test_what_is_missing_of_a_finished_run_is_made_again(lost, n_epochs, config, options, finished):
    before = contents(finished)
    for name in lost:
        path = finished.path / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    recorder = Recorder()
    workflows.grid_search(config, options=options, observer=recorder)
    assert contents(finished) == before
    assert len(recorder.progress) == n_epochs
    assert not any("nothing left" in note for note in recorder.notes)
    assert "missing; making that again" in recorder.notes[0]
    assert lost[0] in recorder.notes[0]
    assert workflows.evaluate("latest", options.runs_dir).evaluated


@pytest.mark.parametrize(
    "name", ["results.csv", "weights.npz", "predictions.npz", "cells/0003.json"]
)
def test_a_truncated_file_is_an_error_that_says_how_to_have_it_made_again(
    name, config, options, finished
):
    before = contents(finished)
    truncate(finished.path / name)
    recorder = Recorder()
    message = complaint(
        lambda: workflows.grid_search(config, options=options, observer=recorder),
        finished.path / name,
    )
    assert recorder.notes == []
    assert message.endswith("(delete it and train again: what is missing is made again)")
    (finished.path / name).unlink()
    workflows.grid_search(config, options=options)
    assert contents(finished) == before


def test_an_altered_table_is_noticed(config, options, finished):
    finished.results_file.write_bytes(finished.results_file.read_bytes().replace(b"1", b"2"))
    message = complaint(
        lambda: workflows.grid_search(config, options=options), finished.results_file
    )
    assert "sha256" in message


@pytest.mark.parametrize("name", ["validation", "test"])
def test_a_difference_is_of_all_rows(name, config, options, finished):
    """Its verdict depends on their number."""
    log = json.loads(finished.experiment_file.read_bytes())
    log["differences"][name]["n_rows"] += 1
    edit(finished.experiment_file, differences=log["differences"])
    message = complaint(
        lambda: workflows.grid_search(config, options=options), finished.experiment_file
    )
    assert f"differences.{name}.n_rows" in message


BROKEN_EXPERIMENTS = [
    {"best": "zz"},
    {"best": None},
    {"config": {}},
    {"status": "done"},
    {"data": []},
    {"plan": None},
    {"tested": 1},
    {"findings": None},
    {"test_losses": {"0001": {}}},
    {"differences": {"test": {"mean": "x", "standard_error": 1}}},
    {"constant_losses": {}},
    {"files": ["weights.npz"]},
    {"schema_version": "1"},
    {"schema_version": None},
]


@pytest.mark.parametrize("values", BROKEN_EXPERIMENTS)
def test_an_experiment_file_with_a_wrong_value_is_an_error_of_every_command(
    values, config, options, finished
):
    edit(finished.experiment_file, **values)
    for call in (
        lambda: workflows.grid_search(config, options=options),
        lambda: workflows.evaluate(finished.name, options.runs_dir),
        lambda: workflows.evaluate("latest", options.runs_dir),
    ):
        message = complaint(call, finished.experiment_file)
        assert next(iter(values)) in message or "reason" in message
        assert message.endswith("(move the run's folder away, or start over with fresh=True)")


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"{", b'"a"', b"NaN", b"[" * 5000, b"\xff"])
@pytest.mark.parametrize("name", ["experiment.json", "cells/0003.json"])
def test_a_file_of_anything_else_is_an_error(content, name, config, options, finished):
    (finished.path / name).write_bytes(content)
    assert complaint(lambda: workflows.grid_search(config, options=options), finished.path / name)


def test_what_a_newer_sgdlab_wrote_is_refused(config, options, finished):
    for file in (finished.cell_file(3), finished.experiment_file):
        edit(file, schema_version=99)
        message = complaint(lambda: workflows.grid_search(config, options=options), file)
        assert "schema_version 99, which a newer sgdlab wrote" in message


def test_what_an_older_sgdlab_wrote_is_refused_with_what_to_do(config, options, finished, sgdlab):
    for file in (finished.cell_file(3), finished.experiment_file):
        good = file.read_bytes()
        edit(file, schema_version=1)
        runs = ("--runs-dir", options.runs_dir)
        assert sgdlab("grid-search", config, *runs, "--quiet") == (
            4,
            "",
            f"sgdlab: error: {file}: schema_version 1, which an older sgdlab wrote; expected 3"
            " (move the run's folder away, or start over with --fresh)\n",
        )
        file.write_bytes(good)


@pytest.mark.parametrize(
    "values",
    [
        {"cell": "0004"},
        {"cell": None},
        {"hyperparameters": {"batch_size": 1}},
        {"replicates": []},
        {"replicates": [{}]},
        {"replicates": None},
    ],
)
def test_a_cell_log_with_a_wrong_value_is_an_error(values, config, options, finished):
    edit(finished.cell_file(3), **values)
    assert complaint(lambda: workflows.grid_search(config, options=options), finished.cell_file(3))


def test_a_wrong_value_deep_in_a_cell_log_is_an_error(config, options, finished):
    log = json.loads(finished.cell_file(3).read_bytes())
    for values in ({"validation_loss": "x"}, {"history": {}}, {"epochs": 99}, {"bias": []}):
        edit(finished.cell_file(3), replicates=[log["replicates"][0] | values])
        assert complaint(
            lambda: workflows.grid_search(config, options=options), finished.cell_file(3)
        )


STRAYS = [
    "foo.json",
    "3.json",
    "-001.json",
    "._0003.json",
    "0003 (conflicted copy).json",
    "0003.sync-conflict-20260101-101010-ABCDEFG.json",
    ".DS_Store",
    "\u0660\u0660\u0660\u0661.json",
]


@pytest.mark.parametrize("name", STRAYS)
def test_what_others_put_among_the_logs_is_passed_over_with_a_note(name, config, options, finished):
    before = workflows.grid_search(config, options=options)
    stray = finished.cells_folder / name
    stray.write_text("{}")
    recorder = Recorder()
    assert workflows.grid_search(config, options=options, observer=recorder) == before
    assert recorder.notes[0].startswith(f"{stray}: ")
    assert recorder.n_begun == 0
    assert stray.read_text() == "{}"


@pytest.mark.parametrize("folder", ["cells", "state/stops"])
def test_what_others_put_into_an_unfinished_run_is_passed_over(
    folder, config, options, interrupted, interrupted_elsewhere
):
    undisturbed = workflows.grid_search(
        config, options=replace(options, runs_dir=interrupted_elsewhere.path.parent)
    ).directory
    names = [path.name for path in (interrupted.path / folder).iterdir()]
    for name in names[:2]:
        (interrupted.path / folder / f"._{name}").write_text("{")
    recorder = Recorder()
    workflows.grid_search(config, options=options, observer=recorder)
    assert sum("passed over" in note for note in recorder.notes) == 2
    found = contents(interrupted)
    assert {name: found[name] for name in contents(undisturbed)} == contents(undisturbed)


@pytest.mark.parametrize("name", ["00003.json", "0099.json"])
def test_a_log_of_a_cell_that_the_grid_has_not_is_named(name, config, options, finished):
    stray = finished.cells_folder / name
    stray.write_text("{}")
    assert "move it away" in complaint(
        lambda: workflows.grid_search(config, options=options), stray
    )


@pytest.mark.parametrize("plan", [None, [], [{}], "x", [{"blocks": []}]])
@pytest.mark.parametrize("has_logs", [True, False])
def test_an_interrupted_run_with_a_broken_plan_is_an_error(
    plan, has_logs, config, options, interrupted
):
    if not has_logs:
        shutil.rmtree(interrupted.cells_folder)
    edit(interrupted.experiment_file, plan=plan)
    assert complaint(
        lambda: workflows.grid_search(config, options=options), interrupted.experiment_file
    )


def test_weights_without_what_belongs_there_are_an_error(config, options, finished):
    with np.load(finished.weights_file) as file:
        kept = dict(file)
    for name in ("weights", "cells", "bias"):
        np.savez(finished.weights_file, **{key: kept[key] for key in kept if key != name})
        for call in (
            lambda: workflows.grid_search(config, options=options),
            lambda: workflows.evaluate("latest", options.runs_dir),
        ):
            assert complaint(call, finished.weights_file)


# What is said


def test_what_is_trained_again_for_its_weights_is_said(config, options, finished):
    recorder = Recorder()
    every = workflows.SearchOptions(options.runs_dir, test_losses="all")
    workflows.grid_search(config, options=every, observer=recorder)
    assert len(recorder.progress) == 10
    assert recorder.notes == [
        f"{finished.path}: training 32 cells again, whose weights are not there"
    ]


def test_a_run_goes_on_with_what_was_finished(config, options, interrupted):
    recorder = Recorder()
    workflows.grid_search(config, options=options, observer=recorder)
    assert recorder.notes == [
        f"{interrupted.path}: going on with 16 cells finished before, training 16 cells"
    ]


def test_one_cell_is_no_cells(write_config, options):
    config = write_config("one")
    workflows.train(config, options=options)
    recorder = Recorder()
    directory = workflows.train(config, options=options, observer=recorder).directory
    assert recorder.notes == [f"nothing left to train: 1 cell finished in {directory.path}"]
    with pytest.raises(NothingToSelectError, match="the only cell diverged"):
        workflows.train(config, ["train.learning_rate=1e9"], options)


def refuse(*_args, **_options):
    raise PermissionError(30, os.strerror(30))


def test_a_finished_run_is_shown_where_nothing_can_be_written(
    config, options, finished, tmp_path, monkeypatch
):
    shutil.copytree(tmp_path / "data", tmp_path / "moved")
    for name in ("utime", "replace"):
        monkeypatch.setattr(os, name, refuse)
    monkeypatch.setattr(Path, "mkdir", refuse)
    before = contents(finished, but=())
    for overrides in ([], [f"data.path={tmp_path / 'moved'}"]):
        found = workflows.grid_search(config, overrides, options)
        assert found.directory == finished
        assert found.config == load_config(config, overrides)
    assert contents(finished, but=()) == before


# Names and places


def test_data_that_were_moved_are_found_by_evaluate(config, options, finished, tmp_path):
    (tmp_path / "data").rename(tmp_path / "moved")
    for part in ("Xtr", "ytr", "Xte", "yte"):
        (tmp_path / "moved" / f"{part}.npy").rename(tmp_path / "moved" / f"new_{part}.npy")
    overrides = [f"data.path={tmp_path / 'moved'}", "data.prefix=new_"]
    before = contents(finished)
    assert workflows.grid_search(config, overrides, options).directory == finished
    assert contents(finished) == before
    assert len(workflows.evaluate("latest", options.runs_dir).evaluated) == 3


def test_an_interrupted_run_goes_on_where_its_data_are_now(config, options, interrupted, tmp_path):
    (tmp_path / "data").rename(tmp_path / "moved")
    workflows.grid_search(config, [f"data.path={tmp_path / 'moved'}"], options)
    assert len(workflows.evaluate("latest", options.runs_dir).evaluated) == 3


def test_a_finished_run_is_shown_under_the_name_and_in_the_unit_that_were_given(
    config, options, finished, monkeypatch
):
    monkeypatch.setattr(training, "run_pass", None)  # calling it would fail
    for name in ("grid", "grid!", "-grid"):
        overrides = [f"name='{name}'", f"data.target_unit='{name} kg'"]
        found = workflows.grid_search(config, overrides, options)
        assert found.directory == finished
        assert (found.config.name, found.config.data.target_unit) == (name, f"{name} kg")
        assert workflows.evaluate("latest", options.runs_dir).config.name == name


@pytest.mark.parametrize("name", ["a" * 300, "a/" * 2500, "a" * 5000])
def test_a_path_that_is_too_long_is_an_error_and_no_crash(name, config, options, tmp_path):
    with pytest.raises(StorageError):
        workflows.grid_search(config, options=workflows.SearchOptions(runs_dir=tmp_path / name))
    with pytest.raises(UsageError, match="no such run"):
        workflows.evaluate(name, options.runs_dir)
    with pytest.raises(UsageError, match="there are no runs"):
        workflows.evaluate("latest", tmp_path / name)


def test_damage_of_any_byte_is_never_a_crash(write_config, options):
    """One byte of one file is changed at a time."""
    config = write_config("one")
    directory = workflows.train(config, options=options).directory
    rng, n_refused = np.random.default_rng(0), 0
    for file in ("experiment.json", "cells/0000.json", "weights.npz"):
        path = directory.path / file
        good = path.read_bytes()
        for place in rng.integers(len(good), size=60).tolist():
            path.write_bytes(good[:place] + bytes(rng.integers(256, size=1)) + good[place + 1 :])
            for call in (
                lambda: workflows.train(config, options=options),
                lambda: workflows.evaluate(directory.name, options.runs_dir),
            ):
                try:
                    call()
                except SgdlabError:
                    n_refused += 1
            shutil.rmtree(directory.state_folder, ignore_errors=True)
            path.write_bytes(good)
    assert n_refused > 100
