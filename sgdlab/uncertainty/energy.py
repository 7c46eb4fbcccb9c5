"""The energy distance of two laws, from independent replicates of both, and a test of its being 0.

Of X and X' with one law and Y and Y' with the other it is
``2 E|X - Y| - E|X - X'| - E|Y - Y'|``: never negative, and 0 for equal laws alone, however they
might differ (Szekely and Rizzo 2013, doi:10.1016/j.jspi.2013.03.018). It is the squared distance of
the means of both in a space where ``-|x - y|`` is a product (Sejdinovic et al. 2013,
doi:10.1214/13-AOS1140), so that bounds for it are those for the squared length of a mean.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sgdlab.uncertainty.bounds import Estimate
from sgdlab.uncertainty.distances import distances, distances_within
from sgdlab.uncertainty.shift import squared_length

PERMUTATIONS_AT_ONCE = 500

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Apart:
    """Distances within and between as many independent replicates of one law as of another.

    Attributes
    ----------
    within_one, between, within_other : float64 arrays, shape (n, n)
        ``between`` has a row for every replicate of the one.
    """

    within_one: Floats
    between: Floats
    within_other: Floats

    @classmethod
    def of(cls, one: Floats, other: Floats) -> "Apart":
        """Of replicates, shape (n, n_dimensions)."""
        return cls(distances_within(one), distances(one, other), distances_within(other))

    @property
    def pooled(self) -> Floats:
        """Of all 2n replicates among themselves, the one's first."""
        upper, lower = (self.within_one, self.between), (self.between.T, self.within_other)
        return np.block([[*upper], [*lower]])

    def energy_distance(self) -> Estimate:
        """Without bias, from at least 3 replicates; the estimate may be negative."""
        between = self.between + self.between.T
        return squared_length(between - self.within_one - self.within_other)


def relabellings(n: int, how_many: int, numbers: np.random.Generator) -> NDArray[np.bool_]:
    """Ways to call n of 2n replicates the one's, shape (1 + how_many, 2n): as they are, first."""
    labels = np.tile(np.arange(2 * n) < n, (1 + how_many, 1))
    labels[1:] = numbers.permuted(labels[1:], axis=1)
    return labels


def relabelled(apart: Apart, labels: NDArray[np.bool_]) -> Floats:
    """Energy distances, shape (n_labels,), had it been those replicates that were the one's.

    These count a replicate's distance 0 to itself, which adds the same to all of them.
    """
    pooled = apart.pooled
    to_all, n = pooled.sum(axis=1), len(apart.between)
    found = np.empty(len(labels))
    for first in range(0, len(labels), PERMUTATIONS_AT_ONCE):
        ones = labels[first : first + PERMUTATIONS_AT_ONCE].astype(np.float64)
        within = np.einsum("ij,ij->i", ones @ pooled, ones)  # of the one's
        between = ones @ to_all - within
        within_other = to_all.sum() - 2 * between - within
        found[first : first + PERMUTATIONS_AT_ONCE] = 2 * between - within - within_other
    return found / n**2


def p_value(energies: Floats) -> float:
    """How often relabelled replicates are as far apart as they are under the first labels.

    These count too, which makes the test exact (Phipson and Smyth 2010,
    doi:10.2202/1544-6115.1585).
    """
    rounding = 1e-12 * np.abs(energies).max()
    return float(np.mean(energies >= energies[0] - rounding))
