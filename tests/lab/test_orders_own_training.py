"""What the config's own training leaves, by the order of the rows, and whether that matters."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from sgdlab import workflows
from sgdlab.config.model import Train
from sgdlab.lab.orders import own_training
from sgdlab.lab.orders.conclusions import sentences
from sgdlab.lab.orders.design import OrdersOptions
from sgdlab.lab.orders.own_training import OwnTraining
from sgdlab.uncertainty.means import mean_of
from tests.oracles.reference import plain_sgd

FEW = OrdersOptions((0.02, 0.04), replicates=4, rows=40)


def objective(train, X, y, weights, bias):
    return np.mean((X @ weights + bias - y) ** 2) / 2 + train.l2 / 2 * weights @ weights


@pytest.mark.parametrize("trains_bias", [True, False])
@pytest.mark.parametrize("n_train", [130, 8])  # 8: fewer rows than columns
def test_objectives_are_those_of_plain_trainings(
    write_config, data_dir, arrays, trains_bias, n_train
):
    X, y = arrays["Xtr"][:n_train], arrays["ytr"][:n_train]
    np.save(data_dir / "Xtr.npy", X)
    np.save(data_dir / "ytr.npy", y)
    keys = {"l2": 0.2, "train_bias": trains_bias, "initial_bias": 0.5, "seed": 3, "epochs": 5}
    config = write_config(
        "own", train=keys | {"batch_size": 4}, data={"validation": {"fraction": 0.25}}
    )
    own = workflows.orders(config, options=FEW).result.own
    X, y = X[: n_train * 3 // 4], y[: n_train * 3 // 4]
    for order, found in (
        ("with_replacement", own.with_replacement),
        ("shuffle_each_epoch", own.shuffled),
    ):
        train = own.train.model_copy(update={"order": order})
        ends = [plain_sgd(train, X, y, X, y, replicate=n) for n in range(4)]
        expected = [objective(train, X, y, end.weights, end.bias) for end in ends]
        assert found.value == pytest.approx(np.mean(expected), rel=1e-9)
        assert found.standard_error == pytest.approx(stats.sem(expected), rel=1e-6)
    ones = np.column_stack([X, np.ones(len(y)) * trains_bias])
    target = y - 0.5 * (not trains_bias)
    hessian = ones.T @ ones / len(y) + np.diag([0.2] * X.shape[1] + [0.0])
    solution = np.linalg.lstsq(hessian, ones.T @ target / len(y), rcond=None)[0]
    bias = solution[-1] if trains_bias else 0.5
    least = objective(own.train, X, y, solution[:-1], bias)
    assert own.minimum == pytest.approx(least, rel=1e-9)
    assert own.left == pytest.approx(own.shuffled.value - least, rel=1e-9)


@pytest.mark.parametrize("spreads", [(1.0, 1.0), (0.1, 3.0), (2.0, 0.01)])
def test_the_interval_is_scipys(spreads):
    rng = np.random.default_rng(2)
    some, others = (spread * rng.standard_normal(7) + 4 for spread in spreads)
    found = own_training._interval(some, others)
    welch = stats.ttest_ind(some, others, equal_var=False).confidence_interval()
    assert found == pytest.approx((welch.low, welch.high), rel=1e-9)


def test_values_that_are_all_alike_leave_no_doubt():
    assert own_training._interval(np.full(3, 2.5), np.full(3, 2.0)) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [
        ((0.2, 1.7), "cannot be told"),  # a difference, which may be small
        ((0.9, 1.4), "cannot be told"),  # a difference, most of which is not small
        ((-3.2, -0.9), "cannot be told"),
        ((1.1, 1.4), "yes"),
        ((-1.4, -1.1), "yes"),
        ((-0.2, 0.9), "hardly"),
        ((0.1, 0.9), "hardly"),  # clear, and small
        ((-0.2, 1.1), "cannot be told"),
        ((-2.0, 9.0), "cannot be told"),
        ((0.0, 0.0), "hardly"),
        (None, None),
    ],
)
def test_what_matters_is_clear_and_more_than_a_tenth_of_what_is_left(interval, verdict):
    train = Train(batch_size=1, learning_rate=0.1, epochs=1)
    end, above = (mean_of(np.array(values)) for values in ([13.0, 11.0], [11.0, 9.0]))
    own = OwnTraining(train, 2, 2.0, end, end, (above, above), interval)
    assert own.left == 10.0
    assert own.verdict == verdict
    assert replace(own, minimum=None, excess=None).verdict is None


def test_equal_orders_are_rarely_said_to_matter():
    """Two kinds of trainings with one law, at the edge where what is left is nothing."""
    train, said = Train(batch_size=1, learning_rate=0.1, epochs=1), []
    rng = np.random.default_rng(0)
    for _ in range(1000):
        some, others = rng.standard_normal((2, 5))
        interval = own_training._interval(some, others)
        ends = mean_of(some), mean_of(others)
        nothing = mean_of(others - others.mean())
        own = OwnTraining(train, 5, 0.0, *ends, (nothing, nothing), interval)
        said.append(own.verdict)
    assert said.count("yes") < 70  # 5 % of 1000, and four standard errors
    assert said.count("hardly") == 0


def large_mean(rng):
    """Targets whose mean is most of them; a column of ones reaches it, in place of a bias."""
    X = np.column_stack([np.ones(128), rng.standard_normal((128, 5))])
    return X, 1e5 + X @ np.arange(6.0) + 1e-3 * rng.standard_normal(128), False


def little_noise(rng):
    X = rng.standard_normal((128, 5))
    return X, X @ np.arange(1.0, 6.0) + 7 + 1e-6 * rng.standard_normal(128), True


def unlike_columns(rng):
    """X.T X has the square of their condition number, and few digits."""
    X = rng.standard_normal((128, 5))
    X[:, 1] = X[:, 0] + 1e-6 * X[:, 1]
    return X, X @ np.arange(1.0, 6.0) + 1e-4 * rng.standard_normal(128), True


def written(write_config, data_dir, X, y, **train):
    for name, array in {"Xtr": X, "ytr": y, "Xte": X, "yte": y}.items():
        np.save(data_dir / f"{name}.npy", array)
    return write_config("own", train=train, data={"validation": {"fraction": 0.25}})


def refined_minimum(X, y, trains_bias):
    """Half the mean square of residuals, by least squares that is refined in long doubles."""
    A = np.column_stack([X, np.ones(len(y))]) if trains_bias else X
    solution = np.zeros(A.shape[1], np.longdouble)
    for _ in range(4):
        rest = y.astype(np.longdouble) - A.astype(np.longdouble) @ solution
        solution += np.linalg.lstsq(A, rest.astype(np.float64), rcond=None)[0]
    rest = y.astype(np.longdouble) - A.astype(np.longdouble) @ solution
    return solution, float(np.mean(rest**2) / 2)


@pytest.mark.parametrize("law", [large_mean, little_noise, unlike_columns])
def test_the_minimum_is_that_of_the_rows_where_sums_of_products_do_not_tell_it(
    law, write_config, data_dir
):
    X, y, trains_bias = law(np.random.default_rng(4))
    keys = {"batch_size": 8, "learning_rate": 0.03, "epochs": 80, "train_bias": trains_bias}
    options = OrdersOptions(replicates=3, rows=48, batch_size=4)
    config = written(write_config, data_dir, X, y, **keys)
    own = workflows.orders(config, options=options).result.own
    n = len(y) - len(y) // 4
    X, y = X[:n], y[:n]
    solution, least = refined_minimum(X, y, trains_bias)
    assert own.minimum == pytest.approx(least, rel=1e-6, abs=0)
    for order, found in zip(("with_replacement", "shuffle_each_epoch"), own.excess, strict=True):
        train = own.train.model_copy(update={"order": order})
        excess = []
        for replicate in range(3):
            end = plain_sgd(train, X, y, X, y, replicate=replicate)
            weights = np.append(end.weights, end.bias) if trains_bias else end.weights
            A = np.column_stack([X, np.ones(n)]) if trains_bias else X
            excess.append(float(np.mean((A @ (weights - solution)) ** 2) / 2))
        assert found.value == pytest.approx(np.mean(excess), rel=1e-4, abs=0)
        assert found.value >= 0


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("scale", [1.0, 3e4])
def test_what_rounding_alone_leaves_is_nothing(precision, scale, write_config, data_dir):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((400, 5))
    y = scale * (X @ np.arange(1.0, 6.0) + 3)
    keys = {"batch_size": 8, "learning_rate": 0.05, "epochs": 200, "precision": precision}
    options = OrdersOptions(l2=1.0, replicates=3, rows=48, batch_size=4)
    result = workflows.orders(written(write_config, data_dir, X, y, **keys), options=options).result
    assert [mean.value for mean in result.own.excess] == [0.0, 0.0]
    assert result.own.interval == (0.0, 0.0)
    assert "Here not: " in answer(result)
    assert "in either order, but for rounding" in answer(result)


def answer(result):
    return list(sentences(result))[-1]


@pytest.mark.parametrize(
    ("train", "said"),
    [
        # A training that has come to rest, and so is as good as its noise; and one under way.
        ({"learning_rate": 0.01, "epochs": 60, "batch_size": 2, "l2": 0.1}, "Here yes"),
        ({"learning_rate": 1e-4, "epochs": 2, "batch_size": 2}, "Here hardly"),
        ({"learning_rate": 5.0, "epochs": 3}, "It cannot be told here: this config's own"),
    ],
)
def test_the_answer_is_about_the_configs_own_training(write_config, train, said):
    options = OrdersOptions((0.05, 0.1), replicates=10, rows=20)
    result = workflows.orders(write_config("own", train=train), options=options).result
    text = answer(result)
    assert said in text
    assert f"{train['epochs']} epochs at learning rate {train['learning_rate']:g}" in text
    assert ("diverges" in text) == (result.own.with_replacement is None)
    assert "nan" not in text


def test_more_columns_than_memory_holds_leave_the_question_open(write_config, monkeypatch):
    monkeypatch.setattr("sgdlab.lab.factors.MATRICES", 10**12)
    config = write_config("own")
    result = workflows.orders(config, options=FEW).result
    assert (result.own.minimum, result.own.left, result.own.verdict) == (None, None, None)
    assert "its minimum cannot be solved for" in answer(result)


def test_many_replicates_are_for_floors_alone(write_config):
    options = OrdersOptions((0.05, 0.1), replicates=12, rows=20)
    result = workflows.orders(write_config("own"), options=options).result
    assert (result.replicates, result.own.replicates) == (12, 10)
