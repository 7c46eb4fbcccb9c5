"""XOR: fractions that can be checked by hand, and networks against a plain loop."""

import json
import re
from fractions import Fraction

import numpy as np
import pytest

from sgdlab.errors import UsageError
from sgdlab.lab.xor import network as xor_network
from sgdlab.lab.xor.exact import Network, descend, known_network, solve_linear
from sgdlab.lab.xor.network import Weights, train_restarts, wilson_interval

X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
y = np.array([0.0, 1.0, 1.0, 0.0])
HALF = Fraction(1, 2)


def test_the_linear_model_is_the_one_of_the_normal_equations():
    found = solve_linear()
    assert found.equations == ((2, 1, 2, 1), (1, 2, 2, 1), (1, 1, 2, 1))
    assert found.parameters == (0, 0, HALF)
    assert found.mean_squared_error == Fraction(1, 4)
    assert found.predictions == (HALF, HALF, HALF, HALF)
    w = np.linalg.lstsq(np.column_stack([X, np.ones(4)]), y, rcond=None)[0]
    np.testing.assert_allclose(w, [0, 0, 0.5], atol=1e-12)


def test_descent_comes_to_the_exact_solution():
    first, second, last = descend(0.5, (0, 1, 400))
    assert first.parameters == (1.0, -1.0, 0.0)
    assert first.mean_squared_error == 1.0  # predictions 0, -1, 1, 0
    # Residuals 0, -2, 0, 0: the gradient of half their mean square is (0, -1/2, -1/2).
    assert second.parameters == (1.0, -0.75, 0.25)
    assert last.parameters == pytest.approx((0, 0, 0.5), abs=1e-9)
    assert last.mean_squared_error == pytest.approx(0.25, abs=1e-15)


def test_the_known_network_computes_xor():
    network = known_network()
    assert network.hidden().tolist() == [[0, 0], [1, 0], [1, 0], [2, 1]]
    assert network.outputs().tolist() == [0, 1, 1, 0]


def some_weights(n_hidden, n_restarts, seed=3):
    rng = np.random.default_rng(seed)
    shapes = ((2, n_hidden, n_restarts), (n_hidden, n_restarts), (n_hidden, n_restarts))
    W, c, v = (rng.standard_normal(shape) for shape in shapes)
    return Weights(W, c, v, rng.standard_normal(n_restarts))


def plain_half_mse(W, c, v, b):
    """Of one network, point by point."""
    total = 0.0
    for x, target in zip(X, y, strict=True):
        output = float(b)
        for unit in range(len(c)):
            output += v[unit] * max(0.0, x[0] * W[0, unit] + x[1] * W[1, unit] + c[unit])
        total += (output - target) ** 2
    return total / 8


def test_gradients_are_the_slopes_of_the_loss():
    weights, step = some_weights(3, 2), 1e-6
    slope = xor_network.gradient(weights)
    for restart in range(2):
        parts = [np.array(getattr(weights, name)[..., restart]) for name in ("W", "c", "v", "b")]
        for part, name in zip(parts, ("W", "c", "v", "b"), strict=True):
            for index in np.ndindex(part.shape):
                kept, losses = part[index], []
                for shift in (step, -step):
                    part[index] = kept + shift
                    losses.append(plain_half_mse(*parts))
                part[index] = kept
                found = np.array(getattr(slope, name)[..., restart])[index]
                assert found == pytest.approx((losses[0] - losses[1]) / (2 * step), abs=1e-8)


def plain_training(network, learning_rate, n_steps):
    """Twenty lines for one network; the mean squared error where it ends, and its dead units."""
    W, c, v, b = network.W.copy(), network.c.copy(), network.v.copy(), network.b
    for _ in range(n_steps):
        dW, dc, dv, db = np.zeros_like(W), np.zeros_like(c), np.zeros_like(v), 0.0
        for x, target in zip(X, y, strict=True):
            hidden = x @ W + c
            residual = np.maximum(hidden, 0) @ v + b - target
            back = residual * v * (hidden > 0)
            dW, dc = dW + np.outer(x, back) / 4, dc + back / 4
            dv, db = dv + residual * np.maximum(hidden, 0) / 4, db + residual / 4
        W, c, v, b = (
            part - learning_rate * slope
            for part, slope in zip((W, c, v, b), (dW, dc, dv, db), strict=True)
        )
    hidden = X @ W + c
    error = np.mean((np.maximum(hidden, 0) @ v + b - y) ** 2)
    return error, int(np.sum((hidden <= 0).all(axis=0)))


def test_restarts_are_plain_trainings():
    n_restarts, levels = 12, {"0": 0.0, "1/8": 0.125, "1/6": 1 / 6, "1/4": 0.25}
    starts = xor_network.random_weights(2, n_restarts, seed=5)
    expected = dict.fromkeys([*levels, "other"], (0, 0))
    for n in range(n_restarts):
        start = Network(starts.W[..., n], starts.c[:, n], starts.v[:, n], starts.b[n])
        error, n_dead = plain_training(start, 0.2, 1500)
        near = [name for name, level in levels.items() if abs(error - level) < 1e-3]
        name = near[0] if near else "other"
        count, with_dead = expected[name]
        expected[name] = (count + 1, with_dead + (n_dead > 0))
    found = train_restarts(2, n_restarts, 1500, 0.2, seed=5)
    assert {
        each.name: (each.n_restarts, each.n_with_dead_unit) for each in found.levels
    } == expected | {"diverged": (0, None)}
    assert found.n_solved == expected["0"][0]
    assert len([name for name, (count, _) in expected.items() if count]) >= 3


@pytest.mark.parametrize("rate", [2.5, 3.0, 30.0, 1e200])
def test_networks_that_diverge_are_said_to(sgdlab, rate):
    n_restarts, n_steps = 30, 60
    starts = xor_network.random_weights(2, n_restarts, seed=7)
    n_diverged = 0
    for n in range(n_restarts):
        start = Network(starts.W[..., n], starts.c[:, n], starts.v[:, n], starts.b[n])
        with np.errstate(over="ignore", invalid="ignore"):
            (before, _), (after, _) = (plain_training(start, rate, steps) for steps in (0, n_steps))
        n_diverged += not after <= 1000 * before
    assert n_diverged > 0
    *_, other, diverged = train_restarts(2, n_restarts, n_steps, rate, seed=7).levels
    assert diverged == xor_network.Level("diverged", n_diverged, None)
    arguments = ("--restarts", n_restarts, "--steps", n_steps, "--learning-rate", rate, "--seed", 7)
    code, out, err = sgdlab("xor-solve", *arguments)
    assert (code, err) == (0, "")
    assert f"{n_diverged} have diverged; try a smaller rate." in out
    assert (f"{other.n_restarts} have not come to rest" in out) == (other.n_restarts > 0)
    code, out, _ = sgdlab("xor-solve", *arguments, "--format", "json")
    assert json.loads(out, parse_constant=pytest.fail)["restarts"]["levels"][-1] == {
        "name": "diverged", "n_restarts": n_diverged, "n_with_dead_unit": None,
    }  # fmt: skip


def test_about_a_quarter_of_two_unit_networks_solve_it():
    found = train_restarts(2, 1000, 5000, 0.1, seed=1)
    low, high = found.interval
    assert low < 0.25 < high
    *_, other, diverged = found.levels
    assert other.n_restarts == diverged.n_restarts == 0  # all have come to rest
    failures = found.levels[1:-1]
    assert all(level.n_restarts > 0 for level in failures[:3])
    n_alive = sum(level.n_restarts - level.n_with_dead_unit for level in failures)
    assert n_alive / (1000 - found.n_solved) == pytest.approx(0.2, abs=0.05)


def test_more_units_solve_it_more_often_and_one_never_does():
    share = {n: train_restarts(n, 200, 4000, 0.1, seed=0).share for n in (1, 2, 6)}
    assert share[1] == 0
    assert share[6] > 0.8 > share[2]


def test_wilson_intervals():
    # Brown, Cai and DasGupta 2001, doi:10.1214/ss/1009213286: centred at (x + z^2/2) / (n + z^2).
    z2 = 1.959963984540054**2
    low, high = wilson_interval(8, 10)
    assert (low + high) / 2 == pytest.approx((8 + z2 / 2) / (10 + z2), rel=1e-12)
    for end in (low, high):  # where the score test just rejects
        assert (0.8 - end) ** 2 == pytest.approx(z2 * end * (1 - end) / 10, rel=1e-12)
    assert wilson_interval(0, 10) == pytest.approx((0, z2 / (10 + z2)))
    assert wilson_interval(10, 10) == pytest.approx((10 / (10 + z2), 1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((0, 1, 1, 0.1), "n_hidden=0: out of range; expected 1 or more"),
        ((1, -5, 1, 0.1), "n_restarts=-5: out of range; expected 1 or more"),
        ((1, 1, 0, 0.1), "n_steps=0: out of range; expected 1 or more"),
        ((1, 1, 1, float("nan")), "learning_rate=nan: no step size; expected a positive number"),
        ((1, 1, 1, 0.0), "learning_rate=0.0: no step size; expected a positive number"),
        ((2, 10**18, 5000, 0.1), "units; expected at most 10000000 (take fewer restarts)"),
        ((2, 10**6, 10**6, 0.1), "unit steps; expected at most 100000000000 (take fewer"),
    ],
)
def test_what_cannot_be_trained(options, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        train_restarts(*options, seed=0)


def test_the_command_shows_all_three_and_fits_80_columns(sgdlab):
    code, out, err = sgdlab("xor-solve", "--restarts", 50, "--steps", 2000)
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    for line in (
        "  w1 + 2 w2 + 2 b = 1",
        "  w = (0, 0), b = 1/2",
        "0   1        1        0      1",
    ):
        assert line in out
    code, out, _ = sgdlab("xor-solve", "--restarts", 50, "--steps", 2000, "--format", "json")
    found = json.loads(out)
    assert found["linear"]["mean_squared_error"] == "1/4"
    assert found["network"]["outputs"] == [0, 1, 1, 0]
    assert sum(level["n_restarts"] for level in found["restarts"]["levels"]) == 50
    _, out, _ = sgdlab("xor-solve", "--restarts", 50, "--steps", 2000, "--format", "csv")
    assert out.splitlines()[0] == "J,networks,share,with_dead_unit"
    _, out, _ = sgdlab("xor-solve", "--restarts", 50, "--steps", 3)
    assert "have not come to rest; try more steps, or a smaller rate." in " ".join(out.split())
    code, out, err = sgdlab("xor-solve", "--restarts", 0)
    assert (code, out) == (2, "")
    assert err == "sgdlab: error: --restarts 0: out of range; expected 1 or more\n"
