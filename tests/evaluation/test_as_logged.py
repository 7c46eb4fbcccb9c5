"""evaluate computes what was logged, and says so where it does not."""

import csv
import io
import json

import numpy as np
import pytest

from sgdlab import workflows
from sgdlab.report import evaluation
from sgdlab.runs.directory import RunDirectory
from sgdlab.system import strict_json
from tests.evaluation.test_evaluate_run import shown
from tests.runs.damage import edit

AXES = {
    "loss": ["squared", "absolute", "huber"],
    "precision": ["float64", "float32"],
    "train_bias": [True, False],
    "optimizer": ["sgd", "adam"],
}
SECTIONS = {
    "split": {},
    "replicates": {"train": {"replicates": 3}},
    "folds": {"data": {"validation": {"folds": 3}, "preprocess": "standardize"}},
    "folds and replicates": {"data": {"validation": {"folds": 2}}, "train": {"replicates": 2}},
    "random": {"data": {"validation": {"fraction": 0.3, "take": "random"}, "preprocess": "center"}},
}
SCALES = [(1.0, 1.0, 0.0), (1e-120, 1e-120, 0.0), (1e60, 1e-30, 0.0), (1.0, 1.0, 1e7), (1, 0, 5.0)]


def evaluated_all(config, tmp_path, overrides=()):
    options = workflows.SearchOptions(tmp_path / "runs", False, False, "all", "all")
    found = workflows.grid_search(config, overrides, options)
    for result in found.results:
        if result.status == "completed":
            name = found.directory.name
            yield workflows.evaluate(name, options.runs_dir, result.cell.index)


@pytest.mark.parametrize("kind", SECTIONS)
def test_every_cell_is_what_was_logged(kind, write_config, tmp_path):
    config = write_config("all", grid=AXES, **SECTIONS[kind])
    n_rows = 0
    for result in evaluated_all(config, tmp_path):
        assert result.warnings == ()
        for rows in result.evaluated:
            assert rows.is_as_logged is True
            assert rows.losses.half_mse == pytest.approx(rows.logged.half_mse, rel=1e-4)
            n_rows += 1
    assert n_rows == 3 * 24


@pytest.mark.parametrize(("scale", "noise", "mean"), SCALES)
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_rounding_is_no_difference_whatever_the_scale(
    scale, noise, mean, precision, write_config, data_dir, arrays, tmp_path
):
    """Residuals may be far smaller than predictions, and rows of very unequal size."""
    small = precision == "float32" and not 1e-30 < scale < 1e30
    scale = 1.0 if small else scale
    rng = np.random.default_rng(0)
    sizes = 10.0 ** rng.integers(-2, 2, size=(130, 1))
    w = rng.standard_normal(9)
    X = arrays["Xtr"] * sizes
    np.save(data_dir / "Xtr.npy", X * scale)
    np.save(data_dir / "ytr.npy", mean + X @ w * noise)
    np.save(data_dir / "Xte.npy", arrays["Xte"] * scale)
    np.save(data_dir / "yte.npy", mean + arrays["Xte"] @ w * noise)
    rate = 1e-5 / scale**2
    train = {"precision": precision, "initial_bias": float(mean), "train_bias": False}
    config = write_config("scaled", train=train, grid={"learning_rate": [rate, rate / 10]})
    results = list(evaluated_all(config, tmp_path))
    assert results
    for result in results:
        assert result.warnings == ()


def altered(directory, name, key):
    """Adds a ten-thousandth to a loss that is logged, in a run whose hashes all fit."""
    file = directory.path / name
    content = json.loads(file.read_bytes())
    if name == "experiment.json":
        losses = content["test_losses"][content["best"]]
        losses[key] *= 1.0001
        edit(file, test_losses=content["test_losses"])
        return losses[key]
    [training] = content["replicates"]
    training[key] *= 1.0001
    if key in training["history"]:
        training["history"][key][-1] = training[key]
    same = "validation_loss_regularized"  # without L2
    training[same] = training["validation_loss"]
    edit(file, **{"replicates": [training], key: training[key], same: training[same]})
    return training[key]


@pytest.mark.parametrize(
    ("rows", "name", "key", "label"),
    [
        ("training", "cells/0000.json", "train_loss", "half-MSE"),
        ("validation", "cells/0000.json", "validation_loss", "half-MSE"),
        ("validation", "cells/0000.json", "validation_mae", "MAE"),
        ("test", "experiment.json", "half_mse", "half-MSE"),
        ("test", "experiment.json", "mae", "MAE"),
    ],
)
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_a_loss_that_was_logged_otherwise_is_told_in_one_line(
    rows, name, key, label, precision, write_config, tmp_path
):
    config = write_config("one", train={"precision": precision, "l2": 0.0})
    options = workflows.SearchOptions(tmp_path / "runs")
    directory = workflows.train(config, options=options).directory
    good = workflows.evaluate(directory.name, options.runs_dir)
    logged = altered(directory, name, key)
    result = workflows.evaluate(directory.name, options.runs_dir)
    (warning,) = result.warnings
    assert warning.startswith(f"{rows}: not what was logged, beyond rounding: ")
    assert f"instead of {logged:.9g}" in warning
    assert warning.split(": ")[2].startswith(f"{label} ")
    assert warning.count("instead of") == 1
    flat = " ".join(shown(result).split())
    assert warning in flat
    assert warning not in " ".join(shown(good).split())
    document = json.loads(strict_json.encode(evaluation.document(result)))
    assert document["warnings"] == [warning]
    found = {row["rows"]: row["is_as_logged"] for row in document["evaluated"]}
    assert found == {name: name != rows for name in ("training", "validation", "test")}


def test_the_command_says_it_too(write_config, tmp_path, sgdlab):
    config = write_config("one", data={"validation": {"folds": 3}}, train={"l2": 0.0})
    options = workflows.SearchOptions(tmp_path / "runs")
    directory = workflows.train(config, options=options).directory
    altered(directory, "final/0000.json", "train_loss")
    code, out, _ = sgdlab("evaluate", directory.path)
    assert code == 0
    assert "training: not what was logged, beyond rounding: half-MSE" in " ".join(out.split())
    _, out, _ = sgdlab("evaluate", directory.path, "--format", "csv")
    rows = {row["rows"]: row["is_as_logged"] for row in csv.DictReader(io.StringIO(out))}
    assert rows == {"training": "False", "validation": "True", "test": "True"}


def test_nothing_is_said_of_what_was_never_logged(write_config, tmp_path, data_dir):
    config = write_config("two", grid={"l2": [0.0, 0.1]})
    options = workflows.SearchOptions(tmp_path / "runs", keep_weights="all")
    directory = workflows.grid_search(config, options=options).directory
    other = 1 - int(RunDirectory(directory.path).experiment().best)
    result = workflows.evaluate(directory.name, options.runs_dir, other)
    assert [rows.is_as_logged for rows in result.evaluated] == [True, True, None]
    elsewhere = workflows.evaluate(directory.name, options.runs_dir, data=data_dir)
    assert {rows.is_as_logged for rows in elsewhere.evaluated} == {None}
