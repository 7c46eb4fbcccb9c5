"""Means over replicates."""

import numpy as np
import pytest

from sgdlab.uncertainty.means import Mean, differ, mean_of, standard_error


def test_means_and_when_they_differ():
    mean = mean_of(np.array([1.0, 2.0, 6.0]))
    assert mean == Mean(3.0, pytest.approx(np.sqrt(7 / 3)))
    assert differ(Mean(1.0, 0.3), Mean(2.01, 0.4))
    assert not differ(Mean(1.0, 0.3), Mean(1.99, 0.4))


@pytest.mark.parametrize("size", [1e300, 1e200, 1e-200, 1e-300])
def test_a_standard_error_of_numbers_of_any_size(size):
    found = standard_error(size * np.array([1.0, 2.0, 6.0]))
    assert found == pytest.approx(size * np.sqrt(7 / 3), rel=1e-14, abs=0)


def test_a_standard_error_of_equal_numbers_and_of_none():
    assert standard_error(np.full(3, 0.1)) < 1e-16
    assert standard_error(np.zeros(2)) == 0.0
    assert np.isnan(standard_error(np.array([1.0, np.inf])))
    assert np.isnan(standard_error(np.array([np.nan, 1.0])))
