"""Of numbers altered in their last place, with every hash made right, each one is named."""

import json
from contextlib import contextmanager

import numpy as np
import pytest

from sgdlab.errors import StorageError
from sgdlab.runs.replicate_log import weights_sha256
from sgdlab.search.verification.comparison import Comparison
from sgdlab.search.verification.of_ending import EndBeside
from sgdlab.search.verification.of_logs import HASH, LogsBeside
from tests.runs.damage import edit, write_sealed
from tests.search.test_session import Stopping
from tests.search.verification.altered import (
    arrays_of,
    at,
    change,
    change_array,
    change_field,
    end_places,
    log_places,
    renew_hash,
    table_places,
)

KINDS = ("plain", "folds", "replicates", "some diverged", "mae")
HISTORIES = ("running_loss", "validation_loss", "validation_mae")


@contextmanager
def put_back(run, *files):
    """As it was before, when a test has altered it."""
    contents = {file: file.read_bytes() for file in (*files, run.experiment_file)}
    try:
        yield
    finally:
        for file, content in contents.items():
            file.write_bytes(content)


def logs_of(run):
    return [*sorted(run.cells_folder.glob("*.json")), *sorted(run.final_folder.glob("*.json"))]


def some(places, n):
    """At most so many, evenly spread."""
    return places[:: len(places) // n + 1]


@pytest.mark.parametrize("kind", KINDS)
def test_every_number_of_a_log(kind, run_of, verify):
    run = run_of(kind)
    n_altered = 0
    for file in {logs_of(run)[0], logs_of(run)[-1]}:
        for place in some(log_places(file), 25):
            log = json.loads(file.read_bytes())
            with put_back(run, file):
                was, altered = change(file, place)
                found = verify(run).mismatch
            assert (found.stored, found.recomputed) == (altered, was), place
            assert found.place.file == f"{file.parent.name}/{file.name}"
            assert found.place.cell == file.stem
            if place[0] == "replicates":
                training = at(log, place[:2])
                epoch = place[-1] + 1 if "history" in place else training["epochs"]
                name = place[3] if "history" in place else place[2]
                assert (found.place.quantity, found.place.epoch) == (name, epoch)
                assert found.place.fold == training["fold"]
                assert found.place.replicate in (None, training["replicate"])
            else:
                assert found.place.quantity == place[0]
            n_altered += 1
    assert n_altered > 15


@pytest.mark.parametrize("kind", KINDS)
def test_every_number_of_how_a_run_ended(kind, run_of, verify):
    run = run_of(kind, "all")
    places = end_places(run.experiment_file)
    for place in places:
        with put_back(run):
            was, altered = change(run.experiment_file, place)
            found = verify(run).mismatch
        assert (found.stored, found.recomputed) == (altered, was)
        assert (found.place.file, found.place.quantity) == ("experiment.json", ".".join(place))
    assert len(places) > 12


@pytest.mark.parametrize("kind", KINDS)
def test_every_array_of_weights_and_predictions(kind, run_of, verify):
    run = run_of(kind, "all")
    n_altered = 0
    for file in (run.weights_file, run.predictions_file):
        for name, array in arrays_of(file).items():
            if array.dtype.kind != "f" or not array.size:
                continue
            for index in ((0,) * array.ndim, tuple(n - 1 for n in array.shape)):
                with put_back(run, file):
                    was, altered = change_array(file, name, index)
                    found = verify(run).mismatch
                assert (found.stored, found.recomputed) == (altered, was)
                assert (found.place.file, found.place.quantity) == (file.name, name)
                for axis in ("feature", "row"):
                    assert getattr(found.place, axis) in (None, index[-1] if index else None)
                n_altered += 1
    assert n_altered >= 14


def test_a_weight_is_named_to_its_feature(run_of, verify):
    run = run_of("folds", "all")
    with put_back(run, run.weights_file):
        change_array(run.weights_file, "fold_weights", (1, 2, 0, 7))
        place = verify(run).mismatch.place
    assert (place.cell, place.fold, place.replicate, place.feature) == ("0001", 2, 0, 7)
    text = "weights.npz, cell 0001, fold 2, replicate 0, feature 7, fold_weights"
    assert str(place) == text


def test_a_weight_whose_hash_in_the_log_is_made_right_too(run_of, verify):
    """It is the weight that is named, and not its hash."""
    run = run_of("single")
    was, altered = change_array(run.weights_file, "weights", (0, 0, 3))
    log = json.loads(run.cell_file(0).read_bytes())
    log["replicates"][0][HASH] = weights_sha256(arrays_of(run.weights_file)["weights"][0, 0])
    write_sealed(run.cell_file(0), log)
    result = verify(run)
    found = result.mismatch
    assert (found.place.quantity, found.place.feature) == ("weights", 3)
    assert (found.stored, found.recomputed) == (altered, was)
    assert sum(tally.n_different for tally in result.tallies) == 2


def test_a_hash_of_weights_that_are_not_kept(run_of, verify):
    run = run_of("plain")
    other = next(n for n in range(8) if n != int(run.experiment().best))
    log = json.loads(run.cell_file(other).read_bytes())
    was = log["replicates"][0][HASH]
    log["replicates"][0][HASH] = "0" * 64
    write_sealed(run.cell_file(other), log)
    found = verify(run).mismatch
    assert (found.place.quantity, found.place.cell) == (HASH, f"{other:04d}")
    assert (found.stored, found.recomputed) == ("0" * 64, was)


@pytest.mark.parametrize("kind", KINDS)
def test_every_number_of_the_table(kind, run_of, verify):
    run = run_of(kind, "all")
    places = table_places(run.results_file)
    for place in some(places, 8):
        with put_back(run, run.results_file):
            was, altered = change_field(run.results_file, place)
            found = verify(run).mismatch
        assert (found.stored, found.recomputed) == (altered, was)
        expected = ("results.csv", f"{place[0]:04d}", place[1])
        assert (found.place.file, found.place.cell, found.place.quantity) == expected
    assert len(places) >= 10


@pytest.mark.parametrize("column", ["cell", "status", "batch_size", "learning_rate", "l2"])
def test_every_other_column_of_the_table(column, run_of, verify):
    run = run_of("plain")
    rows = [line.split(",") for line in run.results_file.read_text().splitlines()]
    rows[2][rows[0].index(column)] = "7"
    run.results_file.write_text("".join(f"{','.join(row)}\n" for row in rows))
    renew_hash(run.results_file)
    found = verify(run).mismatch
    assert (found.place.cell, found.place.quantity, found.stored) == ("0001", column, 7.0)


def test_a_sign_of_zero_and_a_number_for_null(run_of, verify):
    run = run_of("single")
    log = json.loads(run.cell_file(0).read_bytes())
    log["running_loss"] = None
    with put_back(run, run.cell_file(0)):
        write_sealed(run.cell_file(0), log)
        found = verify(run).mismatch
    assert (found.place.quantity, found.stored, found.relative) == ("running_loss", None, None)
    comparison = Comparison(is_exact=True)
    place = found.place
    assert comparison.value(place, 0.0, 0.0)
    assert not comparison.value(place, 0.0, -0.0)
    assert not comparison.value(place, 1.0, None)
    assert comparison.value(place, np.inf, None)
    assert comparison.first.stored == 0.0


@pytest.mark.parametrize(
    ("key", "value", "quantity"),
    [
        ("best", None, "best"),
        ("findings", ["nothing"], "findings"),
        ("cells", {"completed": 7, "diverged": 1}, "cells.completed"),
    ],
)
def test_what_is_no_number_of_how_a_run_ended(key, value, quantity, run_of, verify):
    run = run_of("plain", "all")
    best = run.experiment().best
    if key == "best":
        value = next(f"{n:04d}" for n in range(8) if f"{n:04d}" != best)
    edit(run.experiment_file, **{key: value})
    found = verify(run).mismatch
    assert (found.place.file, found.place.quantity) == ("experiment.json", quantity)
    assert found.recomputed == (best if key == "best" else found.recomputed)


def test_why_there_is_no_best_cell(run_of, verify):
    run = run_of("all diverged")
    edit(run.experiment_file, reason="it rained")
    found = verify(run).mismatch
    assert (found.place.quantity, found.stored) == ("reason", "it rained")


def test_a_training_that_ended_otherwise(run_of, verify):
    """As diverged an epoch later: of histories of other lengths nothing more is said."""
    run = run_of("all diverged")
    file = run.cell_file(0)
    log = json.loads(file.read_bytes())
    [training] = log["replicates"]
    epochs = training["epochs"]
    training["epochs"] += 1
    for history in training["history"].values():
        history.append(None)
    training["reason"] = training["reason"].replace(f"epoch {epochs}", f"epoch {epochs + 1}")
    write_sealed(file, log)
    result = verify(run)
    found = result.mismatch
    assert (found.place.quantity, found.stored, found.recomputed) == ("epochs", epochs + 1, epochs)
    assert sum(tally.n_different for tally in result.tallies) == 1


# With a comparison left out


def nothing(*_, **__):
    return None


def without_hashes(monkeypatch):
    compared = Comparison.value

    def value(self, place, *arguments):
        return place.quantity == HASH or compared(self, place, *arguments)

    monkeypatch.setattr(Comparison, "value", value)


def without(owner, name):
    return lambda monkeypatch: monkeypatch.setattr(owner, name, nothing)


def alter_log(*place):
    return lambda run: change(run.cell_file(1), place)


def alter_hash(run):
    log = json.loads(run.cell_file(1).read_bytes())
    log["replicates"][0][HASH] = "0" * 64
    write_sealed(run.cell_file(1), log)


OF_FIRST = ("replicates", 0)
LEFT_OUT = {
    "history": (
        alter_log(*OF_FIRST, "history", "running_loss", 0),
        without(LogsBeside, "_compare_histories"),
    ),
    "end of a training": (
        alter_log(*OF_FIRST, "train_loss"),
        without(LogsBeside, "_compare_training"),
    ),
    "mean": (alter_log("train_loss"), without(LogsBeside, "_compare_means")),
    "hash": (alter_hash, without_hashes),
    "weight": (
        lambda run: change_array(run.weights_file, "weights", (0, 0, 0)),
        without(EndBeside, "compare_weights"),
    ),
    "prediction": (
        lambda run: change_array(run.predictions_file, "test", (0, 0)),
        without(EndBeside, "compare_predictions"),
    ),
    "constant": (
        lambda run: change(run.experiment_file, ("constant",)),
        without(EndBeside, "compare_conclusion"),
    ),
    "loss of the constant": (
        lambda run: change(run.experiment_file, ("constant_losses", "test", "mae")),
        without(EndBeside, "_compare_losses"),
    ),
    "difference": (
        lambda run: change(run.experiment_file, ("differences", "test", "mean")),
        without(EndBeside, "_compare_with_best"),
    ),
    "table": (
        lambda run: change_field(run.results_file, (0, "train_loss")),
        without(EndBeside, "compare_table"),
    ),
}


@pytest.mark.parametrize("what", LEFT_OUT)
def test_a_comparison_that_is_left_out_is_missed(what, run_of, verify, monkeypatch):
    run = run_of("plain", "all")
    alter, leave_out = LEFT_OUT[what]
    alter(run)
    assert not verify(run).is_same
    leave_out(monkeypatch)
    assert verify(run).is_same


# Damaged otherwise


def shortened(array):
    return array[..., :-1]


DAMAGES = {
    "a bit": lambda run: flip(run.weights_file),
    "a bit of the record": lambda run: flip(run.experiment_file),
    "a bit of a log": lambda run: flip(run.cell_file(1)),
    "a bit of the table": lambda run: flip(run.results_file),
    "a bit of the predictions": lambda run: flip(run.predictions_file),
    "a file": lambda run: run.predictions_file.unlink(),
    "a log": lambda run: run.cell_file(1).unlink(),
    "a key": lambda run: drop(run.cell_file(1), "train_loss"),
    "a word for a number": lambda run: change(run.cell_file(1), ("train_loss",), lambda _: "x"),
    "a shorter history": lambda run: change(
        run.cell_file(1), (*OF_FIRST, "history", "running_loss"), lambda values: values[:-1]
    ),
    "other hyperparameters": lambda run: change(
        run.cell_file(1), ("hyperparameters", "learning_rate"), lambda rate: 2 * rate
    ),
    "an array": lambda run: rewrite(run.weights_file, bias=None),
    "a shape": lambda run: rewrite(run.weights_file, weights=shortened),
    "a dtype": lambda run: rewrite(run.predictions_file, test=np.float32),
    "an array too many": lambda run: rewrite(run.predictions_file, more=np.zeros),
    "an object": lambda run: rewrite(run.predictions_file, test=lambda a: a.astype(object)),
    "no archive": lambda run: overwrite(run.weights_file, b"PK\3\4"),
    "a row": lambda run: overwrite(run.results_file, run.results_file.read_bytes()[:400]),
    "no text": lambda run: overwrite(run.results_file, b"cell\n\xff\n"),
}


# All else is told of before anything is trained.
SEEN_WHEN_COMPARED = (
    "a shorter history",
    "an array",
    "a shape",
    "a dtype",
    "an array too many",
    "a row",
)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def drop(path, key):
    log = json.loads(path.read_bytes())
    del log[key]
    write_sealed(path, log)


def rewrite(path, **changes):
    arrays = arrays_of(path)
    for name, by in changes.items():
        if by is None:
            del arrays[name]
        else:
            arrays[name] = by(arrays.get(name, 1))
    np.savez(path, **arrays)
    renew_hash(path)


def overwrite(path, content):
    path.write_bytes(content)
    renew_hash(path)


@pytest.mark.parametrize("what", DAMAGES)
def test_a_file_that_is_damaged_otherwise(what, run_of, verify):
    run = run_of("plain")
    DAMAGES[what](run)
    observer = None if what in SEEN_WHEN_COMPARED else Stopping(1)
    with pytest.raises(StorageError) as caught:
        verify(run, observer)
    assert caught.value.exit_code == 4
    assert str(caught.value).startswith(f"{run.path}/")
    assert len(str(caught.value).splitlines()) == 1
