"""Noise floors by the order of the rows, against plain loops and closed forms."""

import csv
import io
import json
from functools import partial

import numpy as np
import pytest

from sgdlab import workflows
from sgdlab.config.model import Train
from sgdlab.lab.orders.compared import COMPARED, order_of_rows
from sgdlab.lab.orders.descents import Descent, excess_histories, stops
from sgdlab.lab.orders.design import OrdersOptions
from sgdlab.lab.orders.problem import make_problem
from tests.oracles.reference import plain_sgd

L2 = 0.3


def rows(n_rows, n_features, seed=2):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_rows, n_features)) + 0.3
    return X, X @ rng.standard_normal(n_features) + 2 + rng.standard_normal(n_rows)


def exact_minimum(X, y, bias):
    """Weights and bias from the normal equations, with a column of ones if the bias is free."""
    if bias is not None:
        hessian = X.T @ X / len(y) + L2 * np.eye(X.shape[1])
        return np.linalg.solve(hessian, X.T @ (y - bias) / len(y)), bias
    ones = np.column_stack([X, np.ones(len(y))])
    hessian = ones.T @ ones / len(y) + L2 * np.diag([1.0] * X.shape[1] + [0.0])
    solution = np.linalg.solve(hessian, ones.T @ y / len(y))
    return solution[:-1], solution[-1]


def objective(X, y, weights, bias):
    return np.mean((X @ weights + bias - y) ** 2) / 2 + L2 / 2 * weights @ weights


@pytest.mark.parametrize("n_features", [6, 50])  # 50: more columns than rows, so rotated
@pytest.mark.parametrize("bias", [None, 0.4])
def test_the_minimum_is_exact(n_features, bias):
    X, y = rows(24, n_features)
    problem = make_problem(X, y, 4, L2, bias)
    weights, expected_bias = exact_minimum(X, y, bias)
    assert problem.X.shape == (24, min(24, n_features))
    assert problem.minimum.bias == pytest.approx(expected_bias, rel=1e-9)
    assert problem.X @ problem.minimum.weights == pytest.approx(X @ weights, rel=1e-9)
    expected = objective(X, y, weights, expected_bias)
    assert problem.minimum.objective == pytest.approx(expected, rel=1e-9)
    ones = X if bias is not None else np.column_stack([X, np.ones(24)])
    largest = np.linalg.eigvalsh(ones.T @ ones / 24)[-1]
    assert problem.curvature == pytest.approx(largest + L2, rel=1e-9)
    gradients = (X @ weights + expected_bias - y)[:, None] * ones
    assert problem.noise == pytest.approx(np.trace(np.cov(gradients.T, bias=True)), rel=1e-9)


def test_l2_is_raised_until_every_direction_settles():
    X, y = rows(24, 6)
    largest = np.linalg.eigvalsh(X.T @ X / 24)[-1]
    assert make_problem(X, y, 4, 1e-9, 0.0, 10.0).l2 == pytest.approx(largest / 10)
    assert make_problem(X, y, 4, 1e9, 0.0, 10.0).l2 == 1e9


def plain_descent(problem, order, weights, bias, learning_rate, n_steps, trains_bias, X, y):
    """Weights and bias after every step: SGD on the original columns, with an order's batches."""
    w, b, found, step = weights.copy(), bias, [], 0
    for epoch in range(n_steps):
        rows = order.positions(len(y), epoch)
        for batch in rows.reshape(-1, problem.batch_size):
            r = X[batch] @ w + b - y[batch]
            w = w - learning_rate * (X[batch].T @ r / len(batch) + L2 * w)
            b -= learning_rate * np.mean(r) * trains_bias
            found.append((w, b))
            if (step := step + 1) == n_steps:
                return found
    raise AssertionError


@pytest.mark.parametrize("order", COMPARED)
@pytest.mark.parametrize("n_features", [6, 50])
@pytest.mark.parametrize("bias", [None, 0.4])
def test_excess_equals_the_plain_loop_in_the_coordinates_of_the_pixels(order, n_features, bias):
    X, y = rows(24, n_features)
    problem = make_problem(X, y, 4, L2, bias)
    weights, exact_bias = exact_minimum(X, y, bias)
    minimum = problem.minimum
    descents = [
        Descent(0.01, 30, minimum.weights, minimum.bias),
        Descent(0.02, 18, minimum.weights, minimum.bias),
        Descent(0.01, 30, np.zeros_like(minimum.weights), 0.4),
    ]
    looked_at = stops(problem, order, [6, 18, 30])
    found = excess_histories(problem, descents, order, 3, 1, looked_at.steps)
    from_there = [(weights, exact_bias), (weights, exact_bias), (0 * weights, 0.4)]
    shown = order_of_rows(order, problem, seed=3, replicate=1)
    for history, descent, (w, b) in zip(found, descents, from_there, strict=True):
        rate, n_steps = descent.learning_rate, descent.n_steps
        plain = plain_descent(problem, shown, w, b, rate, n_steps, bias is None, X, y)
        for step, excess in zip(looked_at.steps, history, strict=True):
            if step > n_steps:
                assert np.isnan(excess)
                continue
            plain_weights, plain_bias = plain[step - 1]
            # The quadratic form of the distance, which is the difference of objectives ...
            apart, moved = plain_weights - weights, plain_bias - exact_bias
            expected = (np.mean((X @ apart + moved) ** 2) + L2 * apart @ apart) / 2
            assert excess == pytest.approx(expected, rel=1e-9)
            # ... that loses digits by cancellation.
            gap = objective(X, y, plain_weights, plain_bias)
            gap -= objective(X, y, weights, exact_bias)
            assert expected == pytest.approx(gap, rel=1e-6, abs=1e-12)


def test_an_order_of_the_config_is_that_of_its_own_trainings():
    X, y = rows(24, 6)
    problem = make_problem(X, y, 4, L2, 0.4)
    for order in set(COMPARED) - {"fresh_subset"}:
        train = Train(order=order, batch_size=4, learning_rate=0.01, epochs=5, l2=L2,
                      initial_bias=0.4, train_bias=False, seed=3)  # fmt: skip
        plain = plain_sgd(train, X, y, X, y, replicate=1)
        shown = order_of_rows(order, problem, seed=3, replicate=1)
        again = plain_descent(problem, shown, np.zeros(6), 0.4, 0.01, 30, False, X, y)
        assert again[-1][0] == pytest.approx(plain.weights, rel=1e-12)


@pytest.fixture
def config(write_config):
    return write_config("floors", train={"l2": 0.5, "train_bias": True, "seed": 1})


def test_floors_follow_theory_on_a_well_conditioned_problem(config):
    options = OrdersOptions(rows=96, batch_size=6, replicates=8)
    result = workflows.orders(config, options=options).result
    slopes = {each.order: each.slope for each in result.slopes}
    random = slopes["with_replacement"]
    assert abs(random.value - 1) < 4 * random.standard_error
    assert random.standard_error < 0.1
    for order in ("shuffle_once", "shuffle_each_epoch"):
        assert slopes[order].value - 4 * slopes[order].standard_error > 1.5
    assert len(result.fitted) == 3
    for floor in result.floors:
        if floor.order == "with_replacement" and floor.pace <= 1:
            gap = abs(floor.excess.value - floor.expected)
            # First order in the learning rate; the next is its product with the curvature.
            assert gap < 4 * floor.excess.standard_error + 0.1 * floor.expected
    slow = min(result.fitted)
    floors = [result.floor(order, slow).excess.value for order in COMPARED]
    with_replacement, fresh_subset, once, each_epoch = floors
    assert with_replacement > 2 * fresh_subset > 10 * once > 10 * each_epoch


def test_the_slope_is_that_of_the_floors_shown(config):
    options = OrdersOptions((0.02, 0.04), replicates=3, rows=60, batch_size=10)
    result = workflows.orders(config, options=options).result
    assert result.fitted == (0.02, 0.04)
    for slope in result.slopes:
        slow, fast = (result.floor(slope.order, rate).excess.value for rate in result.fitted)
        # The mean over replicates of the logarithms' slopes, here from the logarithms of means.
        assert slope.slope.value == pytest.approx(np.log2(fast / slow), abs=0.3)
    assert [floor.n_steps for floor in result.floors[:2]] == pytest.approx(
        [60 / (rate * result.problem.curvature) for rate in result.fitted], rel=0.05
    )


def test_the_share_of_missed_rows(config):
    result = workflows.orders(
        config, options=OrdersOptions((0.05, 0.1), replicates=2, rows=40)
    ).result
    n_rows = len(result.problem.y)
    assert result.missed == pytest.approx((1 - 1 / n_rows) ** n_rows)
    missed = [n_rows - len(set(np.random.default_rng(s).integers(n_rows, size=n_rows).tolist()))
              for s in range(2000)]  # fmt: skip
    error = np.std(missed) / np.sqrt(2000)
    assert abs(result.missed * n_rows - np.mean(missed)) < 4 * error


@pytest.fixture
def sgdlab(sgdlab):
    """Runs ``orders``."""
    return partial(sgdlab, "orders")


FEW = ("--replicates", "3", "--rows", "64", "-q")


def test_the_command_prints_a_table_a_document_and_rows(sgdlab, config):
    code, out, err = sgdlab(config, *FEW)
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    assert "Does it matter that with replacement an epoch misses 36% of the rows?" in " ".join(
        out.split()
    )
    code, out, _ = sgdlab(config, *FEW, "--format", "json")
    document = json.loads(out, parse_constant=pytest.fail)
    assert [each["order"] for each in document["slopes"]] == list(COMPARED)
    assert len(document["floors"]) == 4 * 5
    code, out, _ = sgdlab(config, *FEW, "--format", "csv")
    found = list(csv.DictReader(io.StringIO(out)))
    assert [float(row["floor"]) for row in found] == [each["floor"] for each in document["floors"]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--learning-rates", "0.1"], "--learning-rates: 1 value; expected two or more"),
        (
            ["--learning-rates", "0.1,-1"],
            "'0.1,-1'; expected positive numbers, separated",
        ),
        (["--learning-rates", ""], "--learning-rates': ''; expected positive numbers"),
        (["--learning-rates", "0.1,inf"], "'0.1,inf'; expected positive numbers"),
        (["--learning-rates", "0.1,9"], "--learning-rates: 9; expected below"),
        (["--learning-rates", "1e-9,0.1"], "expected at most 10000 epochs"),
        (["--l2", "-1"], "--l2 -1.0: out of range; expected a number from 0"),
        (["--l2", "0", "--rows", "8", "--batch-size", "2"], "fits every row; expected noise"),
        (
            ["--batch-size", "60"],
            "--batch-size 60: more than half of the 104 rows; expected at least 2 batches (see "
            "--rows)",
        ),
        (
            ["-S", "train.loss=absolute"],
            "train.loss: absolute; expected squared (set train.loss to squared)",
        ),
        (["--l2", "1e308"], "--l2 1e+308: out of range; expected a number from 0 to 1e+100"),
        (["-S", "train.optimizer=adam"], "train.optimizer: adam; expected sgd"),
        (["-S", "train.warmup=0.1"], "train.warmup: 0.1; expected 0.0"),
        (["--cell", "3"], "--cell 3: no such cell; expected 0 to 0"),
        (
            ["-S", "data.validation={folds: 2}"],
            "data.validation.folds 2; expected a single split for this experiment (set "
            "data.validation to {fraction: 0.2})",
        ),
    ],
)
def test_bad_values_are_one_line(sgdlab, config, arguments, message):
    code, out, err = sgdlab(config, *arguments)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert message in err


@pytest.mark.parametrize("n_rows", [80, 104])
def test_more_rows_than_memory_holds_are_refused(sgdlab, write_config, monkeypatch, n_rows):
    needed = 6 * 8 * 9 * n_rows
    monkeypatch.setattr("sgdlab.system.machine.free_memory_bytes", lambda: needed - 1)
    code, out, err = sgdlab(write_config(), "--rows", n_rows, "--batch-size", 4)
    assert (code, out) == (4, ""), err
    assert f"memory: an experiment on {n_rows} rows of 9 columns takes about" in err
    assert err.endswith("(lower --rows)\n")
