"""A part of what ``python -m tests.scaling_rule_truth`` judges, in a few seconds."""

import itertools

import numpy as np
import pytest

from sgdlab.lab.scaling_rule import comparison
from sgdlab.lab.scaling_rule.comparison import Reference, compare
from tests.scaling_rule_truth import inputs, is_wrong

FEW = {
    family: [give for _, give in members]
    for family, members in itertools.groupby(inputs(), key=lambda one: one[0])
}
SLOW = {
    "noise-dominated",
    "noise-free, converged",
    "large bias, float32",
    "large bias, not trained",
}


@pytest.mark.parametrize("family", sorted(set(FEW) - SLOW))
def test_no_verdict_is_wrong(family):
    judged = [give() for give in FEW[family][1:3]]
    assert not any(map(is_wrong, judged))
    assert any(judged) == (family != "k = 1 diverges")


def test_there_are_as_many_inputs_as_the_page_says():
    assert sum(map(len, FEW.values())) == 120


@pytest.mark.parametrize(
    ("truth", "verdict", "wrong"),
    [
        ("equal", "fails", True),
        ("equal", "differs", True),
        ("different", "holds", True),
        ("different", "same", True),
        ("equal", "holds", False),
        ("different", "fails", False),
        ("equal", "unclear", False),
        ("different", "unclear", False),
        ("open", "fails", False),
    ],
)
def test_what_counts_as_wrong(truth, verdict, wrong):
    assert is_wrong([("open", "holds"), (truth, verdict)]) == wrong


@pytest.mark.parametrize("d", [1, 30])
def test_a_law_without_noise_is_not_closer_than_the_law_itself(d):
    """It is closer to every replicate, on average, than another replicate is."""
    rng = np.random.default_rng(d)
    reference = Reference(rng.standard_normal((80, d)), rng.standard_normal((80, d)), 1e-13)
    models = {"quiet": np.zeros((80, d)), "quieter": 0.4 * rng.standard_normal((80, d))}
    models["the law"] = reference.paired + 1e-3 * rng.standard_normal((80, d))
    found = compare(reference, models, rng)
    assert [law.verdict(0.1) for law in found.values()] == ["fails", "fails", "holds"]
    assert found["quiet"].change.value == pytest.approx(-1)
    assert found["quiet"].distance.low > 0.1 > found["the law"].distance.high


@pytest.mark.parametrize(
    ("d", "n", "shift"), [(1, 30, 0.5), (2, 30, 5.0), (4, 50, 68.0), (1, 100, 0.105)]
)
def test_a_shift_that_pairs_know_exactly_is_no_surer_than_the_spread(monkeypatch, d, n, shift):
    monkeypatch.setattr(comparison, "N_PERMUTATIONS", 199)
    rng = np.random.default_rng([d, n])
    spread = np.linalg.norm(np.subtract(*rng.standard_normal((2, 400_000, d))), axis=1).mean()
    missed, said = np.zeros(2), []
    for _ in range(200):
        paired, independent, noise = rng.standard_normal((3, n, d))
        models = paired + shift * spread / np.sqrt(d) + 1e-3 * noise
        [law] = compare(Reference(paired, independent, 1e-13), {0: models}, rng).values()
        missed += law.shift.low > shift, law.shift.high < shift
        said.append(law.verdict(0.1))
    assert (missed / 200 < 0.1).all()
    assert said.count("holds") < 0.05 * 200


def test_verdicts_do_not_depend_on_units():
    rng = np.random.default_rng(0)
    parts = [rng.standard_normal((20, 3)) for _ in range(3)]
    laws = []
    for unit in (1.0, 1e-150, 1e200):
        paired, independent, models = (unit * part for part in parts)
        reference = Reference(paired, independent, 1e-13)
        with np.errstate(all="raise"):
            [law] = compare(reference, {0: models}, np.random.default_rng(1)).values()
        laws.append([law.p, *(found.value for found in law.estimates.values())])
    assert laws[1] == pytest.approx(laws[0], rel=1e-9)
    assert laws[2] == pytest.approx(laws[0], rel=1e-9)


def test_more_replicates_tell_what_few_cannot():
    rng = np.random.default_rng(2)
    for scale, verdict in ((1.0, "holds"), (1.18, "fails")):
        n, found = 40, "unclear"
        while found == "unclear" and n < 4000:
            paired, independent, other = (rng.standard_normal((n, 15)) for _ in range(3))
            reference = Reference(paired, independent, 1e-13)
            [law] = compare(reference, {0: scale * other}, rng).values()
            found, needed = law.verdict(0.1), law.replicates_to_tell(0.1)
            assert found != "unclear" or needed > n
            n = needed if needed and found == "unclear" else n
        assert found == verdict
        assert n < 1000


@pytest.mark.parametrize(("d", "scale"), [(1, 0.6), (2, 0.5), (2, 1.7), (8, 0.8)])
def test_how_many_would_tell_where_the_spread_alone_changes(monkeypatch, d, scale):
    monkeypatch.setattr(comparison, "N_PERMUTATIONS", 499)
    rng = np.random.default_rng([d, round(10 * scale)])

    def found(n):
        paired, independent, noise = rng.standard_normal((3, n, d))
        models = scale * (0.99 * paired + 0.14 * noise)
        [law] = compare(Reference(paired, independent, 1e-13), {0: models}, rng).values()
        return law

    unclear = [law for law in (found(20) for _ in range(60)) if law.verdict(0.1) == "unclear"]
    needed = [law.replicates_to_tell(0.1) for law in unclear]
    assert len(needed) >= 8
    assert max(needed) < 5 * min(needed)
    assert sum(found(3 * needed[0]).verdict(0.1) == "fails" for _ in range(10)) >= 7


def test_where_nothing_is_clearly_apart_nobody_knows_how_many_would_tell():
    rng = np.random.default_rng(4)
    times = []
    for _ in range(60):
        paired, independent, models = rng.standard_normal((3, 12, 2))
        [law] = compare(Reference(paired, independent, 1e-13), {0: models}, rng).values()
        if law.verdict(0.1) == "unclear":
            times.append(law.times_to_tell(0.1))
            lows = (law.distance.low, law.shift.low, law.change.low, -law.change.high)
            is_apart = any(low > 0 for low in lows)
            is_small = all(abs(found.value) < 0.1 for found in law.estimates.values())
            assert is_apart or is_small or times[-1] is None
            assert (law.replicates_to_tell(0.1) is None) >= (times[-1] is None)
    assert times.count(None) > len(times) / 2
