"""What a pass holds in memory, by the budget and by limits of its own."""

from dataclasses import replace

import pytest

from sgdlab.config.model import Run
from sgdlab.data.shape import Shape
from sgdlab.planning.making import make_plan
from sgdlab.planning.memory import MOST_BYTES, epochs_together, holding_of, memory_budget
from sgdlab.planning.plan import Pass
from sgdlab.system import machine
from tests.planning.cells import AUTO, SMALL, cells_of
from tests.planning.test_cost import LARGE


def held(plan_pass, shape, budget=10**9):
    return holding_of(plan_pass, shape, Run(memory_budget=budget))


def test_rows_of_exactly_the_budget_fit():
    [double, single] = make_plan(cells_of(precision=["float64", "float32"]), SMALL, AUTO, 1).passes[
        ::-1
    ]
    assert held(double, SMALL, 4800).in_memory
    assert not held(double, SMALL, 4799).in_memory
    assert held(single, SMALL, 2400).in_memory


@pytest.mark.parametrize(
    ("memory", "budget"), [(4 * 10**9, 10**9), (8 * 10**9, 2 * 10**9), (10**12, 2 * 10**9)]
)
def test_the_budget_is_a_quarter_of_the_memory_or_two_gigabytes(monkeypatch, memory, budget):
    monkeypatch.setattr(machine, "memory_bytes", lambda: memory)
    assert memory_budget(AUTO) == budget
    assert memory_budget(Run(memory_budget="3GB")) == 3 * 10**9


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_parts_of_folds_are_kept_where_as_many_copies_fit(precision):
    shape = replace(LARGE, n_validation=0, folds=5)
    copy = 400_000 * 2304 * (8 if precision == "float64" else 4)

    def keeps(budget, **axes):
        plan = make_plan(cells_of(precision=[precision], **axes), shape, AUTO, threads=2)
        return [held(plan_pass, shape, budget).keeps_parts for plan_pass in plan.passes]

    assert keeps(5 * copy) == [True]
    assert keeps(5 * copy - 1) == [False]
    assert keeps(5 * copy, order=["in_order"]) == [True]
    assert keeps(9 * copy, order=["shuffle_each_epoch"]) == [False]
    [whole] = make_plan(cells_of(), replace(shape, folds=None), AUTO, threads=2).passes
    assert not held(whole, shape, 9 * copy).keeps_parts


def test_shuffled_blocks_have_room_for_two_buffers_and_a_chunk():
    [plan_pass] = make_plan(cells_of(order=["shuffle_blocks"]), LARGE, AUTO, 1).passes
    assert plan_pass.chunk_rows == 910
    chunk_bytes = 910 * 2304 * 8
    # A buffer has 16 * 256 = 4096 rows: 2 of them begin or end in at most 11 chunks.
    for budget, n_chunks in [(10**9, 11), (8 * chunk_bytes, 8), (1, 2)]:
        assert held(plan_pass, LARGE, budget).n_chunks == n_chunks


def products_kept(n_train, folds=None, **axes):
    """For every block of a pass whether its Gram matrices are kept; windows of 128 rows."""
    shape = Shape(n_train=n_train, n_validation=0, n_test=1, n_features=10, folds=folds)
    [plan_pass] = make_plan(cells_of(batch_size=[1, 2], **axes), shape, AUTO, 1).passes
    blocks = tuple(replace(block, window_rows=128) for block in plan_pass.blocks)
    kept = held(replace(plan_pass, blocks=blocks), shape).products_of
    assert kept <= {block.index for block in blocks}
    return [block.index in kept for block in blocks]


def test_products_are_kept_that_are_the_same_in_every_epoch_and_small():
    n_rows = 64 * 2**20 // (128 * 2 * 8)  # of two batch sizes in one block
    assert products_kept(n_rows) == [True]
    assert products_kept(n_rows + 1) == [False]
    assert products_kept(n_rows, order=["in_order"]) == [True]
    for order in ("shuffle_each_epoch", "shuffle_blocks", "with_replacement"):
        assert products_kept(10, order=[order]) == [False]
    assert products_kept(2 * n_rows, precision=["float32"]) == [True]
    assert products_kept(2 * n_rows + 1, precision=["float32"]) == [False]


def test_products_of_a_fold_are_those_of_the_rows_that_it_trains_on():
    n_rows = 64 * 2**20 // (128 * 2 * 8)
    # The first of two folds holds out one row more than the second.
    assert products_kept(2 * n_rows + 1, folds=2) == [True, False]


def test_the_direct_kernel_has_no_products():
    [plan_pass] = make_plan(cells_of(optimizer=["adam"]), SMALL, AUTO, 1).passes
    assert held(plan_pass, SMALL).products_of == frozenset()


def test_some_blocks_of_a_pass_hold_what_the_whole_pass_would():
    shape = Shape(n_train=90, n_validation=0, n_test=1, n_features=10, folds=3)
    plan = make_plan(cells_of(), shape, AUTO, 1)
    [whole], [part] = plan.passes, plan.passes_of(plan.blocks[:1])
    assert isinstance(part, Pass)
    assert part.blocks == whole.blocks[:1]
    for budget in (90 * 80, 3 * 90 * 80):
        first, second = held(whole, shape, budget), held(part, shape, budget)
        assert (first.in_memory, first.keeps_parts) == (second.in_memory, second.keeps_parts)
        assert first.keeps_parts == (budget == 3 * 90 * 80)


@pytest.mark.parametrize(
    ("n_bytes", "n_epochs"),
    [(1, 4), (8 * 2**20, 4), (8 * 2**20 + 1, 3), (16 * 2**20, 2), (10**12, 1)],
)
def test_large_weights_wait_for_fewer_epochs(n_bytes, n_epochs):
    assert epochs_together(n_bytes) == n_epochs
    assert n_epochs == 1 or n_epochs * n_bytes <= MOST_BYTES
