"""An order that misses as many rows as drawing with replacement, and repeats none."""

import itertools
import math

import numpy as np
import pytest

from sgdlab import workflows
from sgdlab.lab.orders.compared import (
    expected_floor,
    missed_share,
    order_of_rows,
    steps_an_epoch,
)
from sgdlab.lab.orders.conclusions import sentences
from sgdlab.lab.orders.design import OrdersOptions
from sgdlab.lab.orders.problem import make_problem


def problem_of(n_rows, batch_size):
    rng = np.random.default_rng(n_rows)
    X = rng.standard_normal((n_rows, 3))
    return make_problem(X, rng.standard_normal(n_rows), batch_size, 0.1, 0.0)


@pytest.mark.parametrize(
    ("n_rows", "batch_size", "n_steps"),
    [(512, 32, 10), (96, 6, 10), (256, 1, 162), (2, 1, 1), (3, 1, 2), (4, 2, 1), (9, 3, 2)],
)
def test_an_epoch_has_the_share_of_the_rows_that_replacement_sees(n_rows, batch_size, n_steps):
    problem = problem_of(n_rows, batch_size)
    assert steps_an_epoch("fresh_subset", problem) == n_steps
    assert steps_an_epoch("shuffle_each_epoch", problem) == n_rows // batch_size
    # 1 - (1 - 1/n)**n, as near as whole batches come to it that are neither none nor all.
    seen = 1 - (1 - 1 / n_rows) ** n_rows
    shares = np.arange(1, n_rows // batch_size) * batch_size / n_rows
    nearest = shares[np.argmin(np.abs(shares - seen))]
    assert n_steps * batch_size / n_rows == pytest.approx(nearest)
    assert missed_share(n_rows) == pytest.approx(1 - seen)


def test_rows_are_distinct_and_drawn_anew():
    problem = problem_of(60, 4)
    order = order_of_rows("fresh_subset", problem, seed=5, replicate=2)
    epochs = [order.positions(60, epoch) for epoch in range(400)]
    assert {len(set(rows.tolist())) for rows in epochs} == {len(epochs[0])} == {10 * 4}
    other = order_of_rows("fresh_subset", problem, seed=5, replicate=3)
    assert sorted(other.positions(60, 0)) != sorted(epochs[0]) != sorted(epochs[1])
    assert order.positions(60, 7).tolist() == epochs[7].tolist()
    seen = np.bincount(np.concatenate(epochs), minlength=60) / 400
    # Every row is in an epoch with the same probability, 40/60, and in any place of it.
    assert np.abs(seen - 2 / 3).max() < 4.5 * math.sqrt(2 / 9 / 400)
    first = np.bincount([rows[0] for rows in epochs], minlength=60)
    assert first.max() < 25
    # Subsets of an epoch and of the next are independent: 40 * 40/60 rows in common.
    common = [len(np.intersect1d(*pair)) for pair in itertools.pairwise(epochs)]
    assert abs(np.mean(common) - 80 / 3) < 4.5 * np.std(common) / math.sqrt(len(common))


def test_rows_have_nothing_to_do_with_those_of_a_permutation():
    problem = problem_of(60, 4)
    subset, permutation = (
        order_of_rows(name, problem, seed=1, replicate=0)
        for name in ("fresh_subset", "shuffle_each_epoch")
    )
    for part in (slice(0, 40), slice(20, 60)):
        common = [
            len(np.intersect1d(subset.positions(60, n), permutation.positions(60, n)[part]))
            for n in range(400)
        ]
        assert abs(np.mean(common) - 80 / 3) < 4.5 * np.std(common) / math.sqrt(len(common))


def test_the_noise_of_a_sum_of_distinct_rows_by_going_through_all_of_them():
    """Cochran's formula, on which the theory rests."""
    values = np.array([3.0, -1.0, 4.0, 1.0, -5.0, 9.0])
    values -= values.mean()
    for n_seen in range(1, 6):
        sums = [sum(chosen) for chosen in itertools.combinations(values, n_seen)]
        expected = n_seen * np.var(values) * (6 - n_seen) / 5
        assert np.mean(np.square(sums)) == pytest.approx(expected)


@pytest.mark.parametrize(("n_rows", "batch_size"), [(12, 1), (24, 2)])
def test_theory_equals_many_plain_trainings(n_rows, batch_size):
    """Of the mean of some numbers: the objective is mean((w - y)**2) / 2, its minimum the mean."""
    rng = np.random.default_rng(4)
    y = rng.standard_normal(n_rows) ** 3
    problem = make_problem(np.ones((n_rows, 1)), y, batch_size, 0.0, 0.0)
    rate, n_trainings = 0.01, 3000
    for name in ("with_replacement", "fresh_subset"):
        length = steps_an_epoch(name, problem)
        w = np.full(n_trainings, y.mean())
        excess = []
        for epoch in range(600 // length):
            rows = rng.integers(n_rows, size=(n_trainings, n_rows))
            if name == "fresh_subset":
                rows = rng.permuted(np.tile(np.arange(n_rows), (n_trainings, 1)), axis=1)
            for step in range(length):
                batch = y[rows[:, step * batch_size : (step + 1) * batch_size]]
                w -= rate * (w - batch.mean(axis=1))
            if epoch > 300 // length:
                excess.append(np.mean((w - y.mean()) ** 2) / 2)
        expected = expected_floor(name, problem, rate)
        # First order in the learning rate; the next is its product with steps in an epoch.
        assert np.mean(excess) == pytest.approx(expected, rel=0.1)
    assert expected_floor("shuffle_once", problem, rate) is None
    assert expected_floor("shuffle_each_epoch", problem, rate) is None


def test_the_theory_of_ten_batches_of_sixteen():
    problem = problem_of(512, 32)
    subset, random = (
        expected_floor(name, problem, 0.1) for name in ("fresh_subset", "with_replacement")
    )
    assert subset / random == pytest.approx(0.375 * 512 / 511)


def test_a_small_floor_is_that_of_theory(write_config):
    config = write_config("floors", train={"l2": 0.5, "train_bias": True, "seed": 1})
    options = OrdersOptions((0.01, 0.02), replicates=12, rows=96, batch_size=6)
    result = workflows.orders(config, options=options).result
    for rate in (0.01, 0.02):
        floor = result.floor("fresh_subset", rate)
        gap = abs(floor.excess.value - floor.expected)
        assert gap < 4 * floor.excess.standard_error + 0.1 * floor.expected
        assert floor.excess.standard_error < 0.15 * floor.expected
    n_steps = {floor.n_steps for floor in result.floors if floor.learning_rate == 0.02}
    assert len(n_steps) == 1  # all orders are compared after as many
    for approach in result.approach:
        assert approach.n_steps % result.problem.n_batches == 0


@pytest.mark.parametrize(
    ("rows", "batch_size", "subset", "replacement", "are_alike"),
    [
        (96, 48, "50.0%", "36.6%", False),
        (60, 15, "25.0%", "36.5%", False),
        (60, 12, "40.0%", "36.5%", True),
        (96, 6, "37.5%", "36.6%", True),
    ],
)
def test_misses_are_told_from_repeats_where_the_subset_misses_about_as_many(
    rows, batch_size, subset, replacement, are_alike, write_config
):
    config = write_config("floors", train={"l2": 0.5, "seed": 1})
    options = OrdersOptions((0.05, 0.1), replicates=3, rows=rows, batch_size=batch_size)
    result = workflows.orders(config, options=options).result
    [text] = [text for text in sentences(result) if text.startswith("At learning rate")]
    assert f"fresh subset, whose epochs miss {subset} of the rows and repeat none" in text
    assert f"with replacement, whose epochs miss {replacement}" in text
    assert ("too unlike to tell misses from repeats" in text) != are_alike
    assert (", repeats " in text) == are_alike
    expected = (1 - 1 / rows) ** rows
    assert float(replacement.rstrip("%")) / 100 == pytest.approx(expected, abs=5e-4)
