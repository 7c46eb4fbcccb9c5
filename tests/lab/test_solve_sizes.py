"""Large means and unlike columns in ``solve``, against fractions and centred rows."""

import math

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, Ridge

from sgdlab.config.model import Data, Train
from sgdlab.data.dataset import open_dataset
from sgdlab.lab.solve import report
from sgdlab.lab.solve.measure import solve
from sgdlab.lab.subject import About, Answer
from tests.oracles.exact import least_squares

TRAIN = Train(batch_size=4, learning_rate=0.1, epochs=1)


def answer(X, y, mode="free", l2=(1e-3,)):
    """Of rows of which the last fifth validates, and tests too."""
    n = len(y) * 4 // 5
    arrays = {"Xtr": X, "ytr": y, "Xte": X[n:], "yte": y[n:]}
    with open_dataset(Data(), arrays) as dataset:
        solution = solve(dataset, mode, TRAIN, list(l2))
        return Answer(About("sizes", "0000", False, dataset.shape, ""), solution)


def solved(X, y, **options):
    return answer(X, y, **options).result


def problem(n_rows=40, n_features=3, mean=0.0, sizes=1.0, seed=0):
    random = np.random.default_rng(seed)
    X = (random.standard_normal((n_rows, n_features)) + mean) * sizes
    return X, X @ (random.standard_normal(n_features) / sizes), random.standard_normal(n_rows)


UNLIKE = np.array([1e-6, 1e9, 1.0])


@pytest.mark.parametrize("unit", [1e-12, 1.0, 1e9])
@pytest.mark.parametrize(
    ("offset", "noise", "mean", "sizes"),
    [
        (1e10, 1.0, 0.0, 1.0),
        (-1e12, 1.0, 0.0, 1.0),
        (1e10, 1e-3, 0.0, 1.0),
        (0.0, 1.0, 1e8, 1.0),
        (5.0, 1e-4, 1e8, UNLIKE),
        (0.0, 1e-9, 0.0, UNLIKE),
        (3e5, 1e-7, 0.0, 1e-6),
        (0.0, 1e-13, 0.0, 1.0),
    ],
)
def test_noise_is_seen_whatever_the_means(offset, noise, mean, sizes, unit):
    X, y, errors = problem(mean=mean, sizes=sizes)
    y = (y + offset + noise * errors) * unit
    found = solved(X, y)
    weights, bias, mean_square = least_squares(X[:32], y[:32])
    assert found.likelihood.log_likelihood is not None
    assert found.likelihood.sigma2 == pytest.approx(float(mean_square), rel=1e-3)
    assert found.likelihood.n_parameters == 4
    fit = found.maximum_likelihood
    errors = (fit.minimum.weights - np.array(weights, float)) * sizes
    assert np.max(np.abs(errors)) < 1e-3 * (noise + 1e-12) * unit
    assert fit.minimum.bias == pytest.approx(float(bias), rel=1e-9, abs=1e-15 * unit)
    assert 2 * fit.training.half_mse == pytest.approx(float(mean_square), rel=1e-3)
    density = -16 * (math.log(2 * math.pi * float(mean_square)) + 1)
    assert found.likelihood.log_likelihood == pytest.approx(density, rel=1e-3)


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
@pytest.mark.parametrize("offset", [0.0, 3.0, -1e10])
@pytest.mark.parametrize(
    ("mean", "sizes"), [(0.0, 1.0), (1e4, 1.0), (1e8, 1.0), (0.0, UNLIKE), (7.0, UNLIKE)]
)
def test_rows_that_are_met_are_still_seen_to_be(mean, sizes, offset, unit):
    X, y, _ = problem(mean=mean, sizes=sizes)
    found = solved(X, (y + offset) * unit)
    assert found.likelihood.sigma2 == 0
    assert found.likelihood.log_likelihood is None


@pytest.mark.parametrize("n_features", [30, 100, 400])
@pytest.mark.parametrize("mean", [0.0, 1e6])
def test_many_columns_are_no_noise(n_features, mean):
    X, y, errors = problem(n_rows=600, n_features=n_features, mean=mean)
    assert solved(X, y + 1e3).likelihood.log_likelihood is None
    found = solved(X, y + 1e3 + 1e-5 * errors)
    assert 1e-13 < found.likelihood.sigma2 < 1e-10


@pytest.mark.parametrize("n_rows", [15, 20, 40])  # of which 4 in 5 train: n = d, and less
def test_as_many_columns_as_rows_meet_all(n_rows):
    X, y, errors = problem(n_rows=n_rows, n_features=32, mean=1e5)
    found = solved(X, y + 1e9 + errors)
    assert found.likelihood.log_likelihood is None
    n = n_rows * 4 // 5
    centred = X[:n] - X[:n].mean(axis=0)
    shortest = np.linalg.pinv(centred, rcond=1e-9) @ ((y + errors)[:n] - (y + errors)[:n].mean())
    np.testing.assert_allclose(found.maximum_likelihood.minimum.weights, shortest, atol=2e-6)


@pytest.mark.parametrize("value", [0.0, 7.3, 1e10, -1e-12])
def test_constant_targets_have_nothing_to_explain(value):
    X, _, _ = problem(mean=3.0)
    found = solved(X, np.full(40, value))
    assert found.likelihood.log_likelihood is None
    assert np.max(np.abs(found.maximum_likelihood.minimum.weights)) <= 1e-15 * abs(value)
    assert found.maximum_likelihood.minimum.bias == pytest.approx(value, rel=1e-14)


def test_a_large_mean_drowns_no_other_column():
    X, _, errors = problem(n_rows=100)
    X = X * [1e-5, 1.0, 1.0] + [0.0, 1e12, 0.0]
    found = solved(X, X[:, 0] * 1e5 + errors)
    reference = LinearRegression().fit((X[:80] - X[0]) * [1e5, 1, 1], (X[:, 0] * 1e5 + errors)[:80])
    weights = found.maximum_likelihood.minimum.weights * [1e-5, 1, 1]
    np.testing.assert_allclose(weights, reference.coef_, rtol=1e-9)


@pytest.mark.parametrize("size", [1.0, 1e-9, 1e9])
@pytest.mark.parametrize("constant", [14.62, 1e12, -3e-7])
def test_a_column_of_rounding_has_no_weight(constant, size):
    X, y, errors = problem(n_rows=100, sizes=size)
    y = y + errors
    noisy = np.full(100, constant)
    noisy[::2] = np.nextafter(constant, np.inf)
    found = solved(np.column_stack([X, noisy]), y)
    reference = LinearRegression().fit(X[:80] / size, y[:80])
    weights = found.maximum_likelihood.minimum.weights
    np.testing.assert_allclose(weights[:3] * size, reference.coef_, rtol=1e-9)
    assert weights[3] == 0
    assert found.likelihood.n_parameters == 4
    alone = solved(noisy[:, None], y).maximum_likelihood.minimum
    assert alone.weights.tolist() == [0.0]
    assert alone.bias == pytest.approx(y[:80].mean(), rel=1e-12)


@pytest.mark.parametrize(("mean", "offset"), [(1e8, 0.0), (0.0, 1e10), (1e6, 1e6)])
def test_ridge_on_large_means_is_that_of_centred_rows(mean, offset):
    X, y, errors = problem(n_rows=200, n_features=6, mean=mean)
    y = y + offset + errors
    found = solved(X, y, l2=[0.3])
    means, centre = X[:160].mean(axis=0), y[:160].mean()
    ridge = Ridge(alpha=160 * 0.3).fit(X[:160] - means, y[:160] - centre)
    np.testing.assert_allclose(found.best.minimum.weights, ridge.coef_, rtol=1e-5)
    errors = ridge.predict(X[160:] - means) - (y[160:] - centre)
    assert found.best.validation.half_mse == pytest.approx(np.mean(errors**2) / 2, rel=1e-5)


def test_it_says_why_the_rows_were_factorised():
    X, y, errors = problem()
    said = report.findings(answer(X, y + 1e-7 * errors).result)[0]
    assert said == (
        "X.T X is not to be trusted: it does not tell a misfit so small from rounding; the rows"
        " themselves were factorised (QR)"
    )
    assert report.findings(answer(X, y + errors).result)[0].startswith("solved with X.T X")
