"""The constant predictor, paired differences, and the edge of the grid."""

import io
import math

import numpy as np
import pytest
from rich.console import Console

from sgdlab import workflows
from sgdlab.config.grid import Cell
from sgdlab.config.model import Train
from sgdlab.evaluation.comparison import (
    compared_with_constant,
    constant_prediction,
    on_the_edge,
    paired_difference,
)
from sgdlab.report import training
from sgdlab.uncertainty.differences import Difference


def test_constant_minimises_the_metric():
    targets = np.array([0.0, 1.0, 8.0])
    assert constant_prediction("half_mse", targets) == 3.0
    assert constant_prediction("mae", targets) == 1.0


def test_paired_difference_of_half_squared_errors():
    errors, baseline = np.array([[1.0, 2.0, 3.0]]), np.array([2.0, 2.0, 1.0])
    found = paired_difference("half_mse", errors, baseline, np.zeros(3))
    # by row: (1 - 4)/2, 0, (9 - 1)/2
    assert found.mean == pytest.approx((-1.5 + 0 + 4) / 3)
    deviations = np.array([-1.5, 0.0, 4.0]) - found.mean
    assert found.standard_error == pytest.approx(math.sqrt(sum(deviations**2) / 2 / 3))


def test_replicates_are_averaged_before_rows_are_compared():
    errors = np.array([[1.0, 2.0], [3.0, 0.0]])
    found = paired_difference("mae", errors, np.array([1.0, 1.0]), np.zeros(2))
    # mean errors by row 2 and 1, differences 1 and 0
    assert found == Difference("mae", pytest.approx(0.5), pytest.approx(0.5), 2)


def test_pairing_removes_what_both_have_in_common():
    rng = np.random.default_rng(0)
    common = rng.standard_normal(1000) * 50
    found = paired_difference("mae", np.abs(common)[None] + 0.1, np.abs(common), common)
    assert found.mean == pytest.approx(0.1)
    assert found.standard_error < 1e-12


def test_the_error_of_a_single_row_is_not_known():
    found = paired_difference("half_mse", np.array([[3.0]]), np.array([1.0]), np.zeros(1))
    assert found == Difference("half_mse", 4.0, None, 1)
    assert (str(found), found.verdict) == ("+4 ±?", "not known")


def test_the_error_of_losses_beyond_the_range_is_not_known():
    found = paired_difference("half_mse", np.array([[1e200, 1.0]]), np.ones(2), np.ones(2))
    assert (found.mean, found.verdict, str(found)) == (math.inf, "not known", "not known")


@pytest.mark.parametrize("size", [1e-100, 1e-90, 1e120])
@pytest.mark.parametrize(("share", "word"), [(1.0, "no clear difference"), (0.5, "better")])
def test_errors_of_any_size_are_told_from_noise(size, share, word):
    """Squares of differences between squared errors leave the range of float64."""
    rng = np.random.default_rng(5)
    baseline, errors = rng.standard_normal((2, 200))
    errors *= share
    usual = paired_difference("half_mse", errors[None, :], baseline, np.zeros(200))
    found = paired_difference("half_mse", errors[None, :] * size, baseline * size, np.zeros(200))
    assert (usual.verdict, found.verdict) == (word, word)
    assert found.standard_error == pytest.approx(size**2 * usual.standard_error, rel=1e-9, abs=0)


@pytest.mark.parametrize(("folds", "end"), [(None, "(better)"), (3, "folds share training rows")])
def test_cross_validation_says_what_its_error_leaves_out(folds, end, write_config, tmp_path):
    validation = {"folds": folds} if folds else {"fraction": 0.25}
    config = write_config("compared", data={"validation": validation})
    result = workflows.grid_search(config, options=workflows.SearchOptions(tmp_path / "runs"))
    assert result.findings[0].endswith(end)


@pytest.mark.parametrize(("metric", "name"), [("half_mse", "half-MSE"), ("mae", "MAE")])
def test_the_sentence_names_the_metric_and_every_set_of_rows(metric, name):
    differences = {"validation": (-3.0, 1.0), "test": (0.5, None)}
    sentence = compared_with_constant(
        "cell 0004", {rows: Difference(metric, *each, 60) for rows, each in differences.items()}
    )
    assert sentence == (
        f"cell 0004 minus the constant predictor in {name}, paired by row, ± standard error: "
        "validation -3.0 ±1.0 (better), test +0.5 ±? (not known)"
    )


@pytest.mark.parametrize("mean", [math.nan, math.inf, -math.inf])
def test_a_mean_that_is_not_known_is_said_once(mean):
    differences = {
        "validation": Difference("mae", 0.5, 0.1, 60),
        "test": Difference("mae", mean, None, 60),
    }
    sentence = compared_with_constant("cell 0004", differences)
    assert sentence.endswith("validation +0.50 ±0.10 (worse), test not known")


@pytest.mark.parametrize("size", [1e300, 1e200, -3e250])
@pytest.mark.parametrize("command", ["solve", "train", "grid-search"])
def test_targets_whose_squares_overflow_leave_no_number_in_words(
    size, command, write_config, data_dir, arrays, sgdlab
):
    np.save(data_dir / "yte.npy", arrays["yte"] * size)
    grid = {"grid": {"learning_rate": [0.01, 0.02]}} if command == "grid-search" else {}
    _, out, _ = sgdlab(command, write_config("large", **grid))
    assert "test not known" in " ".join(out.split())
    assert "nan" not in out
    assert "±?" not in out


def test_edge_names_every_axis_at_whose_end_the_best_cell_lies():
    cells = [
        Cell(n, Train(batch_size=size, learning_rate=rate, epochs=5, l2=l2, loss=loss))
        for n, (size, rate, l2, loss) in enumerate(
            [(1, 0.1, 0.0, "squared"), (2, 0.2, 0.1, "huber"), (3, 0.3, 0.2, "absolute")]
        )
    ]
    axes = ("batch_size", "learning_rate", "l2", "loss")
    assert on_the_edge(cells[1], cells, axes) == []
    (sentence,) = on_the_edge(cells[0], cells, axes)
    assert "batch_size (smallest), learning_rate (smallest);" in sentence  # nothing below l2 = 0
    (sentence,) = on_the_edge(cells[2], cells, axes)
    assert "l2 (largest)" in sentence
    assert "loss" not in sentence


def fitted(scale, mean, noise):
    rng = np.random.default_rng(8)
    X = rng.standard_normal((400, 5))
    return X, mean + scale * (X @ np.arange(1.0, 6.0)) + noise * rng.standard_normal(400)


@pytest.mark.parametrize(
    ("size", "train", "is_exact"),  # size: scale, mean and noise of the targets
    [
        ((1.0, 3.0, 0.0), {}, True),
        ((1e-9, 0.0, 0.0), {}, True),
        ((1.0, 1e5, 0.0), {}, True),
        ((1.0, 3.0, 0.0), {"precision": "float32"}, True),
        ((1.0, 3.0, 1e-9), {}, False),
        ((1e-9, 0.0, 1e-15), {}, False),
    ],
)
@pytest.mark.parametrize("validation", [{"fraction": 0.25}, {"folds": 3}])
def test_cells_that_rounding_alone_tells_apart_send_nobody_beyond_the_grid(
    size, train, is_exact, validation, write_config, data_dir, tmp_path
):
    X, y = fitted(*size)
    for name, array in {"Xtr": X, "ytr": y, "Xte": X[:20], "yte": y[:20]}.items():
        np.save(data_dir / f"{name}.npy", array)
    keys = {"batch_size": 8, "epochs": 120, "l2": 0.0} | train
    config = write_config(
        "exact", train=keys, data={"validation": validation}, grid={"learning_rate": [0.05, 0.06]}
    )
    options = workflows.SearchOptions(tmp_path / "runs")
    result = workflows.grid_search(config, options=options)
    text = "; ".join(result.findings)
    assert ("2 cells fit every validation row but for rounding" in text) == is_exact
    assert ("edge of the grid" in text) != is_exact
    again = workflows.grid_search(config, options=options)  # read from the files of the run
    assert again.findings == result.findings


def test_edge_counts_only_cells_on_which_an_axis_has_an_influence():
    cells = [
        Cell(n, Train(batch_size=1, learning_rate=rate, epochs=5, **others))
        for n, (rate, others) in enumerate(
            [
                (0.1, {"optimizer": "momentum", "momentum": 0.5}),
                (0.2, {"optimizer": "momentum", "momentum": 0.8}),
                (0.3, {"optimizer": "momentum", "momentum": 0.9}),
                (0.4, {"optimizer": "adam", "momentum": 0.99, "beta1": 0.5}),
            ]
        )
    ]
    axes = ("learning_rate", "momentum", "beta1")
    assert on_the_edge(cells[1], cells, axes) == []
    (sentence,) = on_the_edge(cells[2], cells, axes)
    assert sentence.count("(largest)") == 1
    assert "momentum (largest)" in sentence
    (sentence,) = on_the_edge(cells[3], cells, axes)
    assert "learning_rate (largest);" in sentence  # the only adam has no end of beta1


def test_a_difference_of_rounding_is_none():
    errors = np.array([1.0, 2.0, 3.0])
    found = paired_difference("half_mse", errors[None] * (1 + 1e-15), errors, np.zeros(3))
    assert (found.mean, found.standard_error) == (0.0, 0.0)
    assert found.verdict == "no clear difference"


def test_a_search_with_a_single_row_held_out_says_so(write_config, data_dir, arrays, tmp_path):
    for part in ("Xte", "yte"):
        np.save(data_dir / f"{part}.npy", arrays[part][:1])
    config = write_config("one", data={"validation": {"fraction": 0.007}})
    result = workflows.train(config, options=workflows.SearchOptions(tmp_path / "runs"))
    (sentence,) = result.findings
    assert sentence.count("±? (not known)") == 2
    console = Console(width=100, file=io.StringIO())
    console.print(training.table(result))
    assert console.file.getvalue().count("±?") == 4
