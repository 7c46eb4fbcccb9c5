"""One step on the mean absolute error."""

from fractions import Fraction

import numpy as np
import pytest

from sgdlab.evaluation.mae_step import mae_step


def test_counts_and_subgradients_by_hand():
    X = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, 0.0]])
    w, b = np.array([1.0, 2.0]), 0.5
    y = np.array([1.0, 9.0, 3.5, 9.0])  # predictions 1.5, 2.5, 3.5, 2.5
    step = mae_step(w, b, [(X[:3], y[:3]), (X[3:], y[3:])], learning_rate=0.1)
    assert (step.n_above, step.n_below, step.n_rows) == (1, 2, 4)
    assert step.bias_subgradient == -0.25
    assert step.weights_subgradient.tolist() == [(1 - 2) / 4, -1 / 4]
    assert step.bias_after == pytest.approx(0.525)


def test_subgradient_is_the_slope_of_the_mean_absolute_error():
    rng = np.random.default_rng(1)
    X, y, w, b = rng.standard_normal((50, 3)), rng.standard_normal(50), np.ones(3), 0.2

    def loss(w, b):
        return np.mean(np.abs(X @ w + b - y))

    step = mae_step(w, b, [(X, y)], 0.1)
    h = 1e-7
    assert step.bias_subgradient == pytest.approx((loss(w, b + h) - loss(w, b - h)) / (2 * h))
    for n, slope in enumerate(step.weights_subgradient):
        shift = h * np.eye(3)[n]
        assert slope == pytest.approx((loss(w + shift, b) - loss(w - shift, b)) / (2 * h))


@pytest.mark.parametrize("unit", [1e308, 3e200, 1e155, 1e-300])
@pytest.mark.parametrize("target_unit", [1.0, 1e308])
def test_signs_and_means_of_what_is_beyond_float64(unit, target_unit):
    """In exact fractions: products and sums overflow, and infinities of both signs meet."""
    rng = np.random.default_rng(2)
    X, y = rng.uniform(-1.5, 1.5, (60, 4)) * unit, rng.uniform(-1, 1, 60) * target_unit
    w, b = rng.uniform(-3, 3, 4), 0.25
    step = mae_step(w, b, [(X[:20], y[:20]), (X[20:], y[20:])], 0.1)
    exact = [[Fraction(value) for value in row] for row in X.tolist()]
    residuals = [
        sum(x * Fraction(v) for x, v in zip(row, w.tolist(), strict=True))
        + Fraction(b) - Fraction(target)
        for row, target in zip(exact, y.tolist(), strict=True)
    ]  # fmt: skip
    signs = [(residual > 0) - (residual < 0) for residual in residuals]
    assert (step.n_above, step.n_below) == (signs.count(1), signs.count(-1))
    for n, slope in enumerate(step.weights_subgradient):
        mean = sum(sign * row[n] for sign, row in zip(signs, exact, strict=True)) / 60
        assert slope == pytest.approx(float(mean), rel=1e-9)
