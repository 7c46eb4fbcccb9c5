"""Plans that are made are sound; what nobody plans is refused."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgdlab.planning.making import make_plan
from sgdlab.planning.plan import Plan, Stop
from sgdlab.planning.soundness import check_sound
from tests.planning.cells import AUTO, FACES, SMALL, cells_of, fixed_seed, some_axes, some_runs


@fixed_seed
@given(some_axes, some_runs, st.sampled_from([SMALL, FACES]), st.sampled_from([None, 3]))
def test_plans_that_are_made_are_sound(axes, run, shape, folds):
    cells = cells_of(**axes)
    check_sound(make_plan(cells, replace(shape, folds=folds), run, 4), cells)


CELLS = cells_of(
    batch_size=[2, 64],
    epochs=[1, 2],
    optimizer=["sgd", "adam"],
    order=["in_order", "shuffle_once"],
    schedule=["constant", "cosine"],
)


def changed(plan, n=0, **values):
    """The plan with other values of the first block of a pass."""
    one_pass = plan.passes[n]
    block = replace(one_pass.blocks[0], **values)
    blocks = (block, *one_pass.blocks[1:])
    return Plan((*plan.passes[:n], replace(one_pass, blocks=blocks), *plan.passes[n + 1 :]))


def together(plan, first, second):
    """The plan with the trajectories of two blocks in one."""
    trajectories = first.trajectories + second.trajectories
    return changed(plan, trajectories=trajectories)


def block_of(plan, **train):
    for block in plan.blocks:
        if all(getattr(block.trajectories[0].train, key) == train[key] for key in train):
            return block
    raise AssertionError(f"no block of {train}")


PLAN = make_plan(CELLS, SMALL, AUTO, 1)
FIRST = PLAN.blocks[0]
OTHER_ORDER = block_of(PLAN, order="shuffle_once")
ADAM, SGD = block_of(PLAN, optimizer="adam"), block_of(PLAN, optimizer="sgd")
LONG = next(t for block in PLAN.blocks for t in block.trajectories if len(t.stops) > 1)
COSINE = next(
    t for block in PLAN.blocks for t in block.trajectories if t.train.schedule == "cosine"
)
UNSOUND = {
    "chunk_rows": Plan((replace(PLAN.passes[0], chunk_rows=10**8), *PLAN.passes[1:])),
    "blocks.index": changed(PLAN, 1, index=0),
    "blocks.fold": Plan(
        (replace(PLAN.passes[0], blocks=(FIRST, replace(FIRST, fold=1, index=1))),)
    ),
    "of different orders": together(PLAN, FIRST, OTHER_ORDER),
    "of different losses or optimizers": together(PLAN, SGD, ADAM),
    "blocks.window_rows": changed(PLAN, window_rows=64 * 10**7),
    "by ascending epochs": changed(
        PLAN, trajectories=(replace(LONG, stops=LONG.stops[::-1]),), window_rows=None
    ),
    "schedules differ": changed(
        PLAN, trajectories=(replace(COSINE, stops=(Stop(1, 0), *COSINE.stops[:0], Stop(2, 1))),)
    ),
    "more than epochs differs": changed(
        PLAN,
        trajectories=(replace(LONG, stops=(Stop(1, len(CELLS) - 2), LONG.stops[-1])),),
        window_rows=None,
    ),
}


@pytest.mark.parametrize("why", UNSOUND)
def test_what_nobody_plans_is_refused(why):
    check_sound(PLAN, CELLS)
    with pytest.raises(ValueError, match=why):
        check_sound(UNSOUND[why], CELLS)


def test_windows_of_an_optimizer_that_has_none_are_refused():
    cells = cells_of(optimizer=["adam"])
    plan = make_plan(cells, SMALL, AUTO, 1)
    with pytest.raises(ValueError, match=r"blocks\.window_rows: 100 of such trajectories"):
        check_sound(changed(plan, window_rows=100), cells)
