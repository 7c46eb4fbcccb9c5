"""Exponents of power laws, and intervals of resamples."""

import numpy as np
import pytest

from sgdlab.uncertainty.exponents import exponent, interval


def test_the_exponent_of_a_power_law():
    sizes = [1, 2, 4, 8]
    values = np.array([[0.01], [3.0]]) * np.array(sizes) ** np.array([[0.7], [-2.0]])
    assert exponent(sizes, values[0]) == pytest.approx(0.7)
    assert exponent(sizes, values) == pytest.approx([0.7, -2.0])


def test_the_middle_95_percent_of_resamples():
    shuffled = np.random.default_rng(0).permutation(1001) + 0.0
    assert interval(shuffled) == (25.0, 975.0)
