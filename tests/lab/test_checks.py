"""The numbers that an experiment may be asked for, at their ends."""

import math

import pytest

from sgdlab.errors import UsageError
from sgdlab.lab.checks import check_count, check_l2, check_learning_rate


def refusal(check, *arguments):
    with pytest.raises(UsageError) as caught:
        check(*arguments)
    return str(caught.value)


def test_a_count_is_from_1_to_the_largest():
    check_count("n_trials", 1)
    check_count("n_trials", 10**30)
    check_count("n_trials", 8, largest=8)
    assert refusal(check_count, "n_trials", 0) == "n_trials=0: out of range; expected 1 or more"
    assert refusal(check_count, "n_trials", 9, 8) == "n_trials=9: out of range; expected 1 to 8"


def test_a_learning_rate_is_positive_and_finite():
    check_learning_rate(5e-324)
    for wrong in (0.0, -1.0, math.inf, math.nan):
        expected = f"learning_rate={wrong}: no step size; expected a positive number"
        assert refusal(check_learning_rate, wrong) == expected


def test_an_l2_is_not_negative_and_its_products_do_not_overflow():
    check_l2(0.0)
    check_l2(1e100)
    for wrong in (-1e-9, 1.1e100, math.inf, math.nan):
        expected = f"l2={wrong}: out of range; expected a number from 0 to 1e+100"
        assert refusal(check_l2, wrong) == expected
