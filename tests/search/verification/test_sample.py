"""Blocks of a few cells alone: which, and what is compared then."""

import pytest

from sgdlab import workflows
from sgdlab.planning.making import make_plan
from sgdlab.planning.plan import Plan
from sgdlab.search.verification.sample import share_of
from tests.planning.cells import AUTO, SMALL, cells_of
from tests.search.verification.altered import change
from tests.search.verification.test_altered import put_back

CELLS = cells_of(l2=[0.1 * n for n in range(12)])
ONE_EACH = AUTO.model_copy(update={"trajectories_per_block": 1})


def shared(best, n_cells, seed=0, run=ONE_EACH, shape=SMALL):
    plan = make_plan(CELLS, shape, run, 1)
    return plan, share_of(CELLS, best, [plan, Plan(())], n_cells, seed)


@pytest.mark.parametrize("n_cells", [None, 12, 13, 10**9])
def test_all_cells_are_no_sample(n_cells):
    plan, share = shared("0003", n_cells)
    assert share.drawn is None
    assert share.passes == plan.passes


@pytest.mark.parametrize("best", ["0000", "0007", "0011"])
@pytest.mark.parametrize("n_cells", [1, 2, 5, 11])
def test_the_best_is_in_every_sample_and_its_blocks_are_those_of_its_cells(best, n_cells):
    plan, share = shared(best, n_cells)
    names = [cell.name for cell in share.drawn]
    assert best in names
    assert names == sorted(set(names))
    assert len(names) == n_cells
    blocks = [block for one_pass in share.passes for block in one_pass.blocks]
    assert blocks == [
        block for block in plan.blocks if CELLS[block.trajectories[0].stops[0].cell] in share.drawn
    ]


def test_a_block_is_trained_as_a_whole():
    plan, share = shared("0003", 1, run=AUTO)
    assert share.passes == plan.passes
    assert [cell.name for cell in share.drawn] == ["0003"]


def test_a_seed_says_which_cells_and_a_larger_sample_has_those_of_a_smaller():
    drawn = {seed: shared("0003", 4, seed)[1].drawn for seed in range(20)}
    assert drawn[5] == shared("0003", 4, 5)[1].drawn
    assert len(set(drawn.values())) > 10
    assert set().union(*drawn.values()) == set(CELLS)
    assert set(drawn[5]) < set(shared("0003", 7, 5)[1].drawn)


def test_without_a_best_cell_all_are_drawn():
    drawn = {shared(None, 1, seed)[1].drawn[0].name for seed in range(40)}
    assert len(drawn) > 8


def test_folds_and_replicates_are_trained_of_every_cell_that_is_drawn(run_of, verify):
    sample = verify(run_of("folds"), sample=1).sample
    assert (sample.n_executed, len(sample.drawn)) == (2, 1)


@pytest.mark.parametrize("extent", ["best", "all"])
def test_numbers_of_other_blocks_are_not_looked_at(extent, run_of, verify):
    """Every cell has a block of its own."""
    run = run_of("blocks", extent)
    best = int(run.experiment().best)
    result = verify(run, sample=1)
    assert result.sample.drawn == (f"{best:04d}",)
    assert (result.sample.n_executed, result.n_cells) == (1, 3)
    for cell in range(3):
        with put_back(run, run.cell_file(cell)):
            change(run.cell_file(cell), ("replicates", 0, "history", "running_loss", 0))
            assert verify(run, sample=1).is_same == (cell != best)
            assert not verify(run).is_same


def test_a_larger_sample_finds_more(run_of, verify):
    run = run_of("blocks")
    names = verify(run, sample=2, seed=3).sample.drawn
    other = next(int(name) for name in names if name != run.experiment().best)
    change(run.cell_file(other), ("replicates", 0, "history", "running_loss", 0))
    assert verify(run, sample=2, seed=3).mismatch.place.cell == f"{other:04d}"


def test_test_losses_that_were_measured_together_need_all_weights(write_config, tmp_path, verify):
    config = write_config(
        grid={"learning_rate": [0.01, 0.02, 0.05]}, run={"trajectories_per_block": 1}
    )
    options = workflows.SearchOptions(tmp_path / "runs", test_losses="all")
    run = workflows.grid_search(config, options=options).directory
    sampled = verify(run, sample=1)
    assert sampled.is_same
    [remark] = sampled.remarks
    assert "test losses are not compared" in remark
    assert verify(run).remarks == ()
    place = ("test_losses", run.experiment().best, "mae")
    change(run.experiment_file, place)
    assert verify(run, sample=1).is_same
    assert verify(run).mismatch.place.quantity == ".".join(place)
