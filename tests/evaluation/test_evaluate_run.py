"""A run's weights on its own rows and on other arrays, and what is said of a likely mistake."""

import io
import os
import shutil

import numpy as np
import pytest
from rich.console import Console

from sgdlab import workflows
from sgdlab.errors import DataError, UsageError
from sgdlab.report import evaluation, numbers
from sgdlab.system import strict_json
from tests.conftest import make_arrays

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


@pytest.fixture
def run(write_config):
    """Makes a run of a config's sections; gives its path."""

    def make(**sections):
        options = workflows.SearchOptions("runs")
        return str(workflows.grid_search(write_config(**sections), (), options).directory.path)

    return make


@pytest.fixture
def other(tmp_path):
    """Writes the test rows of another data set, with X changed; gives their folder."""

    def write(change=lambda X: X, seed=0):
        arrays = make_arrays(seed)
        folder = tmp_path / "other"
        folder.mkdir(exist_ok=True)
        np.save(folder / "Xte.npy", change(arrays["Xte"]))
        np.save(folder / "yte.npy", arrays["yte"])
        return folder

    return write


def shown(result):
    console = Console(width=100, file=io.StringIO())
    console.print(evaluation.table(result))
    return console.file.getvalue()


# Beside the constant predictor


@pytest.mark.parametrize(("metric", "constant"), [("half_mse", np.mean), ("mae", np.median)])
def test_the_constant_predictor_knows_the_runs_training_rows(metric, constant, run, other, arrays):
    folder = other(seed=3)
    result = workflows.evaluate(run(select={"metric": metric}), data=folder)
    (rows,) = result.evaluated
    errors = constant(arrays["ytr"][:104]) - np.load(folder / "yte.npy")
    assert rows.constant_losses.half_mse == pytest.approx(np.mean(errors**2) / 2)
    assert rows.constant_losses.mae == pytest.approx(np.mean(abs(errors)))
    (row,) = evaluation.rows(result)
    assert row["constant_half_mse"] == rows.constant_losses.half_mse
    assert numbers.number(rows.constant_losses.half_mse) in shown(result)


def test_other_arrays_on_the_runs_scale_raise_no_doubt(run, other):
    result = workflows.evaluate(run(), data=other())
    assert result.evaluated[0].difference.verdict == "better"
    assert result.warnings == ()


@pytest.mark.parametrize(
    ("sections", "change", "seen"),
    [
        ({}, lambda X: X * 255, lambda X: X * 255),
        ({"data": {"divide_by": 0.004}}, lambda X: X / 255, lambda X: X / 255 / 0.004),
        ({}, lambda X: X.round().astype(np.int16) + 100, lambda X: X.round() + 100),
    ],
    ids=["larger", "divided twice", "shifted"],
)
def test_other_arrays_on_another_scale_raise_doubts(sections, change, seen, run, other, arrays):
    train = {"learning_rate": 1e-5} if sections else {}
    result = workflows.evaluate(run(train=train | {"epochs": 9}, **sections), data=other(change))
    X = seen(arrays["Xte"])
    (warning,) = result.warnings
    assert warning == (
        "Xte.npy: worse than the constant predictor; is X on the scale of the run's training rows?"
        f" The weights see it from {X.min():.5g} to {X.max():.5g}"
    )
    assert " ".join(warning.split()) in " ".join(shown(result).split())
    assert evaluation.document(result)["warnings"] == (warning,)


def test_predictions_beyond_the_range_of_numbers_are_infinite_and_doubtful(run, other):
    result = workflows.evaluate(run(), data=other(lambda X: X * 1e300), mae_step=0.1)
    assert result.evaluated[0].losses.half_mse == np.inf
    assert len(result.warnings) == 1
    assert b'"half_mse": null' in strict_json.encode(evaluation.document(result))


def test_the_runs_own_rows_raise_no_doubt(run):
    path = run(train={"learning_rate": 1e-9, "epochs": 1, "initial_bias": -50.0})
    result = workflows.evaluate(path)
    assert {each.difference.verdict for each in result.evaluated} == {"worse"}
    assert result.warnings == ()


# Replicates


def test_means_over_replicates_and_the_step_of_one_are_called_so(run):
    path = run(train={"replicates": 3})
    result = workflows.evaluate(path, mae_step=0.1)
    text = shown(result)
    assert "cell 0000, means over 3 replicates\n" in text
    assert "learning rate 0.1, replicate 0\n" in text
    weights = np.load(f"{path}/weights.npz")
    (row, *_) = evaluation.rows(result)
    assert row["step_replicate"] == 0
    assert row["bias"] == weights["bias"][0, 0]


def test_a_single_replicate_is_not_mentioned(run):
    assert "replicate" not in shown(workflows.evaluate(run(), mae_step=0.1))


# What cannot be evaluated


@pytest.mark.parametrize("cell", [-1, 2, 10**9])
def test_a_cell_that_is_not_there(cell, run):
    path = run(grid={"l2": [0.0, 0.1]})
    with pytest.raises(UsageError) as caught:
        workflows.evaluate(path, cell=cell)
    assert str(caught.value) == f"cell={cell}: no such cell; expected 0000 to 0001"


def test_a_cell_that_diverged_has_no_weights(run):
    path = run(grid={"learning_rate": [0.05, 1e9]})
    with pytest.raises(UsageError, match=r"^cell=1: diverged; expected a cell that has weights"):
        workflows.evaluate(path, cell=1)


def test_a_cell_whose_weights_were_not_kept(run):
    path = run(grid={"l2": [0.0, 0.1]})
    best = int(workflows.evaluate(path).result.cell.name)
    with pytest.raises(UsageError, match=r"\(search again with keep_weights=all\)$"):
        workflows.evaluate(path, cell=1 - best)


def test_a_prefix_alone_is_refused(run):
    with pytest.raises(UsageError) as caught:
        workflows.evaluate(run(), prefix="zz")
    assert str(caught.value) == "prefix=zz: not of the run's own arrays; expected data too"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("a" * 300, "file name too long; expected a folder of arrays"),
        ("absent", "no such file or directory; expected a folder of arrays"),
        ("a\0b", "embedded null byte; expected a folder of arrays"),
        ("data/Xtr.npy", "not a folder; expected a folder of arrays"),
        ("runs", "no arrays; expected a pair of Xtr.npy, ytr.npy, Xte.npy, yte.npy (see prefix)"),
    ],
)
def test_other_arrays_that_are_not_there(name, found, run):
    with pytest.raises(DataError) as caught:
        workflows.evaluate(run(), data=name)
    assert str(caught.value) == f"{name}: {found}"


@pytest.mark.parametrize("part", ["tr", "te"])
def test_rows_without_labels_are_refused_as_that(part, run, data_dir, tmp_path):
    path = run()
    (tmp_path / "other").mkdir()
    shutil.copy(data_dir / f"X{part}.npy", tmp_path / "other")
    with pytest.raises(DataError) as caught:
        workflows.evaluate(path, data="other")
    expected = f"no labels: y{part}.npy is not beside it; expected a target for every row"
    assert str(caught.value) == f"other/X{part}.npy: {expected}"


def test_own_arrays_that_are_away_are_named_with_what_to_do(run, data_dir):
    path = run()
    (data_dir / "ytr.npy").unlink()
    with pytest.raises(DataError) as caught:
        workflows.evaluate(path)
    assert str(caught.value) == (
        f"{data_dir / 'ytr.npy'}: no such file; expected the arrays that"
        f" {os.path.basename(path)} was trained on (give data for others)"
    )


def test_own_arrays_that_changed(run, data_dir, arrays):
    path = run()
    np.save(data_dir / "ytr.npy", arrays["ytr"] + 1)
    with pytest.raises(DataError, match=r"not the arrays that .* expected them unchanged"):
        workflows.evaluate(path)


# The run


@pytest.mark.parametrize(("inside", "reference"), [("", "."), ("cells", "..")])
def test_a_run_is_called_by_its_name_wherever_one_stands(inside, reference, run, monkeypatch):
    path = run()
    monkeypatch.chdir(os.path.join(path, inside))
    result = workflows.evaluate(reference)
    assert shown(result).startswith(f"{os.path.basename(path)}: cell 0000\n")
