"""Rows that random batches never see: exact formulas, and counts that follow the exact law."""

import csv
import io
import json
import math
import tracemalloc
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from sgdlab import workflows
from sgdlab.errors import UsageError
from sgdlab.lab.sampling import measure as lab
from sgdlab.lab.sampling.measure import never_counts, simulate
from sgdlab.lab.sampling.theory import Sampling, never_share, never_share_of_many, never_variance


def exact_law(n, m, n_batches):
    """P(u of n rows are in none of some batches of m distinct rows), exactly, for u = 0 ... n.

    One batch after the other, by counting the batches that hold a given number of new rows.
    """
    law = [Fraction(0)] * n + [Fraction(1)]
    for _ in range(n_batches):
        after = [Fraction(0)] * (n + 1)
        for left, probability in enumerate(law):
            for new in range(min(m, left) + 1):
                ways = math.comb(left, new) * math.comb(n - left, m - new)
                after[left - new] += probability * Fraction(ways, math.comb(n, m))
        law = after
    return law


def occupancy_law(n, n_draws):
    """The same for single draws with replacement: n choose u, times surjections onto the rest."""

    def surjections(k):
        return sum((-1) ** j * math.comb(k, j) * (k - j) ** n_draws for j in range(k + 1))

    return [Fraction(math.comb(n, u) * surjections(n - u), n**n_draws) for u in range(n + 1)]


def p_value(counts, law):
    """Of a chi-square test; counts that are expected less than ten times go into the tails."""
    expected = np.array([float(p) for p in law]) * len(counts)
    found = np.bincount(counts, minlength=len(law))
    inner = np.flatnonzero(expected >= 10)
    first, last = inner[0], inner[-1]

    def pooled(values):
        return [values[: first + 1].sum(), *values[first + 1 : last], values[last:].sum()]

    return stats.chisquare(pooled(found), pooled(expected)).pvalue


def all_counts(sampling, n_trials, seed, n_threads=1):
    return np.concatenate(list(never_counts(sampling, n_trials, seed, n_threads)))


def test_the_two_exact_laws_agree():
    assert exact_law(6, 1, 12) == occupancy_law(6, 12)


@pytest.mark.parametrize("epochs", [1, 2])
def test_counts_with_replacement_follow_the_exact_law(epochs):
    counts = all_counts(Sampling(20, epochs), 100_000, seed=epochs)
    assert len(counts) == 100_000
    assert p_value(counts, occupancy_law(20, 20 * epochs)) > 1e-3


def test_counts_of_a_large_data_set_in_ranges_and_slices_follow_it_too(monkeypatch):
    monkeypatch.setattr(lab, "ROWS_AT_ONCE", 7)  # three ranges: 7, 7 and 6 rows
    monkeypatch.setattr(lab, "DRAWS_AT_ONCE", 5)
    counts = all_counts(Sampling(20), 3_000, seed=1)
    assert p_value(counts, occupancy_law(20, 20)) > 1e-3


def test_draws_in_slices_follow_it_too(monkeypatch):
    monkeypatch.setattr(lab, "DRAWS_AT_ONCE", 45)  # two trials at once, 22 draws of the 60 each
    counts = all_counts(Sampling(20, 3), 4_001, seed=1)
    assert len(counts) == 4_001
    assert p_value(counts, occupancy_law(20, 60)) > 1e-3


@pytest.mark.parametrize(("m", "epochs"), [(2, 1), (5, 2), (10, 1)])
def test_counts_of_batches_follow_the_exact_law(m, epochs):
    counts = all_counts(Sampling(20, epochs, m), 50_000, seed=m)
    assert p_value(counts, exact_law(20, m, 20 * epochs // m)) > 1e-3


@pytest.mark.parametrize(
    ("n", "epochs", "m"),
    [(1, 1, 1), (2, 1, 1), (2, 3, 1), (3, 2, 2), (6, 1, 2), (7, 2, 1), (20, 1, 5), (8, 3, 8)],
)
def test_formulas_are_the_mean_and_variance_of_the_exact_law(n, epochs, m):
    law = exact_law(n, m, n * epochs // m)
    mean = sum(u * p for u, p in enumerate(law))
    variance = sum(u**2 * p for u, p in enumerate(law)) - mean**2
    sampling = Sampling(n, epochs, m)
    assert never_share(sampling) == pytest.approx(float(mean / n), rel=1e-12, abs=0)
    assert never_variance(sampling) == pytest.approx(float(variance), rel=1e-10, abs=1e-15)


def test_the_variance_keeps_its_digits_for_many_rows():
    n = 10**8
    with localcontext() as context:
        context.prec = 60
        one, both = (1 - Decimal(1) / n) ** n, (1 - Decimal(2) / n) ** n
        variance = float(n * one + n * (n - 1) * both - (n * one) ** 2)
    assert never_variance(Sampling(n)) == pytest.approx(variance, rel=1e-12)


def test_limits():
    assert never_share(Sampling(10**8, 2)) == pytest.approx(math.exp(-2), rel=1e-7)
    assert never_share(Sampling(1000)) == pytest.approx((1 - 1 / 2000) / math.e, rel=1e-6)
    assert never_share_of_many(Sampling(20, 3)) == pytest.approx(math.exp(-3))
    assert never_share_of_many(Sampling(20, 3, batch_size=20)) == 0
    assert never_share_of_many(Sampling(1, 2)) == pytest.approx(math.exp(-2))


@pytest.mark.parametrize("n", [2, 10, 100, 10_000, 2_500_000])
def test_means_lie_within_four_standard_errors_of_theory(n):
    result = simulate(Sampling(n), 1000 if n < 1e6 else 4, seed=3)
    assert result.exact_share == pytest.approx(math.exp(n * math.log1p(-1 / n)))
    assert abs(result.z_score) < 4
    if n < 1e6:
        error = abs(result.mean_share - (1 - 1 / n) ** n)
        assert error < 4 * result.standard_error
        assert result.variance == pytest.approx(result.exact_variance, rel=0.2)


@pytest.mark.parametrize("sampling", [Sampling(50, 2), Sampling(50, 2, 4)])
def test_moments_are_those_of_the_counts_whatever_the_threads(sampling):
    counts = all_counts(sampling, 10_000, seed=5)
    results = [simulate(sampling, 10_000, seed=5, n_threads=n) for n in (1, 2)]
    assert results[0] == results[1]
    assert results[0].first_count == counts[0]
    assert results[0].mean_count == pytest.approx(counts.mean(), rel=1e-12)
    assert results[0].variance == pytest.approx(counts.var(ddof=1), rel=1e-12)
    assert results[0].standard_error == pytest.approx(counts.std(ddof=1) / 100 / 50, rel=1e-12)


def test_chunks_of_trials_are_independent():
    chunks = list(never_counts(Sampling(1000), 400, seed=0))
    assert len(chunks) > 2
    assert not np.array_equal(chunks[0], chunks[1])


def test_what_cannot_vary_has_no_z_score():
    assert math.isnan(simulate(Sampling(1), 10, seed=0).z_score)
    shuffled = simulate(Sampling(30, 2, batch_size=30), 10, seed=0)
    assert (shuffled.mean_count, shuffled.variance, shuffled.exact_share) == (0, 0, 0)
    assert math.isnan(shuffled.z_score)
    assert math.isnan(simulate(Sampling(5), 1, seed=0).variance)


@pytest.mark.parametrize(
    ("sampling", "n_trials"), [(Sampling(20), 500_000), (Sampling(1000, 3000), 3)]
)
def test_memory_does_not_grow_with_trials_or_epochs(sampling, n_trials):
    tracemalloc.start()
    simulate(sampling, n_trials, seed=0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sampling.n_draws * n_trials * 8 > 70e6
    assert peak < 10e6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_rows": [0]}, "n_rows=0: out of range; expected 1 to 100000000"),
        (
            {"n_rows": [20, 10**18]},
            "n_rows=1000000000000000000: out of range; expected 1 to 100000000",
        ),
        ({"n_rows": [20], "epochs": 0}, "epochs=0: out of range; expected 1 or more"),
        ({"n_rows": [20], "n_trials": 0}, "n_trials=0: out of range; expected 1 or more"),
        (
            {"n_rows": [20], "n_trials": 10**10},
            "n_rows=20 epochs=1 n_trials=10000000000: 200000000000 draws; expected at most "
            "100000000000 (take fewer trials)",
        ),
        ({"n_rows": [20], "batch_size": 0}, "batch_size=0: out of range; expected 1 or more"),
        (
            {"n_rows": [20], "batch_size": 21},
            "batch_size=21: too large; expected at most the 20 rows",
        ),
        (
            {"n_rows": [20], "batch_size": 3},
            "batch_size=3: does not divide the 20 draws from 20 rows; expected whole batches",
        ),
        (
            {"n_rows": [20], "batch_size": 2, "epochs": 10**9},
            "n_rows=20 epochs=1000000000 n_trials=1000: 10000000000000 batches; expected at most "
            "100000000 (take fewer trials)",
        ),
    ],
)
def test_numbers_out_of_range_are_refused(arguments, message):
    with pytest.raises(UsageError) as caught:
        workflows.simulate_sampling(**arguments)
    assert str(caught.value) == message


def test_the_command_shows_trials_beside_theory(sgdlab):
    code, out, err = sgdlab("simulate-sampling", "--n", 20)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    values = next(line.split() for line in lines if line.startswith("20 "))
    assert (float(values[1]) * 20) % 1 == 0
    assert float(values[3].removeprefix("±")) == pytest.approx(
        math.sqrt(1.964 / 1000) / 20, rel=0.1
    )
    assert float(values[4]) == pytest.approx(0.95**20, rel=1e-4)
    expected = (float(values[2]) - 0.95**20) / (math.sqrt(1.964 / 1000) / 20)
    assert float(values[5]) == pytest.approx(expected, abs=0.01)
    assert float(values[7]) == pytest.approx(1.9640, rel=1e-4)
    limit = next(line.split() for line in lines if line.startswith("limit "))
    assert float(limit[1]) == pytest.approx(1 / math.e, rel=1e-4)
    assert sgdlab("sampling-sim", "--n", 20) == (0, out, "")


def test_a_sweep_is_a_row_for_each_n_within_80_columns(sgdlab):
    code, out, _ = sgdlab("simulate-sampling", "--sweep", "1,10,100,1000,1e6", "--trials", 20)
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines()[4:] if line[:1] == "1"}
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    assert list(rows) == ["1", "10", "100", "1000", "1000000"]
    assert rows["1"][:5] == ["0", "0.0000", "±0", "0.0000", "-"]
    assert float(rows["1000000"][3]) == pytest.approx(1 / math.e, rel=1e-4)


def test_without_replacement_every_row_is_sampled(sgdlab):
    code, out, _ = sgdlab(
        "simulate-sampling", "--sweep", "1,50", "--without-replacement", "--format", "json"
    )
    document = json.loads(out, parse_constant=pytest.fail)
    assert code == 0
    assert document["formula"] == "0"
    for each in document["results"]:
        assert each["first_count"] == each["mean_share"] == each["exact_share"] == 0
        assert each["z_score"] is None


def test_batches_in_json_and_csv(sgdlab):
    arguments = ("simulate-sampling", "--n", 40, "--epochs", 2, "--batch-size", 8)
    document = json.loads(sgdlab(*arguments, "--format", "json")[1], parse_constant=pytest.fail)
    assert document["formula"] == "(1-8/n)^(2n/8)"
    (row,) = document["results"]
    assert row["exact_share"] == pytest.approx(0.8**10)
    assert row["limit_share"] == pytest.approx(math.exp(-2))
    assert abs(row["z_score"]) < 4
    (shown,) = csv.DictReader(io.StringIO(sgdlab(*arguments, "--format", "csv")[1]))
    assert {name: float(value) for name, value in shown.items()} == pytest.approx(row)
    assert "in batches of 8 distinct rows" in sgdlab(*arguments)[1]


def test_a_single_trial_has_no_standard_error(sgdlab):
    code, out, _ = sgdlab("simulate-sampling", "--trials", 1)
    values = next(line.split() for line in out.splitlines() if line.startswith("20 "))
    assert code == 0
    assert float(values[1]) == float(values[2])
    assert "±" not in values[2] + values[3]
    _, out, _ = sgdlab("simulate-sampling", "--sweep", "1,20", "--trials", 1, "--format", "csv")
    one, many = csv.DictReader(io.StringIO(out))
    assert many["standard_error"] == many["variance"] == one["z_score"] == ""
    assert math.isfinite(float(many["z_score"]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--n", 0], "--n 0: out of range; expected 1 to 100000000"),
        (["--n", 10**18], "--n 1000000000000000000: out of range; expected 1 to 100000000"),
        (["--n", "many"], "--n"),
        (["--trials", -5], "--trials -5: out of range; expected 1 or more"),
        (["--trials", 10**18], "expected at most 100000000000 (take fewer trials)"),
        (["--epochs", 10**18], "expected at most 100000000000 (take fewer trials)"),
        (["--sweep", "1,x"], "--sweep': '1,x'; expected whole numbers from 1 to 2147483647"),
        (["--sweep", "20,0"], "--sweep': '20,0'; expected whole numbers"),
        (["--sweep", "20,1e300"], "--sweep': '20,1e300'; expected whole numbers"),
        (["--batch-size", 3], "--batch-size 3: does not divide the 20 draws from 20 rows"),
        (["--batch-size", 40], "--batch-size 40: too large; expected at most the 20 rows"),
        (
            ["--batch-size", 2, "--without-replacement"],
            "--without-replacement: has no batches; expected no --batch-size",
        ),
        (["--seed", -1], "--seed"),
    ],
)
def test_bad_values_are_one_line_and_exit_2(sgdlab, arguments, message):
    code, out, err = sgdlab("simulate-sampling", *arguments)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert message in err


def test_a_long_simulation_says_what_it_does_unless_quiet(sgdlab, monkeypatch):
    monkeypatch.setattr(lab, "MANY_DRAWS", 10_000)
    assert sgdlab("simulate-sampling")[2] == "sgdlab: n 20: 1000 trials of 20 draws\n"
    assert sgdlab("simulate-sampling", "-q")[2] == ""
