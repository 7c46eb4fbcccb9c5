"""One cell's result: means over replicates, ranking, log and table row."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from sgdlab.config.grid import Cell
from sgdlab.config.model import Train
from sgdlab.engine.running_block import Outcome
from sgdlab.errors import NothingToSelectError
from sgdlab.optim.losses import Losses
from sgdlab.runs.cell_log import CellResult
from sgdlab.runs.replicate_log import ReplicateResult, replicate_result
from sgdlab.search.selection import rank, select
from sgdlab.search.table import csv_bytes, result_row
from sgdlab.system import strict_json

ORIGIN = "0" * 64


def replicate(number=0, loss=2.0, mae=1.5, fold=None):
    return ReplicateResult(
        replicate=number,
        fold=fold,
        status="completed",
        epochs=3,
        running_loss=2.5,
        train_loss=1.9,
        validation_loss=loss,
        validation_loss_regularized=loss + 0.25,
        validation_mae=mae,
        bias=0.1,
        weights_squared_norm=5.0,
        weights_sha256="0" * 64,
        reason=None,
        history={
            "running_loss": [4.0, 3.0, 2.5],
            "validation_loss": [3.0, 2.5, loss],
            "validation_mae": [2.0, 1.8, mae],
        },
    )


def diverged(number=0):
    unknown = dict.fromkeys(
        (
            "validation_loss",
            "validation_loss_regularized",
            "validation_mae",
            "train_loss",
            "bias",
            "weights_squared_norm",
            "weights_sha256",
        )
    )
    return replace(replicate(number), status="diverged", reason="too large", **unknown)


def result(index, *replicates, **values):
    train = Train(**{"batch_size": 10, "learning_rate": 0.1, "epochs": 3, "l2": 0.1} | values)
    return CellResult(Cell(index, train), replicates or (replicate(),))


def test_numbers_are_means_over_replicates_with_a_standard_error():
    three = result(0, *(replicate(n, loss) for n, loss in enumerate((1.0, 2.0, 6.0))))
    assert three.mean("validation_loss") == pytest.approx(3.0)
    # variance of 1, 2, 6 with divisor 2 is 7
    assert three.standard_error("validation_loss") == pytest.approx(math.sqrt(7 / 3))
    assert math.isnan(result(0).standard_error("validation_loss"))


def test_one_diverged_replicate_makes_the_cell_diverged():
    mixed = result(0, replicate(0), diverged())
    assert mixed.status == "diverged"
    assert math.isnan(mixed.mean("validation_loss"))


def test_rank_is_by_metric_with_ties_to_the_earlier_cell_and_diverged_last():
    cells = [
        result(0, diverged()),
        result(1, replicate(loss=2.0, mae=0.5)),
        result(2, replicate(loss=1.0, mae=0.7)),
        result(3, replicate(loss=1.0, mae=0.6)),
    ]
    assert [each.cell.index for each in rank(cells, "half_mse")] == [2, 3, 1, 0]
    assert [each.cell.index for each in rank(cells, "mae")] == [1, 3, 2, 0]
    assert select(cells, "mae", "minimum").cell.index == 1


def test_nothing_can_be_selected_where_all_diverged():
    with pytest.raises(NothingToSelectError, match="all 2 cells diverged"):
        select([result(0, diverged()), result(1, diverged())], "half_mse", "minimum")


@pytest.mark.parametrize(
    ("l2", "weight", "penalty"),  # of three weights
    [
        (0.0, 1e200, 0.0),
        (1e-290, 1e180, 1.5e70),
        (5e-324, 1e170, None),  # whatever half of the smallest number is
        (1e300, 1e-180, 1.5e-60),
        (1.0, 1e-200, 0.0),
        (0.1, 1e200, np.inf),
        (0.5, 2.0, 3.0),
    ],
)
def test_l2_times_a_norm_that_is_out_of_range(l2, weight, penalty):
    penalty = 1.5 * (l2 * 1e170) * 1e170 if penalty is None else penalty
    history = np.full(1, 1e-65)
    outcome = Outcome(0, 0, "completed", 1, history, history, history, 1.0, 0.0, np.full(3, weight))
    cell = result(0, l2=l2, epochs=1).cell
    found = CellResult(cell, (replicate_result(outcome, cell),))
    read = CellResult.from_log(json.loads(strict_json.encode(found.to_log(False, ORIGIN))))
    regularized = read.replicates[0].validation_loss_regularized
    if penalty == np.inf:
        assert regularized is None
        assert not math.isfinite(read.penalty)
    else:
        assert regularized == pytest.approx(1e-65 + penalty, rel=1e-12, abs=0)
        assert read.penalty == pytest.approx(penalty, rel=1e-12, abs=1e-80)


@pytest.mark.parametrize("replicates", [(replicate(),), (replicate(0), diverged(1))])
def test_log_round_trip(replicates):
    cell = result(17, *replicates, replicates=len(replicates))
    log = json.loads(strict_json.encode(cell.to_log(is_synthetic=True, origin=ORIGIN)))
    assert log["synthetic"] is True
    assert log["cell"] == "0017"
    assert CellResult.from_log(log) == cell


def test_row_has_losses_of_every_kind_and_empty_test_columns_where_not_evaluated():
    row = result_row(result(3), ["learning_rate", "order"], None)
    assert list(row)[:7] == [
        "cell", "status", "batch_size", "learning_rate", "epochs", "l2", "order",
    ]  # fmt: skip
    assert row["validation_rmse"] == pytest.approx(2.0)  # sqrt(2 * 2.0)
    assert row["test_loss"] is None
    with_test = result_row(result(3), [], Losses(8.0, 3.0))
    assert with_test["test_rmse"] == pytest.approx(4.0)
    assert with_test["test_loss_regularized"] == pytest.approx(8.25)
    assert with_test["test_mae"] == 3.0


def test_csv_has_empty_fields_for_what_is_not_known():
    content = csv_bytes([{"a": 1, "b": None}, {"a": -2.5, "b": 1e-7}])
    assert content == b"a,b\n1,\n-2.5,1e-07\n"


@pytest.mark.parametrize("epochs", [1, 3])
@pytest.mark.parametrize("order", ["with_replacement", "shuffle_each_epoch"])
def test_a_fold_that_saw_none_of_its_rows_in_an_epoch_has_no_running_loss(order, epochs):
    running = np.full(epochs, 2.0)
    running[-1] = np.nan
    losses = (running, np.ones(epochs), np.ones(epochs))
    cell = result(0, order=order, epochs=epochs).cell
    outcome = Outcome(0, 0, "completed", epochs, *losses, 1.0, 0.0, np.ones(2), 0)
    found = CellResult(cell, (replicate_result(outcome, cell),))
    log = json.loads(strict_json.encode(found.to_log(False, ORIGIN)))
    if order == "with_replacement":
        assert CellResult.from_log(log).replicates[0].running_loss is None
    else:
        with pytest.raises(ValueError, match=r"running_loss: null before the end"):
            CellResult.from_log(log)
