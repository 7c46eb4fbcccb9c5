"""A paired difference: how it is written, and what may be said of it."""

import math

import numpy as np
import pytest
from scipy import stats

from sgdlab.evaluation.comparison import paired_difference
from sgdlab.uncertainty.differences import Difference

COUNT = 2000
MOST = 0.05 + 3 * math.sqrt(0.05 * 0.95 / COUNT)


@pytest.mark.parametrize(
    ("mean", "standard_error", "text"),
    [
        (6.3123, 4.6567, "+6.3 ±4.7"),
        (-38.664, 0.9951, "-38.7 ±1.0"),
        (-38.664, 0.0123, "-38.664 ±0.012"),
        (1234.5, 123.4, "+1230 ±120"),
        (12.0, 99.7, "+10 ±100"),
        (-137183890.64, 92406346.56, "-1.37e+08 ±9.2e+07"),
        (2.5e300, 1.234e299, "+2.50e+300 ±1.2e+299"),
        (1.0e7, 3.21e9, "+1e+07 ±3.2e+09"),
        (1.2345e-7, 2.2e-9, "+1.235e-07 ±2.2e-09"),
        (0.25, 0.0, "+0.25 ±0"),
        (0.0, 0.0, "+0 ±0"),
    ],
)
def test_a_difference_is_rounded_to_two_digits_of_its_error(mean, standard_error, text):
    assert str(Difference("half_mse", mean, standard_error, 800)) == text


@pytest.mark.parametrize("n_rows", [6, 7, 12, 123, 2500])
def test_the_verdict_is_student_s(n_rows):
    threshold = float(stats.t.ppf(0.975, n_rows - 1))
    for sign, word in ((1, "worse"), (-1, "better")):
        clear = Difference("mae", sign * 3 * threshold * 1.001, 3.0, n_rows)
        assert clear.verdict == word
        unclear = Difference("mae", sign * 3 * threshold * 0.999, 3.0, n_rows)
        assert unclear.verdict == "no clear difference"


@pytest.mark.parametrize("n_rows", [2, 3, 5])
def test_a_few_rows_tell_nothing(n_rows):
    assert Difference("mae", 100.0, 1.0, n_rows).verdict == "too few rows to tell"
    assert Difference("mae", 2.0, 1.0, n_rows).verdict == "no clear difference"
    assert Difference("mae", 100.0, 0.0, n_rows).verdict == "too few rows to tell"


def share_called(metric, n_rows, draw):
    """How often one of two models is called better or worse; ``draw`` gives both models' errors."""
    found = (
        paired_difference(metric, *draw(n_rows), np.zeros(n_rows)).verdict for _ in range(COUNT)
    )
    return sum(verdict in ("better", "worse") for verdict in found) / COUNT


@pytest.mark.parametrize("n_rows", [2, 3, 6, 20, 200])
@pytest.mark.parametrize("metric", ["half_mse", "mae"])
@pytest.mark.parametrize("noise", ["normal", "student", "lognormal"])
def test_of_equal_models_at_most_one_in_twenty_is_called_better_or_worse(noise, metric, n_rows):
    """Two models that miss the same targets, with errors of one law: their differences' is even."""
    rng = np.random.default_rng(21)

    def draw(n):
        laws = {
            "normal": lambda: rng.normal(size=n),
            "student": lambda: rng.standard_t(3, size=n),
            "lognormal": lambda: rng.lognormal(size=n) * rng.choice([-1, 1], n),
        }
        common = 3 * laws[noise]()
        return (common + laws[noise]())[None], common + laws[noise]()

    assert share_called(metric, n_rows, draw) <= MOST


@pytest.mark.parametrize("n_rows", [2, 4, 5, 6, 9])
def test_constants_on_either_side_of_the_targets_are_not_told_apart_by_luck(n_rows):
    """In MAE two constants differ by the same amount on every row, up or down with even odds."""
    rng = np.random.default_rng(22)

    def draw(n):
        targets = rng.choice([-10.0, 10.0], n)
        return (1.0 - targets)[None], -1.0 - targets

    assert share_called("mae", n_rows, draw) <= MOST


@pytest.mark.parametrize("n_rows", [6, 60])
def test_what_skewed_differences_do_to_the_verdict(n_rows):
    """As its documentation says: equal on average, but by few large losses."""
    rng = np.random.default_rng(23)
    found = 0
    for _ in range(COUNT):
        differences = rng.exponential(size=n_rows) - 1
        error = differences.std(ddof=1) / math.sqrt(n_rows)
        verdict = Difference("mae", differences.mean(), error, n_rows).verdict
        found += verdict != "no clear difference"
    expected = {6: 1 / 9, 60: 1 / 16}[n_rows]
    assert found / COUNT == pytest.approx(expected, abs=3 * math.sqrt(expected / COUNT))
