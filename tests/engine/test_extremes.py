"""Trainings with numbers near the ends of the range of floats, and one that leaves it."""

import numpy as np
import pytest

from sgdlab import workflows
from sgdlab.config.grid import expand
from sgdlab.runs.kept import read_kept
from tests.engine.test_passes import make_cells, split, train_all
from tests.oracles.reference import plain_sgd

STEADY = [1e-3, 2e-3]


@pytest.fixture(autouse=True)
def _any_size():
    """Nothing but the engine itself says which arithmetic is no error."""


def write(folder, arrays, x_size=1.0, y_size=1.0):
    """The arrays in other units; gives the rows to train and to validate."""
    for part, array in arrays.items():
        np.save(folder / f"{part}.npy", array * (x_size if part[0] == "X" else y_size))
    X, y, X_validation, y_validation = split(arrays)
    return X * x_size, y * y_size, X_validation * x_size, y_validation * y_size


def check(outcomes, cells, rows, rel=1e-9):
    """Every weight, however small it is beside others, equals the plain loop's."""
    for cell in cells:
        outcome = outcomes[cell.index, 0]
        with np.errstate(all="ignore"):
            expected = plain_sgd(cell.train, *rows)
        assert outcome.status == "completed"
        np.testing.assert_allclose(outcome.weights, expected.weights, rtol=rel, atol=0)
        assert outcome.bias == pytest.approx(expected.bias, rel=rel, abs=0)
        assert outcome.running_history == pytest.approx(expected.running, rel=rel, abs=0)


EXTREMES = {
    "huber clips at the smallest number": (
        {"learning_rate": [1e-80], "loss": ["huber"], "huber_delta": [5e-324]}, 1e200, 1.0,
    ),
    "huber clips at a number without all digits": (
        {"learning_rate": [1e-3], "loss": ["huber"], "huber_delta": [1e-320]}, 1e160, 1.0,
    ),
    "products of rows overflow": ({"learning_rate": [1e-322]}, 1e160, 1.0),
    "products of rows vanish": ({"learning_rate": [1e298, 3e297]}, 1e-150, 1e-2),
    "small targets": ({"learning_rate": [1e-22]}, 1e10, 1e-300),
    "large targets": ({"learning_rate": [0.01]}, 1.0, 1e150),
    "small steps on the absolute error": (
        {"learning_rate": [1e-320], "loss": ["absolute"]}, 1e200, 1e80,
    ),
    "momentum": (
        {"learning_rate": [1e-322], "optimizer": ["momentum", "nesterov"]}, 1e159, 1.0,
    ),
    "adam": ({"learning_rate": [1e-170], "optimizer": ["adam"]}, 1e165, 1e-3),
    "strong decay before there are weights": (
        {"learning_rate": [1e12], "loss": ["absolute"], "l2": [3.0], "schedule": ["inverse_time"],
         "final_factor": [5e-324]}, 1.0, 1e14,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EXTREMES)
@pytest.mark.parametrize("batch_size", [1, 7])
def test_a_training_at_the_ends_of_the_range_equals_the_plain_loop(
    name, batch_size, data_dir, arrays
):
    axes, x_size, y_size = EXTREMES[name]
    rows = write(data_dir, arrays, x_size, y_size)
    cells = make_cells({"batch_size": [batch_size], "epochs": [1, 2], **axes}, train_bias=False)
    check(train_all(data_dir, cells), cells, rows)


@pytest.mark.parametrize("window_rows", ["auto", None, 16])
@pytest.mark.parametrize("l2", [0.0, 1e40])
def test_without_errors_rows_of_any_size_change_nothing(window_rows, l2, data_dir, arrays):
    """Products of rows, or of factors, overflow where every residual is 0."""
    write(data_dir, arrays, 1e200, 0.0)
    cells = make_cells(
        {"batch_size": [1, 4], "learning_rate": [1e-3], "epochs": [1, 3], "l2": [l2]}
    )
    for outcome in train_all(data_dir, cells, window_rows=window_rows).values():
        assert outcome.status == "completed"
        assert not outcome.weights.any()
        assert outcome.running_loss == 0.0


def search(tmp_path, arrays, name, rates, **train):
    """The weights and the logs of a grid of learning rates, by the rate."""
    train = {"batch_size": 1, "epochs": 2, **train}
    config = {"name": name, "data": {}, "train": train, "grid": {"learning_rate": rates}}
    options = workflows.SearchOptions(tmp_path, keep_weights="all")
    found = workflows.grid_search(config, (), options, arrays=arrays)
    cells = expand(found.config).cells
    weights = read_kept(found.directory, found.shape, cells).weights
    return {
        result.cell.train.learning_rate: (
            result.status,
            result.replicates,
            *(numbers.tobytes() for numbers in weights.get((result.cell.index, None), ())),
        )
        for result in found.results
    }


@pytest.mark.parametrize(
    "train", [{}, {"batch_size": 30}, {"loss": "absolute", "l2": 1e-3}, {"optimizer": "adam"}]
)
@pytest.mark.parametrize("bold", [1e12, 1e60])
def test_a_bold_learning_rate_is_diverged_and_its_siblings_are_what_they_are(
    bold, train, tmp_path, arrays
):
    found = search(tmp_path, arrays, "bold", [*STEADY, bold], **train)
    other = search(tmp_path, arrays, "steady", [*STEADY, 4e-3], **train)
    assert found[bold][0] == "diverged"
    assert all(found[rate] == other[rate] for rate in STEADY)


@pytest.mark.parametrize("bold", [1e-320, 1e200, 1.7e308])
def test_beside_an_extreme_learning_rate_siblings_are_as_without_it(bold, tmp_path, arrays):
    found = search(tmp_path, arrays, "bold", [*STEADY, bold])
    other = search(tmp_path, arrays, "without", STEADY)
    assert found[bold][0] == ("diverged" if bold > 1 else "completed")
    assert all(found[rate] == other[rate] for rate in STEADY)


@pytest.mark.parametrize(("kind", "bold"), [(np.uint16, 5e-2), (np.int32, 1e40)])
def test_beside_a_bold_rate_the_steps_of_siblings_are_solved_as_without_it(kind, bold, tmp_path):
    """With a fixed bias many steps are solved for at once, but for those of a bold rate."""
    rng = np.random.default_rng(3)
    X = rng.integers(0, 65536, (90, 300)).astype(kind)
    arrays = {"Xtr": X[:80], "ytr": rng.normal(size=80), "Xte": X[80:], "yte": rng.normal(size=10)}
    rates = [1e-14, 3e-14]
    keys = {"train_bias": False, "order": "in_order"}
    found = search(tmp_path, arrays, "bold", [*rates, bold], **keys)
    other = search(tmp_path, arrays, "steady", [*rates, 4e-14], **keys)
    assert found[bold][0] == "diverged"
    assert other[4e-14][0] == "completed"
    assert all(found[rate] == other[rate] for rate in rates)
