"""The kernel alone: chunks, tiles, L2 by scale, and trajectories that have diverged."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgdlab.config.model import Train
from sgdlab.engine import products
from sgdlab.engine.direct import DirectKernel
from sgdlab.engine.window_steps import Walk
from sgdlab.engine.windowed import WindowedKernel
from tests.oracles.reference import plain_sgd, relative_distance

rng = np.random.default_rng(7)
X = rng.standard_normal((53, 6))
y = rng.standard_normal(53) * 3


def make_kernel(trains, dtype=np.float64, window_rows=None):
    """The direct kernel, or where a window is given the windowed one, with windows that fit it."""
    weights = np.zeros((len(trains), X.shape[1]))
    if window_rows is None:
        return DirectKernel(trains, weights, dtype)
    together = math.lcm(*{train.batch_size for train in trains})
    fitting = max(window_rows - window_rows % together, together)
    return WindowedKernel(trains, weights, dtype, fitting, keeps_products=True)


def run(kernel, n_epochs, chunk_rows):
    for _ in range(n_epochs):
        kernel.start_epoch(len(X))
        for start in range(0, len(X), chunk_rows):
            kernel.step(X[start : start + chunk_rows], y[start : start + chunk_rows])


def cell(batch_size, learning_rate=0.05, l2=0.0, epochs=4, **others):
    values = {"batch_size": batch_size, "learning_rate": learning_rate, "l2": l2, "epochs": epochs}
    return Train(order="in_order", **values, **others)


def check_against_plain_loop(kernel, trains):
    for n, train in enumerate(trains):
        expected = plain_sgd(train, X, y, X, y)
        assert relative_distance(kernel.weights[n], expected.weights) < 1e-12
        assert kernel.bias[n] == pytest.approx(expected.bias, rel=1e-12)
        running_loss = kernel.squared_errors[n] / (2 * len(X))
        assert running_loss == pytest.approx(expected.running[-1], rel=1e-12)


WINDOWS = [None, 1, 8, 20, 60]


@pytest.mark.parametrize("window_rows", WINDOWS)
@pytest.mark.parametrize("chunk_rows", [1, 7, 20, 53, 100])
@pytest.mark.parametrize("loss", ["squared", "absolute", "huber"])
@pytest.mark.parametrize("sizes", [(1, 4, 10, 10), (1, 16, 16), (53,), (200, 200)])
@pytest.mark.parametrize("learning_rate", [0.02, 0.002])
@pytest.mark.parametrize("every", [2, 100])  # of so many cells one bias is trained
def test_any_batch_sizes_in_any_chunks_equal_the_plain_loop(
    every, learning_rate, sizes, loss, chunk_rows, window_rows
):
    others = {"loss": loss, "initial_bias": 0.1}
    trains = [
        cell(size, learning_rate, 0.3 * n, huber_delta=0.5 + n, train_bias=n % every == 1, **others)
        for n, size in enumerate(sizes)
    ]
    kernel = make_kernel(trains, window_rows=window_rows)
    run(kernel, 4, chunk_rows)
    check_against_plain_loop(kernel, trains)


@pytest.mark.parametrize("loss", ["squared", "absolute", "huber"])
@pytest.mark.parametrize("train_bias", [False, True])
@pytest.mark.parametrize("piece_rows", [1, 3, 10, 11])
def test_a_tile_in_pieces_equals_the_plain_loop(piece_rows, train_bias, loss, monkeypatch):
    monkeypatch.setattr(products, "CACHED_BYTES", piece_rows * X[0].nbytes)
    trains = [cell(size, 0.02, 0.3, loss=loss, train_bias=train_bias) for size in (10, 20, 20)]
    kernel = make_kernel(trains)
    run(kernel, 4, 53)
    check_against_plain_loop(kernel, trains)


@pytest.mark.parametrize("n_cells", [3, 20])
@pytest.mark.parametrize("window_rows", [None, 20])
def test_float32_equals_the_plain_loop_to_its_precision(window_rows, n_cells):
    trains = [cell(10, 0.002 + 0.001 * n, 0.01, train_bias=True) for n in range(n_cells)]
    kernel = make_kernel(trains, np.float32, window_rows)
    for _ in range(4):
        kernel.start_epoch(len(X))
        kernel.step(X.astype(np.float32), y.astype(np.float32))
    assert kernel.weights.dtype == np.float32
    for n, train in enumerate(trains):
        expected = plain_sgd(train, X, y, X, y)
        assert relative_distance(kernel.weights[n], expected.weights) < 1e-5
        running_loss = kernel.squared_errors[n] / (2 * len(X))
        assert running_loss == pytest.approx(expected.running[-1], rel=1e-6)


@settings(max_examples=150, deadline=None)
@given(
    decay=st.one_of(st.sampled_from([0.0, 1.0, -1.0, 1e-9, 0.5]), st.floats(-1, 1)),
    batch_size=st.integers(1, 60),
    chunk_rows=st.integers(1, 60),
    window_rows=st.sampled_from(WINDOWS),
    train_bias=st.booleans(),
)
def test_every_decay_from_minus_one_to_one_equals_the_plain_loop(
    decay, batch_size, chunk_rows, window_rows, train_bias
):
    learning_rate, bias = 0.01, {"train_bias": train_bias}
    train = cell(batch_size, learning_rate, l2=(1 - decay) / learning_rate, **bias)
    trains = sorted([train, cell(7, **bias)], key=lambda each: each.batch_size)
    kernel = make_kernel(trains, window_rows=window_rows)
    run(kernel, 4, chunk_rows)
    expected = plain_sgd(train, X, y, X, y)
    assert relative_distance(kernel.weights[trains.index(train)], expected.weights) < 1e-9


@pytest.mark.parametrize("window_rows", [None, 20])
def test_a_diverging_trajectory_leaves_its_neighbours_as_they_are(window_rows):
    steady = cell(10)
    alone, beside = (
        make_kernel([steady, other], window_rows=window_rows) for other in (steady, cell(10, 1e300))
    )
    run(alone, 2, 53)
    run(beside, 2, 53)
    assert not np.isfinite(beside.weights[1]).any()
    assert beside.weights[0].tobytes() == alone.weights[0].tobytes()


@pytest.mark.parametrize(
    ("optimizer", "window_rows"),
    [("sgd", None), ("sgd", 40), ("momentum", None), ("nesterov", None), ("adam", None)],
)
def test_a_frozen_trajectory_stays_zero_and_changes_nobody_else(optimizer, window_rows):
    trains = [cell(10, l2=0.5, optimizer=optimizer), cell(20, l2=0.5, optimizer=optimizer)]
    kernel, other = (make_kernel(trains, window_rows=window_rows) for _ in range(2))
    for each in (kernel, other):
        run(each, 1, 53)
    kernel.freeze(np.array([False, True]))
    for each in (kernel, other):
        run(each, 2, 53)
    assert not kernel.weights[1].any()
    assert kernel.bias[1] == 0.0
    assert kernel.weights[0].tobytes() == other.weights[0].tobytes()


@pytest.mark.parametrize("window_rows", [None, 80])
@pytest.mark.parametrize("train_bias", [True, False])
def test_float32_follows_float64_and_sums_errors_in_float64(train_bias, window_rows):
    trains = [cell(1, 0.005, l2=0.1, train_bias=train_bias), cell(16, train_bias=train_bias)]
    double = make_kernel(trains, window_rows=window_rows)
    single = make_kernel(trains, np.float32, window_rows)
    run(double, 3, 53)
    for _ in range(3):
        single.start_epoch(len(X))
        single.step(X.astype(np.float32), y.astype(np.float32))
    assert single.weights.dtype == np.float32
    assert single.squared_errors.dtype == np.float64
    assert relative_distance(single.weights, double.weights) < 1e-5


def test_predictions_of_some_trajectories():
    kernel = make_kernel([cell(5, l2=1.0, initial_bias=0.5), cell(10), cell(10, 0.01)])
    run(kernel, 1, 53)
    chosen = np.array([2, 0])
    expected = kernel.weights[chosen] @ X.T + kernel.bias[chosen][:, None]
    np.testing.assert_allclose(kernel.predict(X, chosen), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("others", "is_solved"),
    [
        ({}, True),
        ({"learning_rate": 0.2}, False),  # would lose digits
        ({"train_bias": True}, False),
        ({"loss": "huber"}, False),
        ({"schedule": "cosine"}, False),
        ({"l2": 100.0}, False),
    ],
)
def test_residuals_are_solved_for_only_where_that_is_exact(others, is_solved):
    settings = {"learning_rate": 0.003, "train_bias": False} | others
    walk = Walk([cell(1, **settings)], 40, np.float64)
    assert bool(walk.products(X[:40] @ X[:40].T).powers) == is_solved


@pytest.mark.parametrize("is_diverging", [False, True])
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize(
    ("optimizer", "window_rows"),
    [("sgd", None), ("sgd", 40), ("momentum", None), ("nesterov", None), ("adam", None)],
)
def test_a_state_from_anywhere_in_an_epoch_goes_on_with_the_same_bits(
    optimizer, window_rows, schedule, is_diverging
):
    settings = {"optimizer": optimizer, "schedule": schedule, "l2": 0.5, "train_bias": True}
    trains = [cell(size, **settings) for size in (4, 10, 20)]
    whole = make_kernel(trains, window_rows=window_rows)
    run(whole, 1, 53)
    if is_diverging:
        whole.freeze(np.array([False, True, False]))
    for stop in range(0, 54, 3):
        whole.start_epoch(len(X))
        whole.step(X[:stop], y[:stop])
        other = make_kernel(trains, window_rows=window_rows)
        other.restore(whole.state())
        for kernel in (whole, other):
            kernel.step(X[stop:], y[stop:])
            run(kernel, 1, 20)
        assert other.weights.tobytes() == whole.weights.tobytes()
        assert {name: array.tobytes() for name, array in other.state().items()} == {
            name: array.tobytes() for name, array in whole.state().items()
        }


def test_the_state_of_another_stack_is_refused():
    state = make_kernel([cell(10), cell(20)]).state()
    with pytest.raises(ValueError, match=r"shape \(2, 6\) in the place of float64 of shape \(3, 6"):
        make_kernel([cell(10)] * 3).restore(state)
    with pytest.raises(KeyError, match=r"batch_10\.n_updates"):
        make_kernel([cell(10, optimizer="momentum"), cell(20, optimizer="momentum")]).restore(state)


# Powers of these are within rounding of 1e-3, the smallest scale.
DECAYS = [0.5011872336272722, 0.6105402296585328, 0.6812920690579612, 0.7498942093324558]


@pytest.mark.parametrize("decay", DECAYS)
def test_a_scale_is_folded_whenever_it_is_small_and_not_when_it_was_looked_at(decay):
    train = cell(1, 1.0, l2=1 - decay)
    whole = DirectKernel([train], np.zeros((1, 6)), np.float64)
    whole.start_epoch(len(X))
    for n in range(len(X)):
        other = DirectKernel([train], np.zeros((1, 6)), np.float64)
        other.restore(whole.state())
        for kernel in (whole, other):
            kernel.step(0.1 * X[n : n + 1], y[n : n + 1])
        assert other.state()["scale"].tobytes() == whole.state()["scale"].tobytes()
        assert other.state()["V"].tobytes() == whole.state()["V"].tobytes()
