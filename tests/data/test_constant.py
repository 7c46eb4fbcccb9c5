"""Columns whose spread is rounding: found as such, and never divided by it."""

from fractions import Fraction

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from sgdlab import workflows
from sgdlab.config.model import Data
from sgdlab.data.dataset import open_dataset
from sgdlab.data.in_memory import MemoryArray
from sgdlab.data.statistics import column_statistics
from tests.conftest import make_arrays


def statistics(column, divide_by=1.0):
    X = np.asarray(column).reshape(-1, 1)
    file = MemoryArray("X", X)
    [found] = column_statistics(file, np.arange(len(X)), divide_by, True)
    return found


def percentages(n_rows, dtype=np.float64):
    """87.5 %, of different wholes."""
    wholes = np.random.default_rng(0).uniform(1, 1000, n_rows).astype(dtype)
    parts = wholes * dtype(0.875)
    return parts / wholes * dtype(100) * dtype(0.1) * dtype(1.1)


def sums(n_rows):
    """The same numbers, added up in another order every time."""
    numbers = np.random.default_rng(1).uniform(0, 1, 12)
    orders = np.random.default_rng(2).permuted(np.tile(numbers, (n_rows, 1)), axis=1)
    return np.array([sum(order.tolist()) for order in orders])


def converted(n_rows):
    """21.3 degrees Celsius, by way of Fahrenheit and Kelvin."""
    there = np.full(n_rows, 21.3)
    there[::2] = (there[::2] * 9 / 5 + 32 - 32) * 5 / 9
    there[::3] = there[::3] + 273.15 - 273.15
    return there


def one_unit(n_rows, value, dtype=np.float64):
    column = np.full(n_rows, dtype(value))
    column[1::2] = np.nextafter(column[1::2], dtype(np.inf))
    return column


NOISE = {
    "percentages": percentages(200),
    "percentages in float32": percentages(200, np.float32),
    "sums": sums(64),
    "converted": converted(300),
    "one unit of 14.62": one_unit(200, 14.62),
    "one unit of 3e-9": one_unit(50, 3e-9),
    "one unit of -7e11": one_unit(50, -7e11),
    "one unit of 14.62 in float32": one_unit(200, 14.62, np.float32),
    "two rows": one_unit(2, 0.1),
}


@pytest.mark.parametrize("name", NOISE)
@pytest.mark.parametrize("divide_by", [1.0, 0.3])
def test_rounding_is_no_spread(name, divide_by):
    column = NOISE[name]
    assert len(np.unique(column)) > 1
    found = statistics(column, divide_by)
    assert found.is_constant.tolist() == [True]
    assert found.scale.tolist() == [1.0]


@pytest.mark.parametrize(
    "column",
    [
        1e8 + np.random.default_rng(0).standard_normal(500),
        np.random.default_rng(0).standard_normal(500) * 1e-6,
        1e-12 * (5 + np.random.default_rng(0).standard_normal(500)),
        1e9 * np.random.default_rng(0).standard_normal(500),
        np.where(np.arange(3000) == 7, 200, 199).astype(np.uint8),
        np.where(np.arange(3000) == 7, 2**40 + 1, 2**40),
        (101_325 + np.random.default_rng(0).standard_normal(500)).astype(np.float32),
        np.float16([0.5, 0.50048828125]),
        14.62 + np.random.default_rng(0).standard_normal(100) * 1e-11,
    ],
)
def test_a_small_spread_stays_one(column):
    found = statistics(column)
    assert found.is_constant.tolist() == [False]
    exact = [Fraction(float(value)) for value in column]
    mean = sum(exact) / len(exact)
    variance = sum((value - mean) ** 2 for value in exact) / len(exact)
    assert found.mean[0] == pytest.approx(float(mean), rel=1e-15)
    assert found.scale[0] == pytest.approx(float(variance) ** 0.5, rel=1e-4)


@pytest.mark.parametrize("seed", range(20))
def test_float64_is_judged_as_scikit_learn_does(seed):
    random = np.random.default_rng(seed)
    mean = 10.0 ** random.uniform(-8, 8)
    columns = mean * (1 + 10.0 ** random.uniform(-18, -10, 40) * random.standard_normal((300, 40)))
    found = column_statistics(MemoryArray("X", columns), np.arange(300), 1.0, True)[0]
    theirs = StandardScaler().fit(columns)
    assert 0 < found.is_constant.sum() < 40
    assert found.is_constant.tolist() == (theirs.scale_ == 1.0).tolist()
    np.testing.assert_allclose(found.scale, theirs.scale_, rtol=1e-3)


def test_rounding_beyond_one_is_not_left_as_it_is():
    column = one_unit(100, 3e20)  # whose units are 65536
    found = statistics(column)
    assert np.max(np.abs(column - found.mean)) / found.scale[0] < 1


# Halfway from a number of float32 to the next.
BETWEEN = (float(np.float32(14.62)) + float(np.nextafter(np.float32(14.62), np.float32(15)))) / 2


def noisy_arrays(column, others, dtype=np.float64):
    """A problem whose first column is rounding, and something else in the rows to test."""
    arrays = make_arrays(n_train=100)
    arrays["Xtr"] = arrays["Xtr"].astype(dtype)
    arrays["Xte"] = arrays["Xte"].astype(dtype)
    arrays["Xtr"][:, 0], arrays["Xte"][:, 0] = column, others
    return arrays


def search(arrays, tmp_path, noted=None, **data):
    config = {
        "name": "noisy",
        "data": {"preprocess": "standardize", **data},
        "train": {"batch_size": 10, "learning_rate": 0.01, "epochs": 80},
        "grid": {"precision": ["float64", "float32"]},
    }
    options = workflows.SearchOptions(runs_dir=tmp_path / "runs", test_losses="all")
    return workflows.grid_search(config, (), options, noted, arrays)


@pytest.mark.parametrize(
    ("column", "others", "dtype"),
    [
        (one_unit(100, 14.62), 14.63, np.float64),
        (percentages(100), 50.0, np.float64),
        (one_unit(100, 14.62, np.float32), 14.63, np.float32),
        # Below what float32 resolves, in which one of the cells computes.
        (BETWEEN + np.random.default_rng(0).standard_normal(100) * 3e-10, BETWEEN, np.float64),
    ],
)
@pytest.mark.parametrize("folds", [None, 5])
def test_no_loss_explodes(column, others, dtype, folds, tmp_path):
    arrays = noisy_arrays(column, others, dtype)
    validation = {"fraction": 0.2} if folds is None else {"folds": folds}
    found = search(arrays, tmp_path, validation=validation)
    losses = [found.test_losses[n].half_mse for n in range(2)]
    assert max(losses) < found.constant_losses["test"].half_mse / 2


class Notes(workflows.Observer):
    def __init__(self):
        self.messages = []

    def note(self, message):
        self.messages.append(message)


@pytest.mark.parametrize("folds", [None, 5])
def test_a_column_that_begins_to_vary_is_said(folds, tmp_path):
    arrays = noisy_arrays(one_unit(100, 14.62), np.linspace(14, 15, 40))
    arrays["Xtr"][:, 4] = np.where(np.arange(100) == 93, 1.0, 0.0)  # a row that validates
    arrays["Xte"][:, 4] = 0.0
    arrays["Xtr"][:, 5] = arrays["Xte"][:, 5] = 0.1 * 3
    noted = Notes()
    validation = {"fraction": 0.2} if folds is None else {"folds": folds}
    search(arrays, tmp_path, noted, validation=validation)
    told = [message for message in noted.messages if "constant" in message]
    where = "validation rows" if folds is None else "rows that a fold holds out"
    assert told == [
        f"standardize: column 4 (from 0) is constant in training, but not in the {where}; it is"
        " not divided by a deviation",
        "standardize: column 0 (from 0) is constant in training, but not in the test rows; it is"
        " not divided by a deviation",
    ]


def test_columns_that_stay_constant_are_not_mentioned(tmp_path):
    arrays = noisy_arrays(one_unit(100, 14.62), 14.62)
    noted = Notes()
    search(arrays, tmp_path, noted)
    assert not [message for message in noted.messages if "constant" in message]


def test_folds_have_constant_columns_of_their_own():
    arrays = make_arrays(n_train=100)
    arrays["Xtr"][:, 2] = one_unit(100, 37.5)
    arrays["Xtr"][70, 2] = 40.0
    data = Data(preprocess="standardize", validation={"folds": 5})
    with open_dataset(data, arrays) as dataset:
        constant = [fold.transform.is_constant[2] for fold in dataset.folds]
        scales = [fold.transform.scale[2] for fold in dataset.folds]
    assert constant == [False, False, False, True, False]
    assert scales[3] == 1.0


@pytest.mark.parametrize("folds", [None, 5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounding_that_is_alike_in_all_rows_is_not_mentioned(dtype, folds, tmp_path):
    """In single values it is larger than their standard deviation."""
    rng = np.random.default_rng(8)
    one = np.asarray(14.62, dtype)
    noisy = [one + rng.integers(-1, 2, n) * np.spacing(one) for n in (100, 40)]
    arrays = noisy_arrays(*noisy)
    arrays = {part: array.astype(dtype) for part, array in arrays.items()}
    noted = Notes()
    search(arrays, tmp_path, noted, validation={"folds": folds} if folds else {"fraction": 0.2})
    assert [message for message in noted.messages if "constant" in message] == []
