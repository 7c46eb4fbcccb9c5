"""The length of a mean, and how often its bounds hold what they promise."""

import itertools

import numpy as np
import pytest

from sgdlab.uncertainty.shift import squared_length


def test_the_estimate_is_a_mean_of_products():
    vectors = np.random.default_rng(0).standard_normal((5, 3))
    terms = [vectors[i] @ vectors[j] for i, j in itertools.permutations(range(5), 2)]
    found = squared_length(vectors @ vectors.T)
    assert found.value == pytest.approx(np.mean(terms))


def test_vectors_without_noise_are_known_exactly():
    vectors = np.full((6, 2), [3.0, 4.0])
    found = squared_length(vectors @ vectors.T)
    assert (found.value, found.low, found.high) == (25, 25, 25)
    assert squared_length(np.zeros((6, 6))).high == 0


@pytest.mark.parametrize("widths", [np.ones(1), np.ones(15), np.ones(200), 1 / np.arange(1, 60)])
@pytest.mark.parametrize("n", [12, 40])
@pytest.mark.parametrize("length", [0.0, 0.5, 2.0])
def test_bounds_miss_the_truth_in_about_one_of_twenty(widths, n, length):
    """Of 400 samples; the lower and the upper bound each, with noise that is even and that is not.

    Lengths are in units of the noise of a mean of n vectors.
    """
    rng = np.random.default_rng([n, len(widths), int(10 * length)])
    noise = np.sqrt(np.sum(widths**2) / n)
    away = length * noise * widths / np.linalg.norm(widths)
    missed = np.zeros(2)
    for _ in range(400):
        vectors = widths * rng.standard_normal((n, len(widths))) + away
        found = squared_length(vectors @ vectors.T)
        missed += found.low > away @ away, found.high < away @ away
    assert missed[0] / 400 < 0.09
    assert missed[1] / 400 < 0.17


def test_bounds_draw_near_with_more_replicates():
    rng = np.random.default_rng(3)
    widths = []
    for n in (20, 80, 320):
        vectors = rng.standard_normal((n, 10)) + 0.3
        found = squared_length(vectors @ vectors.T).root()
        assert found.low < 0.3 * np.sqrt(10) < found.high
        widths.append(found.high - found.low)
    assert 1.5 < widths[0] / widths[1] < 2.7
    assert 1.5 < widths[1] / widths[2] < 2.7
