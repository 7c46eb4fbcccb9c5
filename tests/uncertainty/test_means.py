"""Means over replicates."""

import numpy as np
import pytest

from sgdlab.uncertainty.means import Mean, differ, mean_of


def test_means_and_when_they_differ():
    mean = mean_of(np.array([1.0, 2.0, 6.0]))
    assert mean == Mean(3.0, pytest.approx(np.sqrt(7 / 3)))
    assert differ(Mean(1.0, 0.3), Mean(2.01, 0.4))
    assert not differ(Mean(1.0, 0.3), Mean(1.99, 0.4))
