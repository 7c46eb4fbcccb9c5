"""Cells to trajectories, blocks and passes."""

import time
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgdlab.config.grid import Cell, expand
from sgdlab.config.model import Run, Train
from sgdlab.config.reading import load_config
from sgdlab.data.shape import Shape
from sgdlab.planning.making import make_plan
from sgdlab.planning.plan import Plan
from sgdlab.planning.plan import cells_of as cells_in
from tests.planning.cells import AUTO, FACES, SMALL, cells_of, fixed_seed, some_axes, some_runs

AGE = Path(__file__).parents[2] / "configs" / "age.yaml"


def as_sets(plan, cells):
    """What is trained with what, whatever the cells are numbered."""
    return {
        (
            plan_pass.chunk_rows,
            plan_pass.blas_threads,
            frozenset(
                frozenset(
                    (cells[stop.cell].train, trajectory.replicate)
                    for trajectory in block.trajectories
                    for stop in trajectory.stops
                )
                for block in plan_pass.blocks
            ),
        )
        for plan_pass in plan.passes
    }


def stops_of(plan):
    return [
        stop
        for block in plan.blocks
        for trajectory in block.trajectories
        for stop in trajectory.stops
    ]


def loss_of(block):
    (loss,) = {trajectory.train.loss for trajectory in block.trajectories}
    return loss


def test_the_homework_is_64_trajectories_in_two_blocks():
    plan = make_plan(expand(load_config(AGE)).cells, FACES, AUTO, threads=2)
    [only] = plan.passes
    assert plan.n_trajectories == 64
    assert [len(block.trajectories) for block in only.blocks] == [32, 32]
    assert [block.batch_sizes for block in only.blocks] == [(160, 640), (200, 400)]
    assert [block.index for block in only.blocks] == [0, 1]
    assert (only.epochs, only.blas_threads) == (64, 1)
    assert only.chunk_rows == 3200  # 64 MiB hold 3640 rows; the batch sizes' least multiple is 3200
    for block in only.blocks:
        for trajectory in block.trajectories:
            assert [stop.epoch for stop in trajectory.stops] == [16, 32, 48, 64]
            assert trajectory.train.epochs == trajectory.epochs == 64


def test_cells_that_differ_only_in_epochs_are_one_trajectory():
    cells = cells_of(epochs=[5, 1, 3], l2=[0.0, 0.5])
    [block] = make_plan(cells, SMALL, AUTO, threads=1).blocks
    assert block.epochs == 5
    found = [[(stop.epoch, stop.cell) for stop in path.stops] for path in block.trajectories]
    assert found == [
        [(1, 2), (3, 4), (5, 0)],
        [(1, 3), (3, 5), (5, 1)],
    ]


def test_orders_precisions_and_replicates_are_passes_of_their_own():
    orders = ["in_order", "shuffle_each_epoch"]
    cells = cells_of(order=orders, precision=["float64", "float32"], replicates=[3], l2=[0.0, 1.0])
    plan = make_plan(cells, SMALL, AUTO, threads=2)
    kinds = [(one.train.order, one.train.precision, one.order.replicate) for one in plan.passes]
    assert len(kinds) == len(set(kinds)) == 2 * 2 * 3
    assert [block.index for block in plan.blocks] == list(range(12))
    assert plan.n_trajectories == 24


@pytest.mark.parametrize(
    ("axes", "n_trajectories"),
    [
        ({}, 1),
        ({"momentum": [0.5], "optimizer": ["momentum"]}, 1),
        ({"schedule": ["cosine"]}, 3),
        ({"warmup": [0.1]}, 3),
        ({"schedule": ["constant", "step"]}, 4),
    ],
)
def test_only_a_constant_learning_rate_shares_the_first_epochs(axes, n_trajectories):
    plan = make_plan(cells_of(epochs=[1, 2, 5], **axes), SMALL, AUTO, threads=1)
    assert plan.n_trajectories == n_trajectories
    assert sorted(stop.cell for stop in stops_of(plan)) == list(
        range(3 * len(axes.get("schedule", [1])))
    )


def test_losses_are_blocks_of_their_own():
    plan = make_plan(cells_of(loss=["squared", "huber", "absolute"]), SMALL, AUTO, threads=1)
    [only] = plan.passes
    assert sorted(loss_of(block) for block in only.blocks) == [
        "absolute",
        "huber",
        "squared",
    ]
    assert all(len(block.trajectories) == 1 for block in only.blocks)


def test_single_rows_do_not_slow_larger_batches():
    cells = cells_of(batch_size=[1, 160], l2=[0.0, 0.1, 0.2, 0.3], optimizer=["adam"])
    plan = make_plan(cells, FACES, AUTO, threads=1)
    assert [block.batch_sizes for block in plan.blocks] == [(1,), (160,)]
    assert [block.window_rows for block in plan.blocks] == [None, None]


@pytest.mark.parametrize(
    ("batch_size", "n_cells", "optimizer", "order", "window_rows"),
    [
        (1, 64, "sgd", "shuffle_once", 256),
        (1, 1, "sgd", "shuffle_once", 256),
        (1, 64, "sgd", "shuffle_each_epoch", 128),
        (3, 64, "sgd", "shuffle_once", 255),  # whole batches
        (1, 64, "momentum", "shuffle_once", None),
        (160, 64, "sgd", "shuffle_once", None),
        (64, 64, "sgd", "shuffle_each_epoch", None),
        (160, 1, "sgd", "shuffle_once", None),
    ],
)
def test_small_batches_of_plain_sgd_get_the_windowed_kernel(
    batch_size, n_cells, optimizer, order, window_rows
):
    rates = [0.01 * (n + 1) for n in range(n_cells)]
    cells = cells_of(
        batch_size=[batch_size], learning_rate=rates, optimizer=[optimizer], order=[order]
    )
    plan = make_plan(cells, FACES, AUTO, threads=1)
    assert {block.window_rows for block in plan.blocks} == {window_rows}
    assert {block.window_rows for block in Plan.from_log(plan.to_log(), cells).blocks} == {
        window_rows
    }


def blocks_of(shape, n_cells, **axes):
    """Sizes of the blocks on three threads, and the threads of their products."""
    cells = cells_of(l2=[0.01 * n for n in range(n_cells)], optimizer=["adam"], **axes)
    [only] = make_plan(cells, shape, AUTO, threads=3).passes
    return [len(block.trajectories) for block in only.blocks], only.blas_threads


def test_blocks_are_side_by_side_only_with_much_work_each():
    assert blocks_of(FACES, 93, batch_size=[160]) == ([93], 3)
    assert blocks_of(FACES, 96, batch_size=[160]) == ([32, 32, 32], 1)
    assert blocks_of(FACES, 96, batch_size=[67]) == ([96], 3)  # 9.9 million multiply-adds
    assert blocks_of(FACES, 96, batch_size=[68]) == ([32, 32, 32], 1)
    assert blocks_of(SMALL, 96, batch_size=[160]) == ([96], 3)
    assert blocks_of(FACES, 48, batch_size=[160, 320]) == ([32, 32, 32], 1)
    assert blocks_of(FACES, 48, batch_size=[16, 320])[1] == 3  # the smallest batches count


def test_folds_with_little_work_are_trained_one_after_the_other():
    shape = replace(FACES, folds=5)
    cells = cells_of(batch_size=[160], l2=[0.01 * n for n in range(6)])
    [only] = make_plan(cells, shape, AUTO, threads=2).passes
    assert len(only.blocks) == 5
    assert only.blas_threads == 2


def test_small_batches_are_one_block_with_all_threads():
    cells = cells_of(batch_size=[1], l2=[0.1 * n for n in range(64)])
    [only] = make_plan(cells, FACES, AUTO, threads=3).passes
    assert [len(block.trajectories) for block in only.blocks] == [64]
    assert only.blas_threads == 3


def test_a_given_number_of_trajectories_is_the_most_in_a_block():
    cells = cells_of(l2=[0.1 * n for n in range(11)])
    plan = make_plan(cells, SMALL, Run(trajectories_per_block=4), threads=5)
    assert [len(block.trajectories) for block in plan.blocks] == [3, 4, 4]
    assert [plan_pass.blas_threads for plan_pass in plan.passes] == [1]


@fixed_seed
@given(some_axes, some_runs, st.integers(1, 4))
def test_every_cell_and_replicate_is_trained_exactly_once(axes, run, threads):
    cells = cells_of(**axes)
    plan = make_plan(cells, SMALL, run, threads)
    trained = [
        (stop.cell, trajectory.replicate)
        for block in plan.blocks
        for trajectory in block.trajectories
        for stop in trajectory.stops
    ]
    expected = [(cell.index, n) for cell in cells for n in range(cell.train.replicates)]
    assert sorted(trained) == expected
    for plan_pass in plan.passes:
        for block in plan_pass.blocks:
            for trajectory in block.trajectories:
                assert trajectory.replicate == plan_pass.order.replicate
                assert trajectory.train.loss == loss_of(block)
                assert (trajectory.train.order, trajectory.train.precision) == (
                    plan_pass.train.order,
                    plan_pass.train.precision,
                )
                for stop in trajectory.stops:
                    same = cells[stop.cell].train.model_copy(update={"epochs": trajectory.epochs})
                    assert same == trajectory.train
                    assert cells[stop.cell].train.epochs == stop.epoch
            sizes = [trajectory.train.batch_size for trajectory in block.trajectories]
            assert sizes == sorted(sizes)


@fixed_seed
@given(some_axes, some_runs, st.integers(1, 4), st.randoms(use_true_random=False))
def test_the_order_in_which_values_are_written_does_not_matter(axes, run, threads, random):
    cells = cells_of(**axes)
    shuffled = {name: random.sample(values, len(values)) for name, values in axes.items()}
    names = random.sample(list(shuffled), len(shuffled))
    others = cells_of(**{name: shuffled[name] for name in names})
    plan = make_plan(cells, SMALL, run, threads)
    other = make_plan(others, SMALL, run, threads)
    assert as_sets(plan, cells) == as_sets(other, others)
    of_both = [
        [[trajectory.train for trajectory in block.trajectories] for block in of_plan.blocks]
        for of_plan in (plan, other)
    ]
    assert of_both[0] == of_both[1]  # and in the same order within blocks


@fixed_seed
@given(some_axes, st.integers(1, 9))
def test_threads_do_not_matter_where_trajectories_per_block_is_a_number(axes, largest):
    run = Run(trajectories_per_block=largest)
    plans = [make_plan(cells_of(**axes), SMALL, run, threads) for threads in (1, 2, 7)]
    assert plans[0] == plans[1] == plans[2]


@pytest.mark.parametrize(
    ("sizes", "chunk_rows"),
    [
        ([7, 11, 13], 3003),  # 3 * 1001, the most below 3640 = 64 MiB / (8 * 2304)
        ([1], 3640),
        ([3000], 3000),
        ([4999, 5000], 3640),  # no chunk holds a batch
    ],
)
def test_chunks_are_whole_batches_where_they_fit_64_mib(sizes, chunk_rows):
    plan = make_plan(cells_of(batch_size=sizes), FACES, AUTO, threads=1)
    assert {plan_pass.chunk_rows for plan_pass in plan.passes} == {chunk_rows}


def test_chunks_of_rows_that_are_gathered_anew_every_epoch_fit_16_mib():
    cells = cells_of(batch_size=[160, 200], order=["shuffle_each_epoch", "with_replacement"])
    plan = make_plan(cells, FACES, AUTO, threads=1)
    assert [plan_pass.chunk_rows for plan_pass in plan.passes] == [800, 800]  # 910 rows fit


def test_chunks_have_at_least_one_row_and_at_most_16384():
    wide = Shape(100, 20, 10, n_features=10**8)
    for shape, chunk_rows in ((wide, 1), (SMALL, 16_380)):
        [only] = make_plan(cells_of(), shape, AUTO, threads=1).passes
        assert only.chunk_rows == chunk_rows


def test_a_thousand_batch_sizes_are_planned_fast():
    cells = cells_of(batch_size=list(range(1, 1001)))
    start = time.process_time()
    plan = make_plan(cells, FACES, AUTO, threads=2)
    assert time.process_time() - start < 5
    assert sorted(size for block in plan.blocks for size in block.batch_sizes) == [*range(1, 1001)]


@pytest.mark.parametrize("extreme", [{"learning_rate": 1e200}, {"l2": 1e300}])
@pytest.mark.parametrize("batch_sizes", [[1], [1, 40]])
def test_extreme_cells_have_direct_blocks_of_their_own_and_others_are_planned_as_without(
    extreme, batch_sizes
):
    ordinary = cells_of(batch_size=batch_sizes, learning_rate=[0.1, 0.2], l2=[0.0, 0.1])
    axes = {"batch_size": batch_sizes, "learning_rate": [0.1], "l2": [0.0]}
    axes |= {name: [value] for name, value in extreme.items()}
    bold = [Cell(len(ordinary) + cell.index, cell.train) for cell in cells_of(**axes)]
    plan, without = (make_plan(cells, SMALL, AUTO, 1) for cells in (ordinary + bold, ordinary))
    numbers = {cell.index for cell in bold}
    of_bold = [block for block in plan.blocks if cells_in([block]) & numbers]
    assert cells_in(of_bold) == numbers
    assert {block.window_rows for block in of_bold} == {None}
    others = [block for block in plan.blocks if block not in of_bold]
    assert [(block.trajectories, block.window_rows) for block in others] == [
        (block.trajectories, block.window_rows) for block in without.blocks
    ]


@pytest.mark.parametrize("n_epochs", [1, 4])
def test_many_cells_are_planned_without_a_model_being_checked_for_each(n_epochs):
    n_rates = 40_000 // n_epochs
    train = {"batch_size": 160}
    grid = {"learning_rate": [1e-5 + 1e-9 * n for n in range(n_rates)]}
    grid["epochs"] = list(range(1, n_epochs + 1))
    config = load_config({"data": {"path": "."}, "train": train, "grid": grid})
    start = time.process_time()
    grid = expand(config)
    plan = make_plan(grid.cells, FACES, AUTO, threads=2)
    planned_s = time.process_time() - start
    assert plan.n_trajectories == n_rates
    start = time.process_time()
    made = [Train.model_construct(**dict(cell.train)) for cell in grid.cells]
    assert planned_s < time.process_time() - start
    assert made == [cell.train for cell in grid.cells]


def test_a_cell_keeps_little_memory():
    grid = {"learning_rate": [1e-5 + 1e-9 * n for n in range(5000)]}
    train = {"batch_size": 160, "epochs": 3}
    config = load_config({"data": {"path": "."}, "train": train, "grid": grid})
    tracemalloc.start()
    cells = expand(config).cells
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    plain = [dict(cell.train) for cell in cells[:1]]
    assert kept / len(cells) < 1.5 * plain[0].__sizeof__()


def test_cells_that_are_changed_leave_others_as_they_are():
    first, second = expand(load_config(AGE)).cells[:2]
    before = dict(second.train)
    changed = first.train.model_copy(update={"l2": 7.0, "loss": "huber"})
    assert (changed.l2, changed.loss, first.train.loss) == (7.0, "huber", "squared")
    assert dict(second.train) == before
    assert second.train.model_fields_set == set(Train.model_fields)
    with pytest.raises(ValueError, match="frozen"):
        first.train.l2 = 1.0
