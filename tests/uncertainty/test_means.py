"""Means over replicates."""

import math

import numpy as np
import pytest
from scipy import stats

from sgdlab.uncertainty.means import Mean, differ, mean_of, standard_error


def test_means_and_when_they_differ():
    mean = mean_of(np.array([1.0, 2.0, 6.0]))
    assert mean == Mean(3.0, pytest.approx(np.sqrt(7 / 3)), 3)


@pytest.mark.parametrize("sizes", [(2, 40), (3, 5), (25, 25)])
def test_means_differ_beyond_student_s_threshold_for_the_fewer_replicates(sizes):
    threshold = float(stats.t.ppf(0.975, min(sizes) - 1))
    one, error = Mean(7.0, 3.0, sizes[0]), 5.0  # of the difference: 3, 4, 5
    assert differ(one, Mean(7.0 + 1.001 * threshold * error, 4.0, sizes[1]))
    assert not differ(one, Mean(7.0 + 0.999 * threshold * error, 4.0, sizes[1]))


@pytest.mark.parametrize(("n", "scales"), [(2, (1, 1)), (2, (1, 9)), (5, (1, 3)), (3, (0, 1))])
def test_of_equal_means_few_differ(n, scales):
    rng = np.random.default_rng(12)
    count = 2000
    found = sum(
        differ(*(mean_of(scale * rng.normal(size=n)) for scale in scales)) for _ in range(count)
    )
    assert found / count < 0.05 + 3 * math.sqrt(0.05 * 0.95 / count)


def test_replicates_that_are_alike_differ_if_they_are_not_the_same():
    same = Mean(1.0, 0.0, 3)
    assert differ(same, Mean(1.5, 0.0, 3))
    assert not differ(same, same)
    assert not differ(same, Mean(math.nan, math.nan, 3))
    assert not differ(same, Mean(1e300, math.inf, 3))


@pytest.mark.parametrize("size", [1e300, 1e200, 1e-200, 1e-300])
def test_a_standard_error_of_numbers_of_any_size(size):
    found = standard_error(size * np.array([1.0, 2.0, 6.0]))
    assert found == pytest.approx(size * np.sqrt(7 / 3), rel=1e-14, abs=0)


def test_a_standard_error_of_equal_numbers_and_of_none():
    assert standard_error(np.full(3, 0.1)) < 1e-16
    assert standard_error(np.zeros(2)) == 0.0
    assert np.isnan(standard_error(np.array([1.0, np.inf])))
    assert np.isnan(standard_error(np.array([np.nan, 1.0])))
