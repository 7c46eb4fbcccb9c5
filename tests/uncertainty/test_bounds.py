"""What lies within a margin, what beyond, and how many replicates would tell."""

import math

import numpy as np
import pytest

from sgdlab.uncertainty.bounds import Estimate


@pytest.mark.parametrize(
    ("low", "high", "within", "beyond"),
    [
        (-0.05, 0.09, True, False),
        (-0.11, 0.05, False, False),
        (0.05, 0.11, False, False),
        (0.11, 0.5, False, True),
        (-0.5, -0.11, False, True),
        (-0.5, 0.5, False, False),
        (0.0, 0.1, False, False),
    ],
)
def test_both_bounds_count(low, high, within, beyond):
    estimate = Estimate((low + high) / 2, low, high)
    assert (estimate.is_within(0.1), estimate.is_beyond(0.1)) == (within, beyond)


def test_units_and_roots():
    assert Estimate(4.0, 1.0, 9.0).root() == Estimate(2.0, 1.0, 3.0)
    assert Estimate(-1.0, 0.0, 9.0).root() == Estimate(0.0, 0.0, 3.0)
    found = Estimate(4.0, 1.0, 9.0).over(Estimate(2.0, 2.0, 2.0))
    assert (found.value, found.low, found.high) == pytest.approx((2.0, 0.5, 4.5))


@pytest.mark.parametrize("value", [0.1, 3.0, 68.0])
def test_what_is_known_exactly_is_as_uncertain_as_its_unit(value):
    found = Estimate(value, value, value).over(Estimate(2.0, 1.8, 2.2))
    assert found.value == value / 2
    assert (found.low, found.high) == pytest.approx((value / 2.2, value / 1.8), rel=0.02)


@pytest.mark.parametrize("value", [0.0, -0.1, 1e-12])
def test_noise_is_noise_in_every_unit(value):
    found = Estimate(value, 0.0, 0.3).over(Estimate(2.0, 1.8, 2.2))
    assert (found.value, found.low, found.high) == pytest.approx((value / 2, 0.0, 0.15), rel=1e-3)


@pytest.mark.parametrize("truth", [0.3, 1.0, 40.0])
def test_bounds_of_a_ratio_miss_in_about_one_of_twenty(truth):
    rng = np.random.default_rng(0)
    missed = np.zeros(2)
    for _ in range(2000):
        value, unit = truth + 0.05 * rng.standard_normal(), 1 + 0.1 * rng.standard_normal()
        half_widths = 1.645 * np.array([0.05, 0.1])
        of_unit = Estimate(unit, unit - half_widths[1], unit + half_widths[1])
        found = Estimate(value, value - half_widths[0], value + half_widths[0]).over(of_unit)
        missed += found.low > truth, found.high < truth
    assert (missed / 2000 < 0.08).all()
    assert (missed / 2000 > 0.02).all()


def test_as_many_replicates_as_bring_the_bound_to_the_margin():
    assert Estimate(0.0, -0.01, 0.01).times_more(0.1) == 1
    assert Estimate(0.5, 0.4, 0.6).times_more(0.1) == 1
    for value in (0.0, 0.05, 0.15, -0.2):
        times = Estimate(value, value - 0.3, value + 0.3).times_more(0.1)
        half_width = 0.3 / math.sqrt(times)
        new = Estimate(value, value - half_width, value + half_width)
        assert new.is_within(0.1) if abs(value) < 0.1 else new.is_beyond(0.1)
        assert times < 3 * (0.3 / abs(0.1 - abs(value))) ** 2
    assert Estimate(0.1, 0.0, 0.2).times_more(0.1) == math.inf
