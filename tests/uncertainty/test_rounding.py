"""Rounding is no signal: of differences, spreads, and what is made of them."""

import math

import numpy as np
import pytest

from sgdlab import workflows
from sgdlab.evaluation.comparison import constant_prediction, paired_difference
from sgdlab.report.numbers import measured
from sgdlab.uncertainty.means import Mean, differ, mean_of, standard_error
from sgdlab.uncertainty.rounding import differences, is_rounding, without_rounding
from tests.conftest import make_arrays

ONE = np.finfo(float).eps  # a unit in the last place of 1


@pytest.mark.parametrize("size", [1e-300, 1e-9, 1.0, 14.62, 1e9, 1e300])
def test_a_few_units_are_rounding_and_a_digit_more_is_not(size):
    apart = np.array([0.0, 1.0, -4.0, 4e3]) * ONE * size
    assert is_rounding(apart, size).tolist() == [True, True, True, False]
    assert without_rounding(apart, size).tolist() == [0.0, 0.0, 0.0, apart[3]]
    found = differences(size + apart, size)
    assert found[:3].tolist() == [0.0, 0.0, 0.0]
    assert found[3] == pytest.approx(apart[3], rel=1e-3)


@pytest.mark.parametrize("values", [[math.inf, 1.0], [1.0, math.nan], [math.inf, math.inf]])
def test_what_is_not_finite_is_not_rounding(values):
    with np.errstate(invalid="ignore"):
        assert not is_rounding(values[0] - values[1], max(values))
        assert not np.isfinite(differences(*values))


@pytest.mark.parametrize("value", [0.1, 1.0839273218774655, 3e-17, -7e12])
@pytest.mark.parametrize("n", [2, 3, 7, 10])
def test_equal_replicates_have_no_error(value, n):
    values = np.full(n, value)
    values[::2] = np.nextafter(value, np.inf)
    for alike in (np.full(n, value), values):
        found = mean_of(alike)
        assert found.standard_error == 0
        assert found.value == pytest.approx(value, rel=1e-15)
        assert measured(found).endswith("±0")


def test_a_small_error_stays_one():
    values = 5 + np.array([1.0, 2.0, 4.0]) * 1e-12
    assert standard_error(values) == pytest.approx(np.std([1, 2, 4], ddof=1) / 3**0.5 * 1e-12, 1e-2)
    assert math.isnan(standard_error(np.array([1.0, math.nan])))


def test_means_that_are_equal_but_for_rounding_do_not_differ():
    assert not differ(Mean(0.3, 0.0, 3), Mean(0.1 + 0.2, 0.0, 3))
    assert not differ(Mean(7e9, 0.0, 3), Mean(7e9 + 1e-6, 0.0, 3))
    assert differ(Mean(0.3, 0.0, 3), Mean(0.3 + 1e-12, 0.0, 3))


@pytest.mark.parametrize("metric", ["half_mse", "mae"])
@pytest.mark.parametrize("size", [1e-9, 1.0, 14.62, 1e10])
def test_predictions_that_are_equal_but_for_rounding_do_not_differ(metric, size):
    random = np.random.default_rng(0)
    targets = size * (1 + random.standard_normal(50))
    targets[25:] = size  # and are met
    predictions = np.full(50, size)
    noisy = predictions * (1 + ONE * random.integers(-2, 3, (3, 50)))
    found = paired_difference(metric, noisy - targets, predictions - targets, targets)
    assert (found.mean, found.standard_error) == (0.0, 0.0)
    assert found.verdict == "no clear difference"
    assert str(found) == "+0 ±0"
    better = paired_difference(metric, noisy * 0 + 1e-9 * size, predictions - targets, targets)
    assert better.verdict == "better"


def test_predictions_in_float32_are_judged_by_its_units():
    targets = np.linspace(3, 4, 40)
    errors = np.float32(targets).astype(float) * (1 + 1e-7) - targets
    float32 = float(np.finfo(np.float32).eps)
    found = paired_difference("mae", errors[None], np.zeros(40), targets, float32)
    assert (found.mean, found.standard_error) == (0.0, 0.0)
    assert paired_difference("mae", errors[None], np.zeros(40), targets).verdict == "worse"


@pytest.mark.parametrize("value", [0.1, 3.3, 14.62, -7e-9, 1e10 / 3])
def test_the_constant_of_equal_targets_is_their_value(value):
    for n in (3, 7, 49, 1000):
        assert constant_prediction("half_mse", np.full(n, value)) == value


# Searches


def search(arrays, folder, train, grid=None, **sections):
    config = {
        "name": "alike",
        "data": sections.pop("data", {}),
        "train": {"batch_size": 4, "learning_rate": 0.05, "epochs": 30} | train,
        "grid": grid or {"l2": [0.0]},
        **sections,
    }
    options = workflows.SearchOptions(runs_dir=folder)
    return workflows.grid_search(config, (), options, None, arrays)


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("n_replicates", [3, 7])
def test_replicates_in_a_deterministic_order_have_no_error(precision, n_replicates, tmp_path):
    train = {"order": "in_order", "replicates": n_replicates, "precision": precision}
    found = search(make_arrays(), tmp_path, train)
    assert found.best.standard_error("validation_loss") == 0
    assert found.rows(1)[0]["validation_mae_standard_error"] == 0


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("value", [3.3, -1e6 / 7, 4e-9])
@pytest.mark.parametrize("metric", ["half_mse", "mae"])
def test_constant_targets_are_nobodys_gain(value, precision, metric, tmp_path):
    arrays = make_arrays()
    for part in ("ytr", "yte"):
        arrays[part] = np.full(len(arrays[part]), value)
    train = {"precision": precision, "train_bias": False, "initial_bias": value}
    found = search(arrays, tmp_path, train, select={"metric": metric})
    for difference in found.differences.values():
        assert (difference.mean, difference.standard_error) == (0.0, 0.0)
        assert difference.verdict == "no clear difference"


def test_one_row_repeated_is_no_gain(tmp_path):
    random = np.random.default_rng(3)
    row, target = random.standard_normal(5), 1.3
    arrays = {}
    for part, n in (("tr", 60), ("te", 20)):
        arrays[f"X{part}"], arrays[f"y{part}"] = np.tile(row, (n, 1)), np.full(n, target)
    found = search(arrays, tmp_path, {"epochs": 400, "replicates": 3})
    for difference in found.differences.values():
        assert (difference.mean, difference.standard_error) == (0.0, 0.0)
        assert "no clear difference" in found.findings[0]


def test_models_that_are_equal_but_for_rounding_are_within_an_error_of_0(tmp_path):
    arrays = make_arrays(n_train=40)
    grid = {"l2": [0.0, 1e-18]}
    select = {"rule": "one_standard_error"}
    data = {"validation": {"folds": 4}}
    found = search(arrays, tmp_path, {"order": "in_order"}, grid, select=select, data=data)
    assert found.best.cell.train.l2 == 1e-18  # of equals the most restrained


def test_a_description_of_equal_values_has_no_spread(tmp_path):
    arrays = make_arrays()
    arrays["ytr"] = np.full(130, 0.1)
    arrays["Xte"] = np.full((40, 9), 14.62)
    for part, array in arrays.items():
        np.save(tmp_path / f"{part}.npy", array)
    found = workflows.describe_data(tmp_path, "")
    labels = {label.part: label for label in found.labels}
    assert (labels["ytr"].mean, labels["ytr"].std) == (0.1, 0.0)
    assert labels["ytr"].constant_losses.half_mse == 0
    assert labels["yte"].std > 0
    assert {file.part for file in found.files if file.std == 0} == {"ytr", "Xte"}
