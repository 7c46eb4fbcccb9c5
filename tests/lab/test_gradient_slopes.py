"""Slopes of measured variances, what they are known to be off by, and when there is an interval."""

import itertools
import math

import numpy as np
import pytest

from sgdlab.config.model import Train
from sgdlab.lab.gradient_noise import row_gradients
from sgdlab.lab.gradient_noise.fourth_moments import measure_fourth_moments
from sgdlab.lab.gradient_noise.measure import measure_gradient_noise
from sgdlab.lab.gradient_noise.power_law import MeasuredMean, fit_slope, measure_growth
from sgdlab.lab.gradient_noise.row_gradients import RowGradients
from tests.oracles.row_gradients import Rows, problem


def fourth_moments(gradients):
    return measure_fourth_moments(gradients, gradients.moments().trace)


@pytest.mark.parametrize("max_bytes", [10**9, 0], ids=["with Sigma", "with products of rows"])
@pytest.mark.parametrize(("n", "d"), [(2, 1), (3, 2), (4, 1), (5, 3), (6, 2)])
def test_squared_distances_vary_as_they_do_over_all_batches(n, d, max_bytes, monkeypatch):
    monkeypatch.setattr(row_gradients, "MAX_MATRIX_BYTES", max_bytes)
    gradients, rows = problem(n, d, piece=2)
    moments = fourth_moments(gradients)
    for with_replacement, m in itertools.product((True, False), range(1, n)):
        numbers = range(n)
        batches = (
            itertools.product(numbers, repeat=m)
            if with_replacement
            else itertools.combinations(numbers, m)
        )
        distances = [
            np.square(rows[list(batch)].mean(axis=0) - rows.mean(axis=0)).sum() for batch in batches
        ]
        expected = np.var(distances) / np.mean(distances) ** 2
        found = moments.relative_variance(m, with_replacement)
        assert found == pytest.approx(expected, rel=1e-9, abs=2e-13)


@pytest.mark.parametrize("with_replacement", [True, False])
def test_errors_are_what_repeated_measurements_scatter_by(with_replacement):
    gradients, _ = problem(n=12, d=2, piece=12)
    kind = "independent" if with_replacement else "distinct"
    measured = []
    for seed in range(400):
        noise = measure_gradient_noise(gradients, [1, 3, 8], n_trials=10, seed=seed)
        measured.append([each.measured for each in getattr(noise, kind).variances])
    claimed = [each.standard_error for each in getattr(noise, kind).variances]
    np.testing.assert_allclose(np.std(measured, axis=0), claimed, rtol=0.15)


def power_law(exponent, sizes, errors, noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    return [
        MeasuredMean(size, size, size**exponent * math.exp(noise * error * rng.normal()), error)
        for size, error in zip(sizes, errors, strict=True)
    ]


def test_slope_and_its_error_on_a_power_law():
    sizes = [1, 2, 4, 8, 16]
    slope = fit_slope(power_law(-1.5, sizes, [0.05] * 5), 400)
    spread = np.log(sizes) - np.log(sizes).mean()
    error = 0.05 / math.sqrt(spread @ spread)
    assert slope.value == pytest.approx(-1.5, abs=1e-12)
    assert slope.standard_error == pytest.approx(error)
    assert (slope.low, slope.high) == pytest.approx(
        (-1.5 - 1.96 * error, -1.5 + 1.96 * error), 1e-4
    )
    [growth] = measure_growth(power_law(1.0, [3, 6], [0.03, 0.04]))
    assert growth.ratio == pytest.approx(2.0)
    assert growth.standard_error == pytest.approx(2 * 0.05)


def test_growth_knows_which_means_its_pairs_share():
    """Of the pairs (1, 2) and (2, 4), what the middle mean is off by cancels."""
    growths = measure_growth(power_law(-1.0, [1, 2, 4], [0.1, 0.2, 0.1]))
    assert [growth.factor for growth in growths] == [2, 4]
    assert growths[0].standard_error == pytest.approx(0.5 * math.hypot(0.1, 0.1) / 2)


def test_slope_leans_on_the_precise_means():
    means = power_law(-1.0, [1, 2, 4], [0.001] * 3) + power_law(0.0, [8], [0.1])
    assert fit_slope(means, 100).value == pytest.approx(-1, abs=0.01)


@pytest.mark.parametrize(("errors", "fitted"), [((0.26, 0.25, 0.1), (2, 4)), ((0.3, 0.3, 0.1), 0)])
def test_means_that_are_not_precise_are_left_out_if_two_are_left(errors, fitted):
    slope = fit_slope(power_law(-1.0, [1, 2, 4], errors), 100)
    assert slope.batch_sizes == (fitted or (1, 2, 4))
    assert (slope.low is None) == (slope.high is None) == (not fitted)
    assert ("off by 30%" in (slope.no_interval_because or "")) == (not fitted)


@pytest.mark.parametrize("n_trials", [2, 5, 30, 99, 100])
def test_a_few_trials_give_no_interval(n_trials):
    noise = measure_gradient_noise(problem()[0], [8, 16, 32], n_trials, seed=3)
    for sampling in (noise.independent, noise.distinct):
        slope = sampling.slope
        assert (slope.low is None) == (slope.high is None) == (n_trials < 100)
        assert ("so few trials" in (slope.no_interval_because or "")) == (n_trials < 100)


def test_slope_needs_two_sizes_and_some_variance():
    assert fit_slope(power_law(-1.0, [2], [0.1]), 100) is None
    assert fit_slope([MeasuredMean(2, 2, 1.0, 0.1), MeasuredMean(4, 4, 0.0, 0.1)], 100) is None
    assert measure_growth([MeasuredMean(2, 2, 1.0, 0.1), MeasuredMean(4, 4, 0.0, 0.1)]) == ()


def test_rows_that_are_alike_have_no_slope():
    train = Train(batch_size=4, learning_rate=0.1, epochs=1)
    gradients = RowGradients(
        Rows(np.full((20, 3), 0.1), np.full(20, 7.7), 20), train, np.ones(3), 0
    )
    noise = measure_gradient_noise(gradients, [1, 2, 4, 20], n_trials=100, seed=0)
    for sampling in (noise.independent, noise.distinct):
        assert (sampling.slope, sampling.growths) == (None, ())
        assert {each.exact for each in sampling.variances} == {0.0}


LAWS = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "lognormal": lambda rng, shape: rng.lognormal(size=shape),
    "one large row": lambda rng, shape: rng.normal(size=shape) * np.where(
        np.arange(shape[0]) == 3, 30, 1
    )[:, None],
    "bits": lambda rng, shape: rng.integers(2, size=shape).astype(float),
}  # fmt: skip


@pytest.mark.parametrize("loss", ["squared", "absolute"])
@pytest.mark.parametrize("law", LAWS)
def test_intervals_cover_the_slope(law, loss):
    """Over 150 data sets and seeds, between 90 % and all; the benchmark has 2000 for each."""
    covered = []
    train = Train(batch_size=4, learning_rate=0.1, epochs=1, loss=loss)
    for seed in range(150):
        rng = np.random.default_rng(seed)
        X = LAWS[law](rng, (60, 3))
        y = X @ rng.normal(size=3) + rng.normal(size=60)
        gradients = RowGradients(Rows(X, y, 60), train, np.zeros(3), 0.0)
        noise = measure_gradient_noise(gradients, [1, 2, 4, 8, 16, 32], 100, seed)
        for slope in (noise.independent.slope, noise.distinct.slope):
            if slope is not None and slope.low is not None:
                covered.append(slope.low <= -1 <= slope.high)
    assert len(covered) > 200
    assert np.mean(covered) > 0.9
