"""The power of the batch size that tuned learning rates follow, from losses that are made up."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from sgdlab.config.model import Train
from sgdlab.lab.scaling_rule.conclusions import _tuned
from sgdlab.lab.scaling_rule.design import Base, Variant
from sgdlab.lab.scaling_rule.rounding import without_rounding
from sgdlab.lab.scaling_rule.tuning import learning_rates, tune

BASE = Base(Train(batch_size=2, learning_rate=0.01, epochs=1, replicates=12), 96, 0, 1.0, 1.0)
RATES = learning_rates(BASE.limit)


def outcomes(factors, loss, n=10):
    """With a validation loss that is a function of k, the learning rate and the replicate."""
    return {
        Variant("steps", k, rate, n): [
            SimpleNamespace(validation_loss=loss(k, rate, r)) for r in range(n)
        ]
        for k in factors
        for rate in RATES.tolist()
    }


def test_an_exponent_is_not_fitted_to_rates_on_the_edge():
    tuning = tune(BASE, "steps", (1, 2), RATES, outcomes((1, 2), lambda k, rate, r: rate * k))
    assert all(each.is_on_edge for each in tuning.rates)
    assert tuning.exponent is tuning.low is tuning.high is None
    assert "not known at equal steps, as a best rate lies on the edge" in _tuned((tuning,))


@pytest.mark.parametrize(
    ("dead", "exponent"), [((1,), 0.5), ((4,), 0.5), ((1, 2), None), ((1, 2, 4), None)]
)
def test_a_batch_size_at_which_all_diverged_is_left_out_and_said(dead, exponent):
    def loss(k, rate, r):
        return math.nan if k in dead and r % 3 == 0 else 5 + np.log(rate / (0.2 * k**0.5)) ** 2

    tuning = tune(BASE, "steps", (1, 2, 4), RATES, outcomes((1, 2, 4), loss))
    assert tuning.left_out == list(dead)
    for rate in tuning.rates:
        if rate.factor in dead:
            assert rate.learning_rate is rate.share_of_limit is rate.validation_loss is None
            assert rate.diverged_from == RATES[0]
        else:
            assert math.isfinite(rate.validation_loss.value)
    said = _tuned((tuning,))
    assert "nan" not in said
    if exponent is None:
        assert tuning.exponent is tuning.low is tuning.high is None
        assert "not known at equal steps, as too many rates diverged" in said
    else:
        assert tuning.low < exponent < tuning.high
        assert f"without k = {dead[0]}, where every rate diverged" in said


@pytest.mark.parametrize("loss", [math.inf, math.nan])
def test_a_loss_that_overflows_is_a_divergence(loss):
    some = outcomes((1, 2), lambda k, rate, r: loss if rate > 0.5 else 5 + np.log(rate / 0.3) ** 2)
    tuning = tune(BASE, "steps", (1, 2), RATES, some)
    assert [rate.diverged_from for rate in tuning.rates] == [RATES[RATES > 0.5][0]] * 2
    assert tuning.exponent == pytest.approx(0, abs=1e-12)


def test_tuning_recovers_a_power_law_within_its_interval():
    rng, factors = np.random.default_rng(3), (1, 2, 4)
    bottoms = {k: 0.3 * k**0.6 * np.exp(0.1 * rng.standard_normal(10)) for k in factors}
    some = outcomes(factors, lambda k, rate, r: 5 + np.log(rate / bottoms[k][r]) ** 2)
    tuning = tune(BASE, "steps", factors, RATES, some)
    # The mean of parabolas is a parabola at the mean of their bottoms; half a step to either side.
    expected = [np.exp(np.mean(np.log(bottoms[k]))) for k in factors]
    found = np.log([each.learning_rate for each in tuning.rates])
    assert np.abs(found - np.log(expected)).max() <= math.log(2) / 6 + 1e-9
    assert [each.batch_size for each in tuning.rates] == [2, 4, 8]
    assert tuning.low < 0.6 < tuning.high
    # 3 points are known to a third of a doubling, that is with a spread of it over sqrt(12), and to
    # twice that where resampled replicates choose between two rates.
    error = math.log(2) / 3 / math.sqrt(12) / (math.log(2) * math.sqrt(2))
    assert 0.9 < (tuning.high - tuning.low) / (2 * 1.96 * error) < 2


def test_few_replicates_give_no_interval():
    base = Base(BASE.train.model_copy(update={"replicates": 9}), 96, 0, 1.0, 1.0)
    some = outcomes((1, 2), lambda k, rate, r: 5 + np.log(rate / (0.3 * k)) ** 2, n=9)
    tuning = tune(base, "steps", (1, 2), RATES, some)
    assert tuning.exponent == pytest.approx(1)
    assert tuning.low is tuning.high is None
    said = _tuned((tuning,))
    assert "1.00 at equal steps (too few replicates for an interval); the claim" in said


@pytest.mark.parametrize(
    ("precision", "unit", "rounding"),
    [("float64", 1.0, 5e-31), ("float64", 1e8, 3e-15), ("float32", 1.0, 1e-13)],
)
def test_losses_of_rounding_are_all_the_same(precision, unit, rounding):
    rng = np.random.default_rng(0)
    train = BASE.train.model_copy(update={"precision": precision})
    base = Base(train, 96, 0, 1.0, unit)

    def loss(k, rate, r):
        return unit**2 / 100 if rate < 0.3 else rounding * rng.uniform(0.5, 1)

    tuning = tune(base, "steps", (1, 2, 4), RATES, outcomes((1, 2, 4), loss))
    assert tuning.exponent is tuning.low is tuning.high is None
    assert all(rate.fits_with_others and rate.validation_loss.value == 0 for rate in tuning.rates)
    assert "not known at equal steps, as several rates fit every row" in _tuned((tuning,))


@pytest.mark.parametrize("size", [1.0, 1e-140, 1e150])
def test_losses_above_rounding_stay_what_they_are(size):
    base = Base(BASE.train, 96, 0, 1.0, size)
    kept = (size * np.array([1e-12, 1e-3, 1.0, 30.0])) ** 2 / 2
    losses = np.array([*kept, math.nan, math.inf])
    with np.errstate(over="ignore"):
        assert np.array_equal(without_rounding(base, losses), losses, equal_nan=True)
