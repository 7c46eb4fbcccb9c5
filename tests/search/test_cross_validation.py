"""A search with folds from the config to the run directory, beside plain loops."""

import csv
import json
import math
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from sgdlab import workflows
from sgdlab.config.grid import expand
from sgdlab.config.model import Validation
from sgdlab.config.reading import load_config
from sgdlab.data.folds import assign_folds
from sgdlab.engine import training
from sgdlab.errors import NothingToSelectError, StorageError, UsageError
from sgdlab.observer import Observer
from sgdlab.report import evaluation, search
from sgdlab.search.selection import rank, within_one_standard_error
from sgdlab.system import strict_json
from tests.engine.test_fold_training import preprocessed
from tests.oracles.reference import plain_sgd, relative_distance
from tests.search.test_session import Recorder, Stopping, contents

FOLDS = 4
GRID = {"batch_size": [10, 26], "learning_rate": [0.01, 0.05], "epochs": [2, 5], "l2": [0.0, 0.1]}
DATA = {"validation": {"folds": FOLDS, "take": "random"}, "preprocess": "standardize"}
TRAIN = {"initial_bias": 0.5, "order": "shuffle_each_epoch", "replicates": 2}


@pytest.fixture
def config(write_config):
    return write_config("folds", train=TRAIN, grid=GRID, data=DATA)


@pytest.fixture
def held_out():
    return assign_folds(130, FOLDS, Validation(**DATA["validation"]))


def plain_fold(train, arrays, held_out, fold, replicate):
    """A model of one fold, and its errors on the rows that it has not seen."""
    left_out, kept = np.flatnonzero(held_out == fold), np.flatnonzero(held_out != fold)
    X, y = preprocessed(arrays["Xtr"], kept, "standardize"), arrays["ytr"]
    found = plain_sgd(train, X, y, X[left_out], y[left_out], replicate, left_out=left_out)
    return found, X[left_out] @ found.weights + found.bias - y[left_out]


def plain_final(train, arrays, replicate):
    X, y = preprocessed(arrays["Xtr"], slice(None), "standardize"), arrays["ytr"]
    return plain_sgd(train, X, y, X, y, replicate)


def test_every_number_is_the_plain_loops(config, options, arrays, held_out):
    found = workflows.grid_search(config, options=options)
    cells = expand(load_config(config)).cells
    means = {}
    for each in found.results:
        losses = [
            [
                np.mean(plain_fold(each.cell.train, arrays, held_out, fold, n)[1] ** 2) / 2
                for n in range(2)
            ]
            for fold in range(FOLDS)
        ]
        of_folds = np.mean(losses, axis=1)
        means[each.cell.index] = of_folds.mean()
        assert each.mean("validation_loss") == pytest.approx(of_folds.mean(), rel=1e-9)
        error = np.std(of_folds, ddof=1) / math.sqrt(FOLDS)
        assert each.standard_error("validation_loss") == pytest.approx(error, rel=1e-6)
    best = min(means, key=means.get)
    assert found.best.cell.index == best
    train = cells[best].train
    finals = [plain_final(train, arrays, n) for n in range(2)]
    scale = arrays["Xtr"].std(0)
    X_test = (arrays["Xte"] - arrays["Xtr"].mean(0)) / scale
    errors = np.stack([X_test @ each.weights + each.bias - arrays["yte"] for each in finals])
    assert found.test_losses[best].half_mse == pytest.approx(np.mean(errors**2) / 2, rel=1e-9)
    X = preprocessed(arrays["Xtr"], slice(None), "standardize")
    residuals = np.stack([X @ each.weights + each.bias - arrays["ytr"] for each in finals])
    final = found.final[best]
    assert final.mean("train_loss") == pytest.approx(np.mean(residuals**2) / 2, rel=1e-9)
    assert final.replicates[0].validation_loss is None
    kept = np.load(found.directory.weights_file)
    assert kept["cells"].tolist() == [best]
    assert kept["weights"].shape == (1, 2, 9)
    for n, each in enumerate(finals):
        assert relative_distance(kept["weights"][0, n], each.weights) < 1e-9
    assert kept["fold_weights"].shape == (1, FOLDS, 2, 9)
    one, _ = plain_fold(train, arrays, held_out, 3, 1)
    assert relative_distance(kept["fold_weights"][0, 3, 1], one.weights) < 1e-9
    assert kept["fold_bias"][0, 3, 1] == pytest.approx(one.bias, rel=1e-9)
    rows = arrays["Xtr"][held_out != 3]
    assert kept["fold_mean"][3] == pytest.approx(rows.mean(0), rel=1e-9)
    assert kept["fold_scale"][3] == pytest.approx(rows.std(0), rel=1e-9)


@pytest.mark.parametrize(("metric", "statistic"), [("half_mse", np.mean), ("mae", np.median)])
def test_predictions_are_out_of_fold_and_so_is_the_constant(
    metric, statistic, config, options, arrays, held_out
):
    found = workflows.grid_search(config, [f"select.metric={metric}"], options)
    expected, constant = np.empty((2, 130)), np.empty(130)
    y = arrays["ytr"]
    for fold in range(FOLDS):
        rows = held_out == fold
        constant[rows] = statistic(y[~rows]) - y[rows]
        for n in range(2):
            _, errors = plain_fold(found.best.cell.train, arrays, held_out, fold, n)
            expected[n, rows] = errors
    predictions = np.load(found.directory.predictions_file)
    assert relative_distance(predictions["validation"], expected + y) < 1e-9
    assert predictions["validation_targets"].tolist() == y.tolist()
    assert predictions["validation_folds"].tolist() == held_out.tolist()
    size = np.abs if metric == "mae" else lambda errors: errors**2 / 2
    difference = size(expected).mean(0) - size(constant)
    assert found.differences["validation"].mean == pytest.approx(difference.mean(), rel=1e-9)
    error = np.std(difference, ddof=1) / math.sqrt(130)
    assert found.differences["validation"].standard_error == pytest.approx(error, rel=1e-9)
    of_folds = [np.mean(constant[held_out == fold] ** 2) / 2 for fold in range(FOLDS)]
    assert found.constant_losses["validation"].half_mse == pytest.approx(np.mean(of_folds))
    assert found.constant == statistic(y)


# The rule of one standard error


def test_the_cell_that_was_taken_stands_first_with_the_reason(config, options):
    found = workflows.grid_search(config, ["select.rule=one_standard_error"], options)
    ranked = rank(found.results, "half_mse")
    near = within_one_standard_error(found.results, "half_mse")
    assert len(near) > 1
    assert found.best.cell.train.l2 == max(each.cell.train.l2 for each in near)
    assert found.results[0] is found.best
    assert [each for each in ranked if each is not found.best] == list(found.results[1:])
    assert f"of the {len(near)} cells within one standard error" in found.findings[-1]
    assert f"cell {ranked[0].cell.name} (" in found.findings[-1]
    assert f"cell {found.best.cell.name} (" in found.findings[-1]
    assert list(found.final) == [found.best.cell.index]
    assert list(found.test_losses) == [found.best.cell.index]


# What is written


def test_rows_have_standard_errors_and_the_test_loss_of_the_training_on_all_rows(config, options):
    found = workflows.grid_search(config, options=options)
    rows = list(csv.DictReader(found.directory.results_file.read_text().splitlines()))
    assert list(rows[0])[-2:] == [
        "validation_loss_standard_error", "validation_mae_standard_error",
    ]  # fmt: skip
    best = rows[found.best.cell.index]
    error = found.best.standard_error("validation_mae")
    assert float(best["validation_mae_standard_error"]) == error
    penalty = float(best["test_loss_regularized"]) - float(best["test_loss"])
    norm = found.model(found.best).mean("weights_squared_norm")
    assert penalty == pytest.approx(found.best.cell.train.l2 / 2 * norm)
    assert sum(row["test_loss"] != "" for row in rows) == 1
    document = json.loads(strict_json.encode(search.document(found, 3)))
    assert (document["folds"], document["rule"]) == (FOLDS, "minimum")
    assert document["cells"][0]["cell"] == document["best"] == found.best.cell.name
    assert document["best_bias"] == found.final[found.best.cell.index].mean("bias")


def test_a_log_says_why_its_validation_losses_are_few(config, options):
    found = workflows.grid_search(config, options=options)
    log = json.loads(found.directory.cell_file(3).read_bytes())
    assert [(each["fold"], each["replicate"]) for each in log["replicates"]] == [
        (fold, n) for fold in range(FOLDS) for n in range(2)
    ]
    assert "where a training stops" in log["remark"]
    history = log["replicates"][0]["history"]
    assert len(history["running_loss"]) == len(history["validation_loss"]) == log[
        "hyperparameters"
    ]["epochs"]  # fmt: skip
    assert history["validation_loss"][0] is None
    assert history["validation_loss"][-1] == log["replicates"][0]["validation_loss"]
    final = json.loads(next(found.directory.final_folder.iterdir()).read_bytes())
    assert "remark" not in final
    assert [each["fold"] for each in final["replicates"]] == [None, None]


def test_one_model_is_trained_with_folds(write_config, sgdlab):
    config = write_config("one", data=DATA)
    code, out, _ = sgdlab("train", config)
    assert code == 0
    assert out.startswith("one: 1 cell, 130 rows in 4 folds, 40 to test\n")
    code, out, _ = sgdlab("grid-search", config, "--dry-run")
    assert code == 0
    assert "in the end the selected cell is trained on all rows" in out


def test_the_table_says_what_its_numbers_are(config, sgdlab):
    code, out, _ = sgdlab("grid-search", config, "--set", "select.rule=one_standard_error")
    assert code == 0
    assert "130 rows in 4 folds, 40 to test" in out
    assert "valid.: mean over folds ± standard error, by models that had not seen the rows" in out
    assert "* of the best cell, trained on all rows" in out
    assert "is taken: of the " in " ".join(out.split())


# Again, and after interruptions


def test_streamed_and_held_searches_write_the_same_bytes(config, tmp_path):
    held, streamed = (
        workflows.grid_search(
            config,
            [f"run.memory_budget={budget}"],
            workflows.SearchOptions(runs_dir=tmp_path / budget),
        )
        for budget in ("1GB", "1kB")
    )
    assert contents(held.directory) == contents(streamed.directory)


def test_a_finished_search_trains_nothing(config, options, monkeypatch):
    found = workflows.grid_search(config, options=options)
    monkeypatch.setattr(training, "run_pass", None)  # calling it would fail
    again = workflows.grid_search(config, options=options)
    assert again.rows() == found.rows()
    assert again.findings == found.findings


class StoppingLater(Observer):
    """Breaks off after so many epochs of all trainings together, as Ctrl-C would."""

    def __init__(self, n_epochs):
        self.n_left = n_epochs

    def advance(self, progress):
        self.n_left -= 1
        if not self.n_left:
            raise KeyboardInterrupt


@pytest.mark.parametrize("when", [1, 3, 5, 6, 9, 10, 11, 14, 16, 20])
def test_an_interrupted_search_ends_with_the_same_bytes(when, config, tmp_path):
    """Each of two replicates has 5 epochs over folds, and then 5 on all rows."""
    undisturbed = workflows.SearchOptions(runs_dir=tmp_path / "undisturbed")
    expected = contents(workflows.grid_search(config, options=undisturbed).directory)
    options = workflows.SearchOptions(runs_dir=tmp_path / "runs")
    with pytest.raises(KeyboardInterrupt):
        workflows.grid_search(config, options=options, observer=StoppingLater(when))
    recorder = Recorder()
    found = workflows.grid_search(config, options=options, observer=recorder)
    assert contents(found.directory) == expected
    assert not found.directory.state_folder.exists()


def test_after_a_kill_at_any_write_the_same_command_finishes_the_run(
    write_config, tmp_path, monkeypatch
):
    """What a killed process would leave is what is there before a flush, rename or removal."""
    grid = {"batch_size": [10, 26], "epochs": [2, 3]}
    config = write_config("folds", train=TRAIN | {"learning_rate": 0.05}, grid=grid, data=DATA)
    undisturbed = workflows.SearchOptions(runs_dir=tmp_path / "undisturbed")
    snapshots = []

    def copying(function):
        def wrapped(*arguments, **options):
            snapshots.append(tmp_path / f"{function.__name__}-{len(snapshots)}")
            shutil.copytree(undisturbed.runs_dir, snapshots[-1])
            return function(*arguments, **options)

        return wrapped

    for name in ("fsync", "replace", "unlink", "rmdir"):
        monkeypatch.setattr(os, name, copying(getattr(os, name)))
    expected = contents(workflows.grid_search(config, options=undisturbed).directory)
    monkeypatch.undo()
    assert len(snapshots) > 40
    for runs_dir in snapshots:
        killed = workflows.SearchOptions(runs_dir=runs_dir)
        assert contents(workflows.grid_search(config, options=killed).directory) == expected


@pytest.mark.parametrize(
    ("lost", "n_epochs"),
    [
        (["results.csv"], 0),
        (["predictions.npz"], 0),
        (["cells/0003.json"], 10),
        (["final"], 10),
        (["weights.npz"], 20),
        (["cells", "final", "weights.npz", "predictions.npz"], 20),
    ],
)
def test_what_is_missing_of_a_finished_run_is_made_again(lost, n_epochs, config, options):
    found = workflows.grid_search(config, options=options)
    before = contents(found.directory)
    for name in lost:
        path = found.directory.path / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    recorder = Recorder()
    workflows.grid_search(config, options=options, observer=recorder)
    assert contents(found.directory) == before
    assert len(recorder.progress) <= n_epochs
    assert bool(recorder.progress) == bool(n_epochs)


def test_what_is_asked_for_later_is_what_is_asked_for_at_once(config, tmp_path):
    """The best cell alone and then all, or all from the start."""
    later, once = (
        workflows.SearchOptions(tmp_path / name, test_losses="all", keep_weights="all")
        for name in ("later", "once")
    )
    alone = workflows.grid_search(config, options=workflows.SearchOptions(tmp_path / "later"))
    with np.load(alone.directory.weights_file) as kept:
        weights = kept["weights"][0]
    found = workflows.grid_search(config, options=later)
    expected = workflows.grid_search(config, options=once)
    assert contents(found.directory) == contents(expected.directory)
    assert sorted(found.test_losses) == list(range(16))
    with np.load(found.directory.weights_file) as kept:
        assert kept["weights"].shape == (16, 2, 9)
        assert kept["weights"][found.best.cell.index].tobytes() == weights.tobytes()


def test_test_losses_of_all_cells_do_not_train_the_folds_again(config, options):
    workflows.grid_search(config, options=options)
    recorder = Recorder()
    every = workflows.SearchOptions(options.runs_dir, test_losses="all")
    found = workflows.grid_search(config, options=every, observer=recorder)
    assert recorder.notes == []
    assert sorted(found.test_losses) == list(range(16))
    assert len(recorder.progress) == 10  # two replicates, each in one pass of 5 epochs


# Divergence


def test_where_all_cells_diverge_nothing_is_trained_on_all_rows(write_config, options):
    config = write_config("wild", data=DATA, train={"learning_rate": 1e9})
    with pytest.raises(NothingToSelectError, match="the only cell diverged"):
        workflows.train(config, options=options)
    (path,) = Path(options.runs_dir).iterdir()
    assert list((path / "final").iterdir()) == []


def test_a_selected_cell_that_diverges_on_all_rows_is_said(write_config, options, data_dir):
    """Either half of the rows alone is stable, and both one after the other are not."""
    X = np.array([[3.0, -3.0], [0.0, 3.0], [4.0, -3.0], [3.0, 0.0]])
    steps = [np.eye(2) - 0.125 * np.outer(x, x) for x in X]
    radii = [
        max(abs(np.linalg.eigvals(step)))
        for step in (
            steps[1] @ steps[0],
            steps[3] @ steps[2],
            steps[3] @ steps[2] @ steps[1] @ steps[0],
        )
    ]
    assert max(radii[:2]) < 0.6
    assert radii[2] > 1.6
    for part in ("tr", "te"):
        np.save(data_dir / f"X{part}.npy", X)
        np.save(data_dir / f"y{part}.npy", np.array([1.0, 2.0, 3.0, 5.0]))
    train = {"batch_size": 1, "learning_rate": 0.125, "epochs": 60, "train_bias": False}
    train |= {"order": "in_order"}
    config = write_config("late", data={"validation": {"folds": 2}}, train=train)
    for _ in range(2):  # and when it is finished
        with pytest.raises(NothingToSelectError, match="by cross-validation, diverged on all rows"):
            workflows.train(config, options=options)
    (path,) = Path(options.runs_dir).iterdir()
    experiment = strict_json_of(path / "experiment.json")
    assert (experiment["status"], experiment["best"]) == ("completed", None)
    assert strict_json_of(path / "cells" / "0000.json")["status"] == "completed"
    assert strict_json_of(path / "final" / "0000.json")["status"] == "diverged"


def strict_json_of(path):
    return json.loads(path.read_bytes(), parse_constant=pytest.fail)


# Evaluation and other commands


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_evaluate_reproduces_the_log(config, options, precision):
    every = workflows.SearchOptions(options.runs_dir, test_losses="all", keep_weights="all")
    workflows.grid_search(config, [f"train.precision={precision}"], every)
    for cell in (None, 3):
        found = workflows.evaluate("latest", options.runs_dir, cell, mae_step=0.1)
        assert [(each.rows, each.n_rows) for each in found.evaluated] == [
            ("training", 130), ("validation", 130), ("test", 40),
        ]  # fmt: skip
        tolerance = 1e-9 if precision == "float64" else 1e-5
        for each in found.evaluated:
            assert each.losses.half_mse == pytest.approx(each.logged_loss, rel=tolerance)
        training, validation, _ = found.evaluated
        mae = found.result.mean("validation_mae")
        assert validation.losses.mae == pytest.approx(mae, rel=tolerance)
        assert validation.step is None
        assert training.step is not None
        rows = evaluation.rows(found)
        assert "step_replicate" not in rows[1]


@pytest.mark.parametrize("command", ["solve", "gradient-noise", "scaling-rule", "orders"])
def test_experiments_want_a_single_split(command, write_config, sgdlab):
    config = write_config("folds", data=DATA)
    code, out, err = sgdlab(command, config)
    assert (code, out) == (2, "")
    assert err == (
        f"sgdlab: error: {config}: data.validation.folds 4; expected a single split for this"
        " experiment (set data.validation to {fraction: 0.2})\n"
    )
    assert sgdlab(command, config, "--set", "data.validation={fraction: 0.2}", "--help")[0] == 0


@pytest.mark.parametrize("fold", [7, -1, "x", 1.5])
def test_a_plan_with_a_wrong_fold_is_an_error(fold, config, options):
    with pytest.raises(KeyboardInterrupt):
        workflows.grid_search(config, options=options, observer=Stopping(2))
    (path,) = Path(options.runs_dir).iterdir()
    experiment = json.loads((path / "experiment.json").read_bytes())
    experiment["plan"][0]["blocks"][0]["fold"] = fold
    (path / "experiment.json").write_text(json.dumps(experiment))
    with pytest.raises(StorageError, match=r"experiment\.json"):
        workflows.grid_search(config, options=options)


def test_a_cell_whose_weights_were_not_kept(config, options):
    found = workflows.grid_search(config, options=options)
    other = next(n for n in range(16) if n != found.best.cell.index)
    with pytest.raises(UsageError, match=rf"not kept; expected one of {found.best.cell.name} "):
        workflows.evaluate("latest", options.runs_dir, other)
