"""Experiments on rows and targets whose means are far larger than their spread."""

from fractions import Fraction

import numpy as np
import pytest

from sgdlab.config.model import Data, Train
from sgdlab.data.dataset import open_dataset
from sgdlab.errors import UsageError
from sgdlab.lab.gradient_noise import remedies, row_gradients
from sgdlab.lab.gradient_noise.curvatures import row_curvatures
from sgdlab.lab.gradient_noise.measure import measure_gradient_noise
from sgdlab.lab.gradient_noise.remedies import measure_remedies
from sgdlab.lab.gradient_noise.row_gradients import RowGradients
from sgdlab.lab.gradient_noise.update_noise import UpdateSums, noise_factors
from sgdlab.lab.orders.design import OrdersOptions, load_problem
from sgdlab.lab.orders.problem import make_problem
from tests.oracles.exact import exactly, least_squares, mean
from tests.oracles.row_gradients import Rows

PLAIN = Train(batch_size=4, learning_rate=0.1, epochs=1)

# The targets' offset, and the spread of X: gradients are nearly all alike.
FAR = [(1e10, 1e-3), (-3e7, 1e-6), (1e9, 0.0)]


def far_rows(offset, spread, n=24, d=2):
    """Rows around 1 with residuals around an offset, at weights of zero."""
    random = np.random.default_rng(3)
    X = 1 + spread * random.standard_normal((n, d))
    y = np.round((random.standard_normal(n) - offset) * 64) / 64  # which float64 holds
    return X, y


def at_zero(X, y):
    return RowGradients(Rows(X, y, 7), PLAIN, np.zeros(X.shape[1]), 0.0)


def exact_gradients(X, y):
    return [
        [-target * value for value in (*exactly(row), Fraction(1))]
        for row, target in zip(X, exactly(y), strict=True)
    ]


def exact_deviations(X, y):
    rows = exact_gradients(X, y)
    means = [mean(column) for column in zip(*rows, strict=True)]
    return [[value - m for value, m in zip(row, means, strict=True)] for row in rows]


@pytest.mark.parametrize(("offset", "spread"), FAR)
def test_variances_of_gradients_that_are_nearly_alike(offset, spread):
    X, y = far_rows(offset, spread)
    columns = zip(*exact_deviations(X, y), strict=True)
    expected = [float(mean([value**2 for value in column])) for column in columns]
    found = at_zero(X, y).moments()
    # A gradient of 1e10 is itself rounded, to 1e-6.
    np.testing.assert_allclose(found.variance, expected, rtol=1e-4)


@pytest.mark.parametrize("max_bytes", [10**9, 0], ids=["with H", "with products of rows"])
@pytest.mark.parametrize(("offset", "spread"), FAR)
def test_noise_along_the_curvature(offset, spread, max_bytes, monkeypatch):
    monkeypatch.setattr(row_gradients, "MAX_MATRIX_BYTES", max_bytes)
    X, y = far_rows(offset, spread)
    inputs = [[*exactly(row), Fraction(1)] for row in X]
    deviations = exact_deviations(X, y)
    total = mean(
        [
            mean([sum(map(Fraction.__mul__, deviation, other)) ** 2 for other in inputs])
            for deviation in deviations
        ]
    )
    gradients = at_zero(X, y)
    found = row_curvatures(gradients, gradients.moments())
    assert found.of_gradients.mean() == pytest.approx(float(total), rel=1e-4)
    assert found.of_inputs.mean() == pytest.approx(float(total), rel=1e-4)


@pytest.mark.parametrize(("offset", "spread"), FAR)
def test_minibatches_deviate_by_their_own_noise(offset, spread):
    X, y = far_rows(offset, spread)
    found = measure_gradient_noise(at_zero(X, y), [1, 4, 24], 4000, seed=1)
    for sampling in (found.independent, found.distinct):
        for variance in sampling.variances:
            error = variance.measured - variance.exact
            assert abs(error) <= 4 * variance.standard_error


@pytest.mark.parametrize("length", [1e6, 1e9])
def test_noise_of_long_updates_is_theirs(length):
    random = np.random.default_rng(0)
    sums = UpdateSums(16, np.full(4, length))
    for _ in range(200):
        sums.add(length + random.standard_normal((16, 4)), 1 / 200)
    found = noise_factors(sums, plain_noise=4.0, plain_signal=4 * length**2)
    assert found.noise.value == pytest.approx(1.0, abs=4 * found.noise.standard_error)
    assert 0 < found.noise.standard_error < 0.1
    assert found.same_step.value == pytest.approx(found.noise.value, rel=1e-6)


def test_remedies_of_gradients_that_are_nearly_alike(monkeypatch):
    monkeypatch.setattr(remedies, "N_CHAINS", 60)
    X, y = far_rows(1e7, 1e-4)
    found = measure_remedies(at_zero(X, y), 4, 0.1, seed=0).remedies
    for remedy in found:
        if remedy.exact is not None and remedy.name != "momentum":  # which still rises to its mean
            error = remedy.measured.noise.value - remedy.exact.noise.value
            assert abs(error) < 5 * remedy.measured.noise.standard_error


def orders_problem(X, y, bias=True, l2=0.0):
    train = Train(batch_size=4, learning_rate=0.1, epochs=1, train_bias=bias, initial_bias=0.0)
    arrays = {"Xtr": X, "ytr": y, "Xte": X, "yte": y}
    with open_dataset(Data(), arrays) as dataset:
        return load_problem(train, dataset, OrdersOptions(l2=l2))


@pytest.mark.parametrize("offset", [1e10, -1e11, 1e7])
@pytest.mark.parametrize("noise", [1.0, 1e-3])
def test_noise_around_a_large_mean_is_noise(offset, noise):
    random = np.random.default_rng(5)
    X = random.standard_normal((40, 3))
    y = offset + X @ [1.0, 2.0, 3.0] + noise * random.standard_normal(40)
    found = orders_problem(X, y)
    weights, bias, _ = least_squares(X[:32], y[:32])
    np.testing.assert_allclose(found.minimum.weights, np.array(weights, float), rtol=1e-3)
    assert found.minimum.bias == pytest.approx(float(bias), rel=1e-12)
    residuals = y[:32] - float(bias) - X[:32] @ np.array(weights, float)
    columns = np.column_stack([X[:32], np.ones(32)]) * residuals[:, None]
    assert found.noise == pytest.approx(np.sum(np.var(columns, axis=0)), rel=0.05)


@pytest.mark.parametrize("offset", [0.0, 1e10, -1e13])
@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_rows_that_are_met_have_no_noise(offset, unit):
    X = np.random.default_rng(5).standard_normal((40, 3))
    with pytest.raises(UsageError, match="fits every row"):
        orders_problem(X, (X @ [1.0, 2.0, 3.0] + offset) * unit)


def test_a_held_bias_leaves_noise_in_the_targets_themselves():
    X = np.random.default_rng(5).standard_normal((40, 3))
    problem = make_problem(X, np.full(40, 5.0), 4, 0.0, 0.0)
    assert problem.noise > problem.smallest_noise
