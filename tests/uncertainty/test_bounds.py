"""What lies within a margin, what beyond, and how many replicates would tell."""

import math

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
    assert Estimate(4.0, 1.0, 9.0).over(2.0) == Estimate(2.0, 0.5, 4.5)


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
