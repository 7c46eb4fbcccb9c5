"""Whether models that a rule trains have the law of those at k = 1, from replicates of both."""

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from sgdlab.uncertainty.bounds import Estimate
from sgdlab.uncertainty.distances import distances_within
from sgdlab.uncertainty.energy import Apart, p_value, relabelled, relabellings
from sgdlab.uncertainty.holm import holm
from sgdlab.uncertainty.jackknife import estimate_over_pairs, mean_over_pairs, ratio_over_pairs
from sgdlab.uncertainty.shift import squared_length

N_PERMUTATIONS = 9999
SIGNIFICANCE = 0.05
FEWEST_FOR_A_VERDICT = 10  # replicates, from which bounds are what they are called
MOST_TO_TELL = 10_000
OF_A_SHIFT = 0.6  # of its square: the energy distance, in spreads, of normal laws in one dimension

Floats = NDArray[np.float64]
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Reference:
    """Models at k = 1, and how far they spread.

    Attributes
    ----------
    paired : float64 array, shape (n_replicates, n_parameters)
        Weights, and the bias from where it starts; replicate i sees the rows in the order in which
        that of a rule does.
    independent : float64 array, shape (n_replicates, n_parameters)
        Of as many other replicates.
    rounding
        Differences of so much of a model are none.
    """

    paired: Floats
    independent: Floats
    rounding: float

    @property
    def all(self) -> Floats:
        """Both."""
        return np.concatenate([self.paired, self.independent])

    @property
    def size(self) -> float:
        """The length of the longest model."""
        return longest(self.all)

    @property
    def spread(self) -> float:
        """The mean distance of two replicates; 0 where they differ by rounding alone."""
        center = self.all.mean(axis=0)
        scale = longest(self.all - center)
        if scale <= self.rounding * self.size:
            return 0.0
        parts = ((part - center) / scale for part in (self.paired, self.independent))
        return scale * float(np.mean([mean_over_pairs(distances_within(part)) for part in parts]))


@dataclass(frozen=True)
class Law:
    """How a rule's models differ from those at k = 1, in units of the spread at k = 1.

    Attributes
    ----------
    distance
        The energy distance of both laws, from independent replicates.
    shift
        How far their means are apart, from paired replicates.
    change
        Of the mean distance of two replicates, from paired replicates.
    p
        Of a test that both laws are equal, for all tests of the experiment together.
    to_find
        How many times as many replicates would probably make p small enough; None where nothing is
        clearly apart.
    """

    distance: Estimate
    shift: Estimate
    change: Estimate
    p: float
    to_find: float | None
    n_replicates: int

    @property
    def estimates(self) -> dict[str, Estimate]:
        """What is held against the margin, by what it is called."""
        return {"distance": self.distance, "mean": self.shift, "spread": self.change}

    def verdict(self, margin: float) -> str:
        """``holds`` if all is within the margin for sure, ``fails`` if something is beyond it."""
        if self.n_replicates < FEWEST_FOR_A_VERDICT:
            return "unclear"
        if all(found.is_within(margin) for found in self.estimates.values()):
            return "holds"
        beyond = any(found.is_beyond(margin) for found in self.estimates.values())
        return "fails" if beyond and self.p < SIGNIFICANCE else "unclear"

    def times_to_tell(self, margin: float) -> float | None:
        """How many times as many replicates would probably give a verdict; None if not known."""
        beyond = [found for found in self.estimates.values() if abs(found.value) >= margin]
        if not beyond:
            return max(found.times_more(margin) for found in self.estimates.values())
        if self.to_find is None:
            return None
        return max(self.to_find, min(found.times_more(margin) for found in beyond))

    def replicates_to_tell(self, margin: float) -> int | None:
        """How many those are; None also for more than anyone trains."""
        times = self.times_to_tell(margin)
        needed = math.inf if times is None else max(FEWEST_FOR_A_VERDICT, times * self.n_replicates)
        return _rounded_up(needed) if needed <= MOST_TO_TELL else None


@dataclass(frozen=True)
class Exactly:
    """How a rule's models differ from that at k = 1, where all replicates of the latter are equal.

    ``apart`` is the distance of the farthest, as a share of how far k = 1 got from its start.
    """

    apart: float
    is_same: bool

    def verdict(self, margin: float) -> str:
        """``same``, up to rounding, or ``differs``; no margin makes a difference none."""
        return "same" if self.is_same else "differs"


def compare(
    reference: Reference, models: Mapping[Key, Floats], numbers: np.random.Generator
) -> dict[Key, Law] | dict[Key, Exactly]:
    """Every rule's models, shape (n_replicates, n_parameters), against those at k = 1."""
    if reference.spread == 0:
        return {key: _exactly(reference, found) for key, found in models.items()}
    # Squares of what lies far from 1 might overflow.
    center = reference.all.mean(axis=0)
    scale = max(longest(found - center) for found in (reference.all, *models.values()))
    paired, independent = ((x - center) / scale for x in (reference.paired, reference.independent))
    scaled = {key: (found - center) / scale for key, found in models.items()}
    aparts = {key: Apart.of(independent, found) for key, found in scaled.items()}
    labels = relabellings(len(paired), N_PERMUTATIONS, numbers)
    nulls = [relabelled(apart, labels) for apart in aparts.values()]
    p_values = holm([p_value(null) for null in nulls])
    needed = [
        float(np.quantile(null - null.mean(), 1 - SIGNIFICANCE / len(nulls))) for null in nulls
    ]
    return {
        key: _law(paired, scaled[key], apart, p, energy)
        for (key, apart), p, energy in zip(aparts.items(), p_values, needed, strict=True)
    }


def _law(paired: Floats, models: Floats, apart: Apart, p: float, needed: float) -> Law:
    """``needed`` is the energy distance that would be significant, which shrinks as 1/n."""
    differences, within = models - paired, distances_within(paired)
    unit = _mean_of(estimate_over_pairs(within), estimate_over_pairs(apart.within_one))
    distance = apart.energy_distance().over(unit)
    shift = squared_length(differences @ differences.T).root().over(unit)
    change = ratio_over_pairs(apart.within_other - within, within)
    likely = _likely_distance(distance, shift, change)
    return Law(
        distance=distance,
        shift=shift,
        change=change,
        p=p,
        to_find=None if likely is None else needed / unit.value / likely,
        n_replicates=len(models),
    )


def _likely_distance(distance: Estimate, shift: Estimate, change: Estimate) -> float | None:
    """The energy distance by all that is clearly apart; None where nothing is."""
    if distance.low > 0:
        return distance.value
    implied = [OF_A_SHIFT * shift.value**2] if shift.low > 0 else []
    if change.low > 0 or change.high < 0:
        implied.append(_of_a_change(change.value))
    return max(implied, default=None)


def _of_a_change(change: float) -> float:
    """The energy distance, in spreads, of normal laws of which one is wider by so much of itself.

    It is that in one dimension and nearly that in all.
    """
    other = 1 + change
    return (1 - other) ** 2 / (math.sqrt(2 * (1 + other**2)) + 1 + other)


def _mean_of(one: Estimate, other: Estimate) -> Estimate:
    """The mean of two independent estimates, whose bounds are as far above as below."""
    value = (one.value + other.value) / 2
    half_width = math.hypot(one.high - one.value, other.high - other.value) / 2
    return Estimate(value, value - half_width, value + half_width)


def _exactly(reference: Reference, models: Floats) -> Exactly:
    farthest, size = longest(models - reference.paired[0]), reference.size
    apart = farthest / size if size > 0 else float(farthest > 0)
    return Exactly(apart, is_same=apart <= reference.rounding)


def longest(vectors: Floats) -> float:
    """The length of the longest row; squares of its numbers may overflow."""
    largest = float(np.abs(vectors).max(initial=0.0))
    if largest == 0:
        return 0.0
    return largest * float(np.linalg.norm(vectors / largest, axis=1).max())


def _rounded_up(number: float) -> int:
    """To two digits."""
    unit: int = 10 ** max(0, math.floor(math.log10(number)) - 1)
    return math.ceil(number / unit) * unit
