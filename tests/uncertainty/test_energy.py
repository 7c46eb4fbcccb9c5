"""The energy distance and its test, against plain loops and by simulation."""

import itertools

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from sgdlab.uncertainty.distances import distances, distances_within
from sgdlab.uncertainty.energy import Apart, p_value, relabelled, relabellings


def samples(seed, n=6, d=3, shift=0.0, scale=1.0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), scale * rng.standard_normal((n, d)) + shift


@pytest.mark.parametrize("far", [0.0, 1e6])
def test_distances_are_those_of_scipy(far):
    one, other = samples(0, 7, 40)
    one, other = one + far, other[:5] + far
    assert distances(one, other) == pytest.approx(cdist(one, other), rel=1e-6 if far else 1e-12)
    within = distances_within(one)
    assert within == pytest.approx(cdist(one, one), abs=1e-6 if far else 1e-12)
    assert (within == within.T).all()
    assert (np.diag(within) == 0).all()


def test_the_estimate_is_a_mean_over_independent_pairs():
    one, other = samples(1, shift=0.5)
    terms = [
        np.linalg.norm(one[i] - other[j])
        + np.linalg.norm(one[j] - other[i])
        - np.linalg.norm(one[i] - one[j])
        - np.linalg.norm(other[i] - other[j])
        for i, j in itertools.permutations(range(6), 2)
    ]
    assert Apart.of(one, other).energy_distance().value == pytest.approx(np.mean(terms), rel=1e-12)


def test_two_points_apart():
    """Laws without spread: twice their distance, and no doubt about it."""
    found = Apart.of(np.zeros((5, 2)), np.full((5, 2), [3.0, 4.0])).energy_distance()
    assert (found.value, found.low, found.high) == pytest.approx((10, 10, 10))


def test_relabelled_distances_equal_a_loop_over_labels():
    one, other = samples(2, n=4, shift=1.0)
    pooled = np.concatenate([one, other])
    labels = np.array([np.isin(range(8), some) for some in itertools.combinations(range(8), 4)])
    expected = []
    for ones in labels:
        a, b = pooled[ones], pooled[~ones]
        expected.append(2 * cdist(a, b).mean() - cdist(a, a).mean() - cdist(b, b).mean())
    found = relabelled(Apart.of(one, other), labels)
    assert found == pytest.approx(np.array(expected), rel=1e-9)
    assert labels[0].tolist() == [True] * 4 + [False] * 4
    share = np.mean(np.array(expected) >= expected[0] - 1e-12)
    assert p_value(found) == pytest.approx(share)


def test_labels_are_halves_and_the_first_are_the_own():
    labels = relabellings(5, 200, np.random.default_rng(0))
    assert labels.shape == (201, 10)
    assert (labels.sum(axis=1) == 5).all()
    assert labels[0].tolist() == [True] * 5 + [False] * 5
    assert labels[1:].mean(axis=0).min() > 0.4
    assert labels[1:].mean(axis=0).max() < 0.6


@pytest.mark.parametrize(("d", "tailed"), [(1, False), (20, False), (3, True)])
def test_equal_laws_are_found_apart_as_often_as_the_p_value_says(d, tailed):
    rng = np.random.default_rng(d)
    draw = (lambda: rng.standard_t(2, (12, d))) if tailed else (lambda: rng.random((12, d)))
    labels = relabellings(12, 199, rng)
    found = np.array([p_value(relabelled(Apart.of(draw(), draw()), labels)) for _ in range(600)])
    for level in (0.05, 0.2, 0.5):
        error = np.sqrt(level * (1 - level) / 600)
        assert np.mean(found <= level) == pytest.approx(level, abs=3.5 * error)


@pytest.mark.parametrize(("shift", "scale"), [(1.2, 1.0), (0.0, 3.0)])
def test_other_laws_are_found_apart(shift, scale):
    labels = relabellings(20, 499, np.random.default_rng(0))
    apart = Apart.of(*samples(5, 20, 3, shift, scale))
    assert p_value(relabelled(apart, labels)) < 0.01
    assert apart.energy_distance().low > 0
