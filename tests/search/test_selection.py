"""Which cell is taken, and which come near it."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sgdlab.search.selection import rank, select, within_one_standard_error
from tests.runs.test_cell_log import diverged, replicate, result


def cells_of(losses, settings):
    """Cells with given losses of three folds, L2, learning rate and epochs."""
    made = []
    for index, (of_folds, (l2, rate, epochs)) in enumerate(zip(losses, settings, strict=True)):
        folds = [replicate(0, loss, fold=fold) for fold, loss in enumerate(of_folds)]
        cell = result(index, *folds)
        train = cell.cell.train.model_copy(
            update={"l2": l2, "learning_rate": rate, "epochs": epochs}
        )
        made.append(type(cell)(type(cell.cell)(index, train), cell.replicates))
    return made


LOSSES = st.lists(st.floats(0.5, 2.0), min_size=3, max_size=3)
SETTINGS = st.tuples(
    st.sampled_from([0.0, 0.1, 1.0]), st.sampled_from([0.1, 0.2]), st.sampled_from([2, 4])
)


@given(st.lists(st.tuples(LOSSES, SETTINGS), min_size=1, max_size=12))
@settings(max_examples=200)
def test_one_standard_error_takes_the_simplest_of_the_near_ones(pairs):
    cells = cells_of(*zip(*pairs, strict=True))
    means = [float(np.mean(losses)) for losses, _ in pairs]
    best = means.index(min(means))
    limit = means[best] + float(np.std(pairs[best][0], ddof=1)) / math.sqrt(3)
    simplest = None
    for n, (_, (l2, rate, epochs)) in enumerate(pairs):
        if means[n] <= limit:
            rival = (-l2, rate * epochs, means[n], n)
            simplest = rival if simplest is None else min(simplest, rival)
    assert select(cells, "half_mse", "one_standard_error").cell.index == simplest[3]
    assert select(cells, "half_mse", "minimum").cell.index == best


def test_a_cell_that_diverged_in_one_fold_is_never_near():
    good = [replicate(0, loss, fold=fold) for fold, loss in enumerate((1.0, 9.0))]
    broken = [replicate(0, 1.0, fold=0), diverged(0)]
    broken[1] = type(broken[1])(**(vars(broken[1]) | {"fold": 1}))
    cells = [result(0, *good), result(1, *broken)]
    assert cells[1].status == "diverged"
    assert [each.cell.index for each in within_one_standard_error(cells, "half_mse")] == [0]
    assert [each.cell.index for each in rank(cells, "half_mse")] == [0, 1]
