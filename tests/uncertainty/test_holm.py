"""Holm's procedure, by hand and by its definition."""

import numpy as np
import pytest

from sgdlab.uncertainty.holm import holm


def test_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.parametrize("seed", range(20))
def test_what_is_below_the_level_is_what_stepping_down_rejects(seed):
    p_values = np.random.default_rng(seed).random(7) ** 4
    rejected, left = set(), len(p_values)
    for n in np.argsort(p_values):
        if p_values[n] > 0.05 / left:
            break
        rejected.add(n)
        left -= 1
    assert {n for n, p in enumerate(holm(p_values.tolist())) if p <= 0.05} == rejected
