"""What a plan costs: bytes, operations and memory."""

import json
from dataclasses import replace

import pytest

from sgdlab.config.model import Run
from sgdlab.data.shape import Shape
from sgdlab.errors import StorageError
from sgdlab.planning.cost import check_memory, estimate, memory_bytes, random_reads
from sgdlab.planning.making import make_plan
from sgdlab.planning.memory import assign_memory, holding_of
from tests.planning.cells import AUTO, SMALL, cells_of

BUDGET = "lower run.memory_budget"


def test_an_estimate_by_hand():
    cells = cells_of(epochs=[1, 3], l2=[0.0, 0.5])
    plan = make_plan(cells, SMALL, AUTO, threads=1)
    found = estimate(plan, len(cells), SMALL, AUTO)
    assert (found.n_cells, found.n_trajectories, found.n_passes, found.n_blocks) == (4, 2, 1, 1)
    assert found.n_epochs == 3
    assert found.row_bytes == (100 + 20) * 5 * 8
    # An epoch of a trajectory: two products of 100 training rows by 5 weights (predictions,
    # gradient), one of 20 validation rows, each a multiplication and an addition a weight.
    an_epoch = 2 * (2 * 100 + 20) * 5
    at_a_stop = 2 * 100 * 5  # all training rows once more
    assert found.flops == 2 * 3 * an_epoch + 4 * at_a_stop
    assert found.flops == 17_200
    assert found.in_memory
    # Rows; 4 matrices of 2 x 5 weights; predictions of 2 for each of 100 rows; those rows as a
    # window, its products twice and 6 numbers a row and trajectory; products that are kept;
    # weights of 4 epochs that wait for the validation rows; and the losses of 3 epochs.
    of_window = 100 * (5 + 2 * 100 + 6 * 2) * 8 + 100 * 100 * 8
    matrices = 4800 + (4 + 4) * 2 * 5 * 8 + 2 * 100 * 8 + of_window + 2 * 3 * 150
    assert found.memory_bytes == matrices + 32 * 120  # targets and numbers of every row


def test_an_estimate_of_two_passes_adds_operations_and_takes_the_larger_memory():
    cells = cells_of(precision=["float64", "float32"])
    found = estimate(make_plan(cells, SMALL, AUTO, 1), 2, SMALL, AUTO)
    an_epoch, at_a_stop = 2 * (2 * 100 + 20) * 5, 2 * 100 * 5
    assert found.flops == 2 * (2 * an_epoch + at_a_stop)
    assert found.n_epochs == 2 + 2
    assert found.row_bytes == 120 * 5 * 8


LARGE = Shape(n_train=400_000, n_validation=40_000, n_test=10, n_features=2304)
CHUNK_BYTES = 3640 * 2304 * 8


@pytest.mark.parametrize(
    ("budget", "n_chunks"),
    [(1, 2), (3 * CHUNK_BYTES - 1, 2), (3 * CHUNK_BYTES, 3), (10 * CHUNK_BYTES, 4)],
)
def test_rows_above_the_budget_are_streamed_through_as_many_chunks_as_it_holds(budget, n_chunks):
    run = Run(memory_budget=budget)
    plan = make_plan(cells_of(), LARGE, run, threads=1)
    [plan_pass] = plan.passes
    found = estimate(plan, 1, LARGE, run)
    assert plan_pass.chunk_rows == 3640
    assert not found.in_memory
    assert holding_of(plan_pass, LARGE, run).n_chunks == n_chunks
    assert 0 < found.memory_bytes - n_chunks * CHUNK_BYTES < 60e6  # pieces of the file, targets


def test_the_budget_changes_nothing_else_of_a_plan():
    cells = cells_of(order=["in_order", "shuffle_once", "shuffle_each_epoch", "shuffle_blocks"])
    plans = {
        json.dumps(make_plan(cells, LARGE, Run(memory_budget=budget), 2).to_log())
        for budget in (1, 10**8, 10**11)
    }
    assert len(plans) == 1


def reads_of(order, shape=LARGE, **run):
    plan = make_plan(cells_of(order=[order]), shape, Run(**run), 1)
    return random_reads(assign_memory(plan.passes, shape, Run(**run)), shape)


def test_random_reads_are_counted_where_a_file_is_not_read_in_sequence():
    random = {"memory_budget": 10**8}
    assert reads_of("in_order", **random) == (0, 0)
    assert reads_of("shuffle_once", memory_budget=10**11) == (0, 0)
    n_reads, n_bytes = reads_of("shuffle_once", **random)
    assert 390_000 < n_reads < 400_000  # a few of 3640 rows in a chunk are neighbours
    assert n_bytes == 2304 * 8
    single = replace(LARGE, itemsize=4)
    assert reads_of("with_replacement", single, **random)[1] == 2304 * 4
    assert reads_of("shuffle_blocks", memory_budget=2 * 10**8) == (0, 0)
    # A buffer that has no room: of its 4096 rows, a chunk reads 910.
    assert reads_of("shuffle_blocks", memory_budget=1) == (round(400_000 * (1 - 910 / 4096)), 18432)


def test_a_fortran_ordered_file_is_read_column_by_column():
    fortran = replace(LARGE, is_fortran=True)
    n_pieces = -(-400_000 // 1820)  # of 32 MiB
    assert reads_of("in_order", fortran, memory_budget=1) == (n_pieces * 2304, 1820 * 8)
    assert reads_of("shuffle_once", fortran, memory_budget=1) == (n_pieces * 2304, 400_000 * 8)


@pytest.mark.parametrize(
    ("axes", "shape", "models", "hint"),
    [
        ({"l2": [n / 100 for n in range(90)]}, SMALL, "90 models side by side", "take fewer cells"),
        ({}, SMALL, "1 model", BUDGET),
        (
            {"l2": [0.0, 0.1]},
            replace(SMALL, n_features=20_000),
            "2 models side by side",
            "lower run.memory_budget",
        ),
    ],
)
def test_what_does_not_fit_into_memory_is_refused(monkeypatch, axes, shape, models, hint):
    works = assign_memory(make_plan(cells_of(**axes), shape, AUTO, 1).passes, shape, AUTO)
    needed = memory_bytes(works[0], shape)
    monkeypatch.setattr("sgdlab.system.machine.free_memory_bytes", lambda: needed)
    check_memory(works, shape)
    monkeypatch.setattr("sgdlab.system.machine.free_memory_bytes", lambda: needed - 1)
    with pytest.raises(StorageError) as caught:
        check_memory(works, shape)
    assert str(caught.value) == (
        f"memory: training {models} takes about {needed / 1e9:.3g} GB; "
        f"expected at most {(needed - 1) / 1e9:.3g} GB of free memory ({hint})"
    )


def test_the_pass_that_needs_most_decides(monkeypatch):
    cells = cells_of(precision=["float32", "float64"])
    works = assign_memory(make_plan(cells, SMALL, AUTO, 1).passes, SMALL, AUTO)
    sizes = sorted(memory_bytes(work, SMALL) for work in works)
    monkeypatch.setattr("sgdlab.system.machine.free_memory_bytes", lambda: sizes[0])
    check_memory([min(works, key=lambda work: memory_bytes(work, SMALL))], SMALL)
    with pytest.raises(StorageError, match="training 1 model"):
        check_memory(works, SMALL)
