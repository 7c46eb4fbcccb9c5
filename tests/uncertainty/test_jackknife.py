"""Means over pairs and their jackknife errors, against loops that leave replicates out."""

import itertools

import numpy as np
import pytest
from scipy import stats

from sgdlab.uncertainty.distances import distances_within
from sgdlab.uncertainty.jackknife import mean_over_pairs, ratio_over_pairs


def test_a_mean_over_pairs_does_without_the_diagonal():
    values = distances_within(np.random.default_rng(0).standard_normal((5, 2))) + np.eye(5)
    pairs = [values[i, j] for i, j in itertools.combinations(range(5), 2)]
    assert mean_over_pairs(values) == pytest.approx(np.mean(pairs))


def test_the_error_is_nearly_that_of_leaving_replicates_out():
    rng = np.random.default_rng(1)
    one, other = rng.standard_normal((80, 4)), 1.3 * rng.standard_normal((80, 4))
    values, unit = distances_within(other), distances_within(one)
    left_out = []
    for n in range(80):
        kept = np.delete(np.arange(80), n)
        some = np.ix_(kept, kept)
        left_out.append(mean_over_pairs(values[some]) / mean_over_pairs(unit[some]))
    error = np.sqrt(79 * np.var(left_out))
    found = ratio_over_pairs(values, unit)
    assert found.value == pytest.approx(mean_over_pairs(values) / mean_over_pairs(unit))
    half_width = stats.t.ppf(0.95, 79) * error
    assert found.high - found.value == pytest.approx(half_width, rel=0.03)
    assert found.value - found.low == pytest.approx(half_width, rel=0.03)


@pytest.mark.parametrize(("d", "n"), [(1, 30), (15, 12), (15, 60)])
def test_bounds_of_a_change_in_spread_miss_in_about_one_of_twenty(d, n):
    rng = np.random.default_rng([d, n])
    missed = np.zeros(2)
    for _ in range(500):
        one, other = rng.standard_normal((n, d)), 1.2 * rng.standard_normal((n, d))
        unit = distances_within(one)
        found = ratio_over_pairs(distances_within(other) - unit, unit)
        missed += found.low > 0.2, found.high < 0.2
    assert (missed / 500 < 0.1).all()
