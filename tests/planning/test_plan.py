"""A plan's log, and plans that are none."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgdlab.planning.making import make_plan
from sgdlab.planning.plan import Plan
from tests.planning.cells import AUTO, SMALL, cells_of, fixed_seed, some_axes, some_runs


def test_a_window_that_cuts_a_batch_is_no_plan():
    log = make_plan(cells_of(), SMALL, AUTO, threads=1).to_log()
    log[0]["blocks"][0]["window_rows"] = 25  # of batches of 10
    with pytest.raises(ValueError, match="windows of 25 rows cut batches"):
        Plan.from_log(log, cells_of())


@fixed_seed
@given(some_axes, some_runs, st.integers(1, 4))
def test_a_plan_survives_its_log(axes, run, threads):
    cells = cells_of(**axes)
    plan = make_plan(cells, SMALL, run, threads)
    log = json.loads(json.dumps(plan.to_log(), allow_nan=False))
    assert Plan.from_log(log, cells) == plan
