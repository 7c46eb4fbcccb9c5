"""Remedies against plain simulations and enumerations on a tiny problem."""

import itertools

import numpy as np
import pytest

from sgdlab.errors import DataError
from sgdlab.lab.gradient_noise import minibatches
from sgdlab.lab.gradient_noise import remedies as gradient_noise_remedies
from sgdlab.lab.gradient_noise.remedies import Remedy, measure_remedies
from sgdlab.lab.gradient_noise.row_gradients import RowGradients
from sgdlab.lab.gradient_noise.update_noise import Estimate, NoiseFactors, UpdateSums, noise_factors
from sgdlab.lab.gradient_noise.update_rules import averaged, of_optimizer
from sgdlab.words.optimizers import Adam, Momentum
from tests.oracles.row_gradients import Rows, problem, row_gradient

M = 4  # rows of a minibatch


@pytest.fixture(scope="module")
def small():
    return problem(n=12, d=3, l2=0.2, piece=5)


@pytest.fixture(scope="module")
def remedies(small):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gradient_noise_remedies, "N_CHAINS", 100)
        patch.setattr(gradient_noise_remedies, "N_SWEEPS", 400)
        patch.setattr(minibatches, "DEVIATION_BYTES", 8 * 4 * 100 * 7)  # seven steps a pass
        found = measure_remedies(small[0], M, learning_rate=0.1, seed=0).remedies
    return {each.name: each for each in found}


def simulated(rows, first_step, n_steps, update, n_chains=4000):
    """Variance and squared mean of updates, from chains that go their own way, step by step."""
    rng, updates, state = np.random.default_rng(99), [], {}
    for step in range(1, n_steps + 1):
        batch = rows[rng.integers(len(rows), size=(n_chains, M))]
        found = update(batch.mean(axis=1), state, step)
        if step > first_step:
            updates.append(found)
    mean = np.mean(updates, axis=(0, 1))
    return np.mean(np.sum((np.array(updates) - mean) ** 2, axis=2)), mean @ mean


def plain_momentum(gradient, state, step):
    state["v"] = 0.9 * state.get("v", 0) + gradient
    return state["v"]


def plain_adam(gradient, state, step):
    """Algorithm 1 of Kingma and Ba 2015."""
    state["m"] = 0.9 * state.get("m", 0) + 0.1 * gradient
    state["v"] = 0.999 * state.get("v", 0) + 0.001 * gradient**2
    return state["m"] / (1 - 0.9**step) / (np.sqrt(state["v"] / (1 - 0.999**step)) + 1e-8)


def assert_near(estimate, value, n_errors=4):
    assert abs(estimate.value - value) < n_errors * estimate.standard_error


def plain(rows):
    """tr(Sigma)/m and G.G"""
    return np.trace(np.cov(rows.T, bias=True)) / M, np.sum(rows.mean(axis=0) ** 2)


@pytest.mark.parametrize(
    ("name", "noise", "same_step"),
    [
        ("plain step", 1, 1),
        ("schedule", 0.25, 1),
        ("decay", 0.95**20, 1),
        ("larger batch", 0.25, 0.25),
        ("momentum", 1 / 0.19, 1 / 19),
    ],
)
def test_what_algebra_says_is_measured(remedies, name, noise, same_step):
    remedy = remedies[name]
    assert remedy.exact.noise.value == pytest.approx(noise)
    assert remedy.exact.same_step.value == pytest.approx(same_step)
    assert_near(remedy.measured.noise, noise)
    assert_near(remedy.measured.same_step, same_step)
    assert remedy.measured.noise.standard_error < 0.05 * noise


def test_l2_changes_the_step_and_not_the_noise(remedies, small):
    gradients, rows = small
    more = np.append(0.1 * gradients.weights, 0)
    expected = np.sum(rows.mean(axis=0) ** 2) / np.sum((rows.mean(axis=0) + more) ** 2)
    assert remedies["L2"].exact.noise.value == 1
    assert remedies["L2"].exact.same_step.value == pytest.approx(expected)
    unchanged = remedies["plain step"].measured.noise.value
    assert remedies["L2"].measured.noise.value == pytest.approx(unchanged)
    assert_near(remedies["L2"].measured.same_step, expected)


@pytest.mark.parametrize(("name", "update"), [("momentum", plain_momentum), ("adam", plain_adam)])
def test_methods_with_a_memory_against_a_plain_simulation(remedies, small, name, update):
    noise, signal = plain(small[1])
    simulated_noise, simulated_signal = simulated(small[1], 60, 200, update)
    assert_near(remedies[name].measured.noise, simulated_noise / noise)
    expected = simulated_noise / noise / (simulated_signal / signal)
    assert_near(remedies[name].measured.same_step, expected)


@pytest.mark.parametrize("loss", ["squared", "absolute"])
@pytest.mark.parametrize("train_bias", [True, False])
def test_dropout_against_every_mask(loss, train_bias, monkeypatch):
    monkeypatch.setattr(gradient_noise_remedies, "N_SWEEPS", 400)
    gradients, rows = problem(n=12, d=3, l2=0.2, piece=5, loss=loss, train_bias=train_bias)
    measured = measure_remedies(gradients, M, 0.1, seed=0).remedies[-1].measured
    second, mean = 0.0, 0.0
    train, X, y = gradients._train, gradients._rows.X, gradients._rows.y
    for mask in itertools.product([0, 1], repeat=3):
        probability = np.prod(np.where(mask, 0.8, 0.2)) / len(X)
        for x, target in zip(X, y, strict=True):
            g = row_gradient(x * mask / 0.8, target, gradients.weights, 0.3, train)
            second, mean = second + probability * (g @ g), mean + probability * g
    noise, signal = plain(rows)
    factor = (second - mean @ mean) / (M * noise)
    assert factor > 1.1
    assert_near(measured.noise, factor)
    assert_near(measured.same_step, factor * signal / (mean @ mean))


def test_rules_by_hand():
    steps = [np.array([[1.0, -2.0]]), np.array([[3.0, 2.0]]), np.array([[5.0, 6.0]])]
    rule = averaged(2)
    assert [rule(step)[0].tolist() for step in steps] == [[1, -2], [2, 0], [4, 4]]
    rule = of_optimizer(Momentum(0.5))
    assert [rule(step)[0].tolist() for step in steps] == [[1, -2], [3.5, 1], [6.75, 6.5]]
    rule, state = of_optimizer(Adam(0.9, 0.999, 1e-8)), {}
    for n, step in enumerate(steps, start=1):
        np.testing.assert_allclose(rule(step), plain_adam(step, state, n), rtol=1e-12)
    np.testing.assert_allclose(of_optimizer(Adam(0.9, 0.999, 1e-8))(steps[0]), [[1, -1]], rtol=1e-7)


def test_the_length_of_the_mean_update_is_not_biased_by_noise():
    """Squared length 2 in 50 dimensions; 80 noisy updates would make it 2 + 50/80."""
    found = []
    for seed in range(40):
        rng, sums = np.random.default_rng(seed), UpdateSums(8, np.zeros(50))
        for _ in range(10):
            sums.add(rng.standard_normal((8, 50)) + 0.2, 1 / 10)
        factors = noise_factors(sums, plain_noise=50.0, plain_signal=1.0)
        found.append((factors.noise.value, factors.same_step.value, factors.noise.standard_error))
    noise, same_step, error = np.array(found).T
    assert noise.mean() == pytest.approx(1, abs=0.01)
    assert np.mean(1 / same_step) == pytest.approx(2, rel=0.05)
    assert error.mean() == pytest.approx(noise.std(ddof=1), rel=0.4)


def test_no_step_where_no_mean_update_is_seen():
    sums = UpdateSums(4, np.zeros(1))
    sums.add(np.array([[1.0], [-1.0], [1.0], [-1.0]]), 1.0)
    assert noise_factors(sums, 1.0, 1.0).same_step is None


def test_what_is_called_lower_or_higher(remedies):
    noise = {name: each.change("noise") for name, each in remedies.items()}
    assert noise["plain step"] == noise["L2"] == 0
    assert noise["schedule"] == noise["decay"] == noise["larger batch"] == -1
    assert noise["momentum"] == noise["dropout"] == 1
    same_step = {name: each.change("same_step") for name, each in remedies.items()}
    assert same_step["plain step"] == same_step["schedule"] == same_step["decay"] == 0
    assert same_step["momentum"] == same_step["larger batch"] == -1


@pytest.mark.parametrize(
    ("value", "error", "sign"),
    [
        (1.04, 0.0, 0),
        (1.06, 0.0, 1),
        (0.94, 0.0, -1),
        (0.5, 0.3, 0),
        (1.5, 0.22, 1),
        (1.5, 0.223, 0),
    ],
)
def test_a_change_is_notable_and_clear(value, error, sign):
    """Of 32 chains, 2.04 standard errors are clear."""
    factors = NoiseFactors(Estimate(value, error, 32), None)
    remedy = Remedy("some", "", "", exact=None, measured=factors)
    assert remedy.change("noise") == sign
    assert remedy.change("same_step") == 0


def test_nothing_to_compare_with():
    gradients, _ = problem(n=12, d=3, train_bias=False)
    rows = Rows(np.zeros((12, 3)), np.zeros(12), 12)
    empty = RowGradients(rows, gradients._train, np.zeros(3), 0.0)
    with pytest.raises(DataError, match="expected both positive"):
        measure_remedies(empty, M, 0.1, seed=0)
