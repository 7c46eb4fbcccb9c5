"""Moments, triangle and the exact minimum, against numpy, scikit-learn and plain sums."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, Ridge

from sgdlab.errors import DataError
from sgdlab.optim.closed_form import (
    TRUSTED_CONDITION,
    minimise,
    spectrum_of_moments,
    spectrum_of_triangle,
)
from sgdlab.optim.curvature import largest_eigenvalue
from sgdlab.optim.lanczos import lanczos_largest
from sgdlab.optim.moments import moments
from sgdlab.optim.triangle import triangle

N_ROWS, N_FEATURES = 60, 8


def problem(n_rows=N_ROWS, n_features=N_FEATURES, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_rows, n_features)) + 2.0
    return X, X @ rng.standard_normal(n_features) + 5.0 + rng.standard_normal(n_rows)


def chunked(X, y, n=7):
    return [(X[k : k + n], y[k : k + n]) for k in range(0, len(y), n)]


def both(X, y, bias, n=7):
    """The same problem by X.T X and by the rows."""
    of_moments = spectrum_of_moments(moments(chunked(X, y, n)), bias)
    return of_moments, spectrum_of_triangle(triangle(chunked(X, y, n)), bias)


def with_spectrum(singular_values, n_rows=40, seed=1):
    """Rows whose singular values are known."""
    rng = np.random.default_rng(seed)
    n_features = len(singular_values)
    left = np.linalg.qr(rng.standard_normal((n_rows, n_features)))[0]
    right = np.linalg.qr(rng.standard_normal((n_features, n_features)))[0]
    return left * singular_values @ right.T


def test_moments_are_the_plain_sums():
    X, y = problem()
    found = moments(chunked(X, y))
    assert found.n_rows == N_ROWS
    np.testing.assert_allclose(found.gram, X.T @ X, rtol=1e-13)
    np.testing.assert_allclose(found.means, X.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(found.cross, X.T @ y - X.sum(axis=0) * y.mean(), rtol=1e-10)
    assert found.target_mean == pytest.approx(y.mean(), rel=1e-13)
    assert found.target_scatter == pytest.approx(np.sum((y - y.mean()) ** 2), rel=1e-13)
    v = np.arange(N_FEATURES)
    np.testing.assert_allclose(found.gram_times(v), X.T @ (X @ v), rtol=1e-13)


def test_moments_about_the_means_keep_their_digits_where_means_are_large():
    X, y = problem()
    found = moments(chunked(X + 2.0**20, y))  # a power of two, so that the sum is nearly exact
    centred = X - X.mean(axis=0)
    np.testing.assert_allclose(found.scatter, centred.T @ centred, rtol=1e-7, atol=1e-7)


def test_moments_of_float32_rows_are_summed_in_float64():
    X, y = (each.astype(np.float32) for each in problem(n_rows=1000))
    found = moments([(X, y)])
    exact = X.astype(np.float64)
    np.testing.assert_allclose(found.gram, exact.T @ exact, rtol=1e-12)


@pytest.mark.parametrize("function", [moments, triangle])
@pytest.mark.parametrize(("scale_X", "scale_y", "name"), [(1e150, 1, "X"), (1, 1e-200, "y")])
def test_values_whose_squares_do_not_fit_are_an_error(function, scale_X, scale_y, name):
    X, y = problem()
    with pytest.raises(DataError, match=f"^{name}: values up to .* do not fit float64"):
        function([(X * scale_X, y * scale_y)])
    function([(X, np.zeros(len(y)))])  # nothing but zeros is no such thing


@pytest.mark.parametrize("function", [moments, triangle])
def test_no_rows_are_an_error(function):
    with pytest.raises(ValueError, match="no rows"):
        function([])


@pytest.mark.parametrize("bias", [None, 1.5])
def test_chunks_of_seven_give_what_one_chunk_gives(bias):
    X, y = problem()
    for small, whole in zip(both(X, y, bias, n=7), both(X, y, bias, n=N_ROWS), strict=True):
        found, expected = small.minimum(0.1), whole.minimum(0.1)
        np.testing.assert_allclose(found.weights, expected.weights, rtol=1e-12)
        assert found.bias == pytest.approx(expected.bias, rel=1e-12)
        assert found.objective == pytest.approx(expected.objective, rel=1e-12)


def test_triangle_has_the_sums_of_squares_of_the_rows():
    X, y = problem()
    table = np.column_stack([np.ones(N_ROWS), X, y])
    factor = triangle(chunked(X, y)).factor
    assert factor.shape == (N_FEATURES + 2, N_FEATURES + 2)
    np.testing.assert_allclose(factor.T @ factor, table.T @ table, rtol=1e-12)


def test_a_free_bias_without_l2_is_linear_regression():
    X, y = problem()
    reference = LinearRegression().fit(X, y)
    for spectrum in both(X, y, None):
        found = spectrum.minimum(0)
        np.testing.assert_allclose(found.weights, reference.coef_, rtol=1e-11)
        assert found.bias == pytest.approx(reference.intercept_, rel=1e-11)
        residuals = reference.predict(X) - y
        assert found.objective == pytest.approx(np.mean(residuals**2) / 2, rel=1e-11)
        assert found.is_trusted


@pytest.mark.parametrize("l2", [1e-3, 0.4, 30.0])
def test_l2_is_ridge_with_alpha_n_l2(l2):
    X, y = problem()
    reference = Ridge(alpha=N_ROWS * l2, solver="svd").fit(X, y)
    for found in (minimise(moments([(X, y)]), l2, None), both(X, y, None)[1].minimum(l2)):
        np.testing.assert_allclose(found.weights, reference.coef_, rtol=1e-11)
        assert found.bias == pytest.approx(reference.intercept_, rel=1e-11)


@pytest.mark.parametrize("bias", [0.0, -3.7])
@pytest.mark.parametrize("l2", [0.0, 0.2])
def test_a_held_bias_is_the_plain_solution_for_shifted_targets(bias, l2):
    X, y = problem()
    hessian = X.T @ X / N_ROWS + l2 * np.eye(N_FEATURES)
    weights = np.linalg.solve(hessian, X.T @ (y - bias) / N_ROWS)
    objective = np.mean((X @ weights + bias - y) ** 2) / 2 + l2 / 2 * weights @ weights
    for spectrum in both(X, y, bias):
        found = spectrum.minimum(l2)
        np.testing.assert_allclose(found.weights, weights, rtol=1e-10)
        assert found.bias == bias
        assert found.objective == pytest.approx(objective, rel=1e-11)
        assert found.condition_number == pytest.approx(np.linalg.cond(hessian), rel=1e-9)


def test_a_free_bias_keeps_large_means_out_of_the_condition_number():
    X, y = problem()
    near, far = (spectrum_of_moments(moments([(X + m, y)]), None) for m in (0.0, 2.0**12))
    assert far.condition_number() == pytest.approx(near.condition_number(), rel=1e-6)
    held = spectrum_of_moments(moments([(X + 2.0**12, y)]), 0.0)
    assert held.condition_number() > 1e6 * near.condition_number()


def test_beyond_the_bound_only_the_rows_themselves_keep_their_digits():
    singular_values = np.geomspace(1, 1e-6, 8)  # X.T X: 1e12, beyond 4.5e9
    X, weights = with_spectrum(singular_values), np.arange(1.0, 9.0)
    of_moments, of_rows = (each.minimum(0) for each in both(X, X @ weights, 0.0))
    assert np.abs(of_moments.weights - weights).max() > 1e-5
    assert not of_moments.is_trusted
    assert np.abs(of_rows.weights - weights).max() < 1e-8
    assert of_rows.is_trusted
    assert of_rows.condition_number == pytest.approx(1e12, rel=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_at_the_bound_six_digits_are_left(seed):
    singular_values = np.geomspace(1, 1.01 * TRUSTED_CONDITION**-0.5, 8)
    X, weights = with_spectrum(singular_values, seed=seed), np.ones(8)
    found = spectrum_of_moments(moments(chunked(X, X @ weights)), 0.0).minimum(0)
    assert found.is_trusted
    assert np.linalg.norm(found.weights - weights) < 1e-6 * np.linalg.norm(weights)


@pytest.mark.parametrize("bias", [None, 0.0])
def test_fewer_rows_than_columns_give_the_shortest_weights_that_meet_every_row(bias):
    X, y = problem(n_rows=10, n_features=25)
    spectrum = spectrum_of_triangle(triangle(chunked(X, y)), bias)
    found = spectrum.minimum(0)
    if bias is None:
        shortest = np.linalg.pinv(X - X.mean(axis=0)) @ (y - y.mean())
    else:
        shortest = np.linalg.lstsq(X, y, rcond=None)[0]
    assert spectrum.rank == (9 if bias is None else 10)
    np.testing.assert_allclose(found.weights, shortest, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(X @ found.weights + found.bias, y, rtol=1e-10)
    assert found.objective < 1e-25
    assert found.condition_number == np.inf
    by_sums = spectrum_of_moments(moments(chunked(X, y)), bias)
    assert by_sums.rank == spectrum.rank
    assert by_sums.minimum(0).objective < 1e-12
    assert not by_sums.minimum(0).is_trusted


@pytest.mark.parametrize("bias", [None, 0.5])
def test_columns_that_say_the_same_share_their_weight(bias):
    X, y = problem()
    X = np.column_stack([X, X[:, 0], np.full(N_ROWS, 1000.1)])  # a copy, and a constant
    _, of_rows = both(X, y, bias)
    if bias is None:
        expected = np.linalg.pinv(X - X.mean(axis=0), rcond=1e-10) @ (y - y.mean())
    else:
        expected = np.linalg.pinv(X) @ (y - bias)
    assert of_rows.rank == N_FEATURES + (bias is not None)
    np.testing.assert_allclose(of_rows.minimum(0).weights, expected, rtol=1e-7, atol=1e-9)
    of_moments = spectrum_of_moments(moments([(X, y)]), bias)
    assert not of_moments.minimum(0).is_trusted
    assert of_moments.minimum(0.1).is_trusted


def test_a_single_row_and_rows_of_zeros():
    X, y = problem(n_rows=1)
    alone = spectrum_of_triangle(triangle([(X, y)]), None).minimum(0)
    assert alone.weights.tolist() == [0.0] * N_FEATURES
    assert alone.bias == pytest.approx(y[0])
    y = np.arange(4.0)
    for spectrum in both(np.zeros((4, 2)), y, None):
        found = spectrum.minimum(0)
        assert found.weights.tolist() == [0, 0]
        assert found.bias == pytest.approx(1.5)
        assert found.objective == pytest.approx(0.625)


def test_effective_parameters_are_the_trace_of_the_hat_matrix():
    X, y = problem()
    centred, l2 = X - X.mean(axis=0), 0.7
    hat = centred @ np.linalg.inv(centred.T @ centred + N_ROWS * l2 * np.eye(8)) @ centred.T
    for spectrum in both(X, y, None):
        assert spectrum.effective_parameters(l2) == pytest.approx(np.trace(hat), rel=1e-10)
        assert spectrum.effective_parameters(0) == pytest.approx(N_FEATURES)


@pytest.mark.parametrize("with_bias", [False, True])
def test_largest_eigenvalue_of_the_hessian(with_bias):
    X, y = problem()
    columns = np.column_stack([X, np.ones(N_ROWS)]) if with_bias else X
    expected = np.linalg.eigvalsh(columns.T @ columns / N_ROWS)[-1]
    for each in (moments(chunked(X, y)), triangle(chunked(X, y))):
        assert largest_eigenvalue(each, with_bias) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(
    "eigenvalues",
    [
        np.linspace(0, 1, 200),
        np.append(np.linspace(0, 1, 150), 1.0001),
        np.geomspace(1e-12, 600, 200),
        np.ones(30),
        np.zeros(5),
        np.array([2.5]),
    ],
)
def test_lanczos_finds_the_largest_to_nine_digits(eigenvalues):
    rng = np.random.default_rng(3)
    Q = np.linalg.qr(rng.standard_normal((len(eigenvalues),) * 2))[0]
    matrix = Q * eigenvalues @ Q.T
    found = lanczos_largest(lambda v: matrix @ v, len(eigenvalues))
    assert found == pytest.approx(eigenvalues.max(), rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("unit", [2.0**700, 2.0**-900, 3e250, 7e-270])
def test_lanczos_finds_values_whose_squares_leave_float64(unit):
    rng = np.random.default_rng(3)
    Q = np.linalg.qr(rng.standard_normal((40, 40)))[0]
    eigenvalues = np.geomspace(1e-6, 5, 40)
    matrix = Q * (eigenvalues * unit) @ Q.T
    found = lanczos_largest(lambda v: matrix @ v, 40)
    assert found / unit == pytest.approx(5, rel=1e-9)
    if np.log2(unit).is_integer():
        usual = Q * eigenvalues @ Q.T
        assert found == lanczos_largest(lambda v: usual @ v, 40) * unit
