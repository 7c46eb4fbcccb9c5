"""Experiments on data at the ends of float64: figures that are right, or one line that refuses.

Warnings of numpy are errors in all tests.
"""

import json
import math

import numpy as np
import pytest

from sgdlab.report.numbers import length

EXTREME = [(1e100, 1.0), (1.0, 1e120), (1e-150, 1.0), (1.0, 1e-90), (1e139, 1e139), (1e160, 1e-160)]


@pytest.fixture
def config_of(write_config, data_dir, arrays):
    """A config on data in other units of X and y."""

    def config(X_unit, y_unit, **train):
        for part, array in arrays.items():
            np.save(data_dir / f"{part}.npy", array * (X_unit if part[0] == "X" else y_unit))
        return write_config("extreme", train={"train_bias": False, "initial_bias": 0.0} | train)

    return config


@pytest.mark.parametrize("units", EXTREME)
@pytest.mark.parametrize("options", [("--trials", 5), ("--remedies",)])
def test_gradients_that_cannot_be_studied_are_refused(config_of, sgdlab, units, options):
    config = config_of(*units)
    code, out, err = sgdlab("gradient-noise", config, "--at-epoch", 0, "-q", *options)
    if (code, err) != (0, ""):
        assert (code, out) == (3, "")
        assert "whose fourth powers do not fit float64; expected moderate ones" in err
        assert len(err.splitlines()) == 1
    largest = 30 * units[0] * units[1]
    if not 1e-60 < largest < 1e60:
        assert code == 3
    assert "nan" not in out


@pytest.mark.parametrize("units", [(1e20, 1e-15), (1e-30, 1e10), (1e30, 1e30), (1e-30, 1e-30)])
def test_the_noise_of_gradients_in_other_units_is_the_same(config_of, sgdlab, units):
    """Of moderate data, whose squares of squares are far from 1 and within float64."""

    def ratios(*units):
        config = config_of(*units)
        command = ("gradient-noise", config, "--at-epoch", 0, "-q", "--trials", 20)
        code, out, err = sgdlab(*command, "--format", "json")
        assert (code, err) == (0, "")
        document = json.loads(out, parse_constant=pytest.fail)
        of_sizes = [(row["ratio"], row["ratio_standard_error"]) for row in document["variances"]]
        return np.array(of_sizes[:-1], dtype=float), document["trace"]

    usual, trace = ratios(1.0, 1.0)
    other, scaled = ratios(*units)
    assert other == pytest.approx(usual, rel=1e-6)
    assert scaled / units[0] ** 2 / units[1] ** 2 == pytest.approx(trace, rel=1e-6)


def test_rows_without_gradients_are_not_called_too_small(config_of, sgdlab):
    code, out, err = sgdlab(
        "gradient-noise", config_of(1.0, 0.0), "--at-epoch", 0, "-q", "--trials", 5
    )
    assert (code, err) == (0, "")
    assert "No batch size is suggested" in out


def test_a_bold_learning_rate_has_no_noise_that_float64_holds(config_of, sgdlab):
    for rate in (1e200, 3e160):
        config = config_of(1.0, 1.0, learning_rate=rate)
        command = ("gradient-noise", config, "--at-epoch", 0, "-q", "--remedies")
        code, out, err = sgdlab(*command)
        assert (code, err) == (0, "")
        assert "more than float64 holds" in " ".join(out.split())


@pytest.mark.parametrize("units", EXTREME)
@pytest.mark.parametrize("bias", ["free", "config", "none"])
def test_solve_scales_or_refuses(config_of, sgdlab, units, bias):
    config = config_of(*units)
    command = ("solve", config, "--bias", bias, "-q", "--format", "json")
    code, out, err = sgdlab(*command)
    if not all(1e-139 < unit < 1e140 for unit in units):
        assert (code, out) == (3, "")
        assert "whose squares do not fit float64" in err
        return
    assert (code, err) == (0, "")
    found = json.loads(out, parse_constant=pytest.fail)["maximum_likelihood"]
    _, out, _ = sgdlab("solve", config_of(1.0, 1.0), *command[2:])
    usual = json.loads(out)["maximum_likelihood"]
    weights = np.array(found["weights"]) * units[0] / units[1]
    assert weights == pytest.approx(usual["weights"], rel=1e-6)
    assert found["weights_norm"] == pytest.approx(math.hypot(*found["weights"]), rel=1e-12)


@pytest.mark.parametrize("unit", [1.0, 1e300, 1e-320, 2.0**1000, 0.0])
def test_a_length_is_that_of_hypot(unit):
    vector = np.random.default_rng(3).uniform(-1, 1, 50) * unit
    assert length(vector) == pytest.approx(math.hypot(*vector), rel=1e-12, abs=5e-324)
    assert length(vector / (unit or 1)) == np.linalg.norm(vector / (unit or 1))
