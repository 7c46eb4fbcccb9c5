"""Orders of rows: what each one is, and what it depends on."""

import numpy as np
import pytest

from sgdlab.data.orders import Purpose, epoch_order, generator
from sgdlab.errors import UsageError

SHUFFLES = ["shuffle_once", "shuffle_each_epoch"]
RANDOM = [*SHUFFLES, "with_replacement"]


def order_of(order, n_rows=200, seed=3, replicate=0, epoch=0):
    return epoch_order(order, n_rows, seed, replicate, epoch).tolist()


def test_in_order_is_the_order_of_the_file():
    assert order_of("in_order", 5, seed=9, replicate=4, epoch=7) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("order", SHUFFLES)
@pytest.mark.parametrize("n_rows", [1, 2, 3, 1000])
def test_a_shuffle_shows_every_row_once(order, n_rows):
    for epoch in range(5):
        assert sorted(order_of(order, n_rows, epoch=epoch)) == list(range(n_rows))


@pytest.mark.parametrize("order", RANDOM)
def test_random_orders_depend_on_seed_and_replicate_and_nothing_else(order):
    first = order_of(order)
    np.random.seed(5)
    assert order_of(order) == first
    assert order_of(order, seed=4) != first
    assert order_of(order, replicate=1) != first
    assert order_of(order, replicate=2) != order_of(order, replicate=1)


def test_shuffle_once_stays_the_same_over_epochs():
    assert order_of("shuffle_once", epoch=17) == order_of("shuffle_once")


@pytest.mark.parametrize("order", ["shuffle_each_epoch", "with_replacement"])
def test_other_random_orders_change_with_every_epoch(order):
    assert len({tuple(order_of(order, epoch=epoch)) for epoch in range(20)}) == 20


def test_first_epoch_of_both_shuffles_is_the_same():
    assert order_of("shuffle_once") == order_of("shuffle_each_epoch")


def test_seed_replicate_and_epoch_are_not_interchangeable():
    places = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 1, 1), (1, 0, 1), (1, 1, 0)]
    orders = {tuple(epoch_order("shuffle_each_epoch", 200, *place)) for place in places}
    assert len(orders) == len(places)


def test_orders_are_those_of_the_documented_stream():
    sequence = np.random.SeedSequence([7, 1, 2, 5])  # seed, purpose, replicate, epoch
    expected = np.random.default_rng(sequence).permutation(50)
    assert epoch_order("shuffle_each_epoch", 50, 7, 2, 5).tolist() == expected.tolist()


def test_streams_of_different_purposes_differ():
    draws = {tuple(generator(0, purpose).integers(2**60, size=4)) for purpose in Purpose}
    assert len(draws) == len(Purpose)


@pytest.mark.parametrize("n_rows", [2, 20, 300])
def test_rows_missed_with_replacement_are_as_many_as_theory_says(n_rows):
    n_epochs = 2000
    missed = np.zeros(n_epochs)  # the share of rows that an epoch does not see
    for epoch in range(n_epochs):
        order = epoch_order("with_replacement", n_rows, 0, 0, epoch)
        assert len(order) == n_rows
        assert order.min() >= 0
        assert order.max() < n_rows
        missed[epoch] = 1 - len(np.unique(order)) / n_rows
    expected = (1 - 1 / n_rows) ** n_rows
    standard_error = missed.std(ddof=1) / np.sqrt(n_epochs)
    assert abs(missed.mean() - expected) < 4 * standard_error


def test_rows_drawn_with_replacement_are_equally_likely():
    draws = [epoch_order("with_replacement", 10, 0, 0, epoch) for epoch in range(2000)]
    counts = np.bincount(np.concatenate(draws), minlength=10)
    standard_error = np.sqrt(20_000 * 0.1 * 0.9)
    assert np.all(np.abs(counts - 2000) < 4 * standard_error)


def test_unknown_order_is_refused_with_those_that_exist():
    with pytest.raises(UsageError, match=r"'backwards': unknown; expected in_order, .*replacement"):
        order_of("backwards")
