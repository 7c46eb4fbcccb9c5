"""Orders of rows: what each one is, and what it depends on."""

import numpy as np
import pytest

from sgdlab.errors import UsageError
from sgdlab.random_streams import Purpose, generator
from sgdlab.words.orders import ORDERS, ShuffleBlocks

SHUFFLES = ["shuffle_once", "shuffle_each_epoch"]
RANDOM = [*SHUFFLES, "with_replacement"]


def order_of(order, n_rows=200, seed=3, replicate=0, epoch=0):
    return ORDERS.make(order, seed=seed, replicate=replicate).positions(n_rows, epoch).tolist()


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
    orders = {tuple(order_of("shuffle_each_epoch", 200, *place)) for place in places}
    assert len(orders) == len(places)


def test_orders_are_those_of_the_documented_stream():
    sequence = np.random.SeedSequence([7, 1, 2, 5])  # seed, purpose, replicate, epoch
    expected = np.random.default_rng(sequence).permutation(50)
    assert order_of("shuffle_each_epoch", 50, 7, 2, 5) == expected.tolist()


def test_streams_of_different_purposes_differ():
    draws = {tuple(generator(0, purpose).integers(2**60, size=4)) for purpose in Purpose}
    assert len(draws) == len(Purpose)


@pytest.mark.parametrize("n_rows", [2, 20, 300])
def test_rows_missed_with_replacement_are_as_many_as_theory_says(n_rows):
    n_epochs = 2000
    missed = np.zeros(n_epochs)  # the share of rows that an epoch does not see
    for epoch in range(n_epochs):
        order = ORDERS.make("with_replacement").positions(n_rows, epoch)
        assert len(order) == n_rows
        assert order.min() >= 0
        assert order.max() < n_rows
        missed[epoch] = 1 - len(np.unique(order)) / n_rows
    expected = (1 - 1 / n_rows) ** n_rows
    standard_error = missed.std(ddof=1) / np.sqrt(n_epochs)
    assert abs(missed.mean() - expected) < 4 * standard_error


def test_rows_drawn_with_replacement_are_equally_likely():
    draws = [order_of("with_replacement", 10, 0, 0, epoch) for epoch in range(2000)]
    counts = np.bincount(np.concatenate(draws), minlength=10)
    standard_error = np.sqrt(20_000 * 0.1 * 0.9)
    assert np.all(np.abs(counts - 2000) < 4 * standard_error)


# Blocks

BLOCKS = [
    (1, 1, 1), (7, 10, 1), (100, 10, 3), (103, 10, 3), (103, 1, 7), (109, 10, 11), (64, 7, 100),
]  # fmt: skip


def block_order(n_rows, block_rows, buffer_blocks, seed=3, replicate=0, epoch=0):
    order = ShuffleBlocks(seed, replicate, block_rows, buffer_blocks)
    return order.positions(n_rows, epoch), order.mixture_ends(n_rows, epoch)


@pytest.mark.parametrize(("n_rows", "block_rows", "buffer_blocks"), BLOCKS)
def test_shuffled_blocks_are_whole_and_their_rows_stay_in_their_buffer(
    n_rows, block_rows, buffer_blocks
):
    for epoch in range(10):
        order, ends = block_order(n_rows, block_rows, buffer_blocks, epoch=epoch)
        assert sorted(order.tolist()) == list(range(n_rows))
        assert ends[-1] == n_rows
        n_blocks = -(-n_rows // block_rows)
        n_in_buffer = [len(set(buffer // block_rows)) for buffer in np.split(order, ends[:-1])]
        assert n_in_buffer[:-1] == [buffer_blocks] * (len(ends) - 1)
        assert sum(n_in_buffer) == n_blocks  # no block is in two buffers


def test_both_the_blocks_and_the_rows_of_a_buffer_are_shuffled():
    first_blocks, inside, last_rows = set(), set(), set()
    for epoch in range(300):
        order, ends = block_order(103, 10, 3, epoch=epoch)
        buffer = order[: ends[0]]
        first_blocks.add(tuple(sorted(set(buffer // 10))))
        inside.add(tuple(np.argsort(np.argsort(buffer))[:5].tolist()))
        last_rows |= set(order[-5:].tolist())
    assert len(first_blocks) > 100  # of 165 triples, 11 blocks in all
    assert len(inside) > 290
    assert len(last_rows) == 103  # and so of the last, short block too


def test_a_row_is_equally_likely_to_stand_in_each_buffer():
    counts = np.zeros(4)
    for epoch in range(4000):
        order, ends = block_order(40, 5, 2, epoch=epoch)
        counts[np.searchsorted(ends, np.flatnonzero(order == 7), side="right")] += 1
    assert np.all(np.abs(counts - 1000) < 4 * np.sqrt(1000 * 0.75))


def test_shuffled_blocks_change_with_epoch_seed_and_replicate_and_nothing_else():
    places = [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0), (1, 0, 1), (0, 1, 1)]
    orders = [tuple(block_order(100, 10, 3, *place)[0]) for place in places]
    np.random.seed(5)
    assert orders == [tuple(block_order(100, 10, 3, *place)[0]) for place in places]
    assert len(set(orders)) == len(places)


def test_the_first_block_is_any_and_comes_from_the_documented_stream():
    numbers = np.random.default_rng(np.random.SeedSequence([3, 1, 2, 5]))
    blocks = numbers.permutation(5).tolist()
    rows = [row for block in blocks[:2] for row in range(10 * block, min(10 * block + 10, 43))]
    expected = numbers.permutation(rows)
    order, ends = block_order(43, 10, 2, replicate=2, epoch=5)
    assert order[: ends[0]].tolist() == expected.tolist()


def test_a_buffer_for_all_rows_is_a_full_shuffle():
    order, ends = block_order(100, 10, 1000)
    assert ends.tolist() == [100]
    assert len(set((order[:30] // 10).tolist())) > 5


def test_unknown_order_is_refused_with_those_that_exist():
    expected = r"train.order 'backwards': unknown; expected one of in_order, .*with_replacement"
    with pytest.raises(UsageError, match=expected):
        order_of("backwards")


def test_orders_are_equal_where_their_rows_come_in_the_same_sequence():
    for name in ORDERS:
        assert ORDERS.make(name, seed=1) == ORDERS.make(name, seed=1)
        assert ORDERS.make(name, seed=1) != ORDERS.make(name, seed=1, replicate=1)
    assert len({ORDERS.make(name) for name in ORDERS}) == len(ORDERS)
    assert ShuffleBlocks(block_rows=8) != ShuffleBlocks(block_rows=16)


@pytest.mark.parametrize("name", ORDERS)
def test_what_an_order_says_of_itself_is_so(name):
    order = ORDERS.make(name, seed=3)
    epochs = [order.positions(500, epoch).tolist() for epoch in range(3)]
    other = ORDERS.make(name, seed=3, replicate=1).positions(500, 0).tolist()
    assert (epochs[0] == epochs[1] == epochs[2]) == order.repeats
    assert all(set(epoch) == set(range(500)) for epoch in epochs) == order.sees_all
    assert (other != epochs[0]) == order.is_random
    assert (epochs[0] == list(range(500))) == order.is_stored
