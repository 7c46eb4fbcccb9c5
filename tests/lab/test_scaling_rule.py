"""Batch size times k, against plain loops and closed forms."""

import csv
import io
import itertools
import json
import math
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from sgdlab import workflows
from sgdlab.config.model import Train
from sgdlab.lab.scaling_rule.design import Base, ScalingOptions, Variant
from sgdlab.lab.scaling_rule.measure import distance_between
from sgdlab.lab.scaling_rule.tuning import best_rates, learning_rates, tune
from tests.oracles.reference import plain_sgd

N_ROWS = 96  # of 104, since 4 rows times k = 4 divide these
OPTIONS = ScalingOptions((1, 2, 4), replicates=4, epochs=3, batch_size=4, learning_rate=0.004)
USUAL = {"order": "shuffle_each_epoch", "l2": 0.01, "initial_bias": 0.1, "seed": 5}


@pytest.fixture
def config(write_config):
    return write_config("scaled", train=USUAL)


@pytest.fixture
def result(config):
    return workflows.scaling_rule(config, options=OPTIONS).result


def rows_of(result, budget, rule):
    return [each for each in result.scaled if (each.budget, each.rule) == (budget, rule)]


def test_every_figure_equals_plain_loops(result, arrays):
    X, y = arrays["Xtr"], arrays["ytr"]

    def models(batch_size, learning_rate, epochs):
        train = Train(batch_size=batch_size, learning_rate=learning_rate, epochs=epochs, **USUAL)
        found = [plain_sgd(train, X[:N_ROWS], y[:N_ROWS], X[104:], y[104:], r) for r in range(4)]
        losses = np.array([each.validation[-1] for each in found])
        return losses, np.array([[*each.weights, each.bias] for each in found])

    losses, weights = models(4, 0.004, 3)
    pairs = itertools.combinations(weights, 2)
    unit = np.mean([np.linalg.norm(one - other) for one, other in pairs])
    multiples = {"x k": lambda k: k, "x sqrt k": lambda k: k**0.5, "x 1": lambda k: 1}
    assert len(result.scaled) == 2 * 2 * 3
    for each in result.scaled:
        epochs = 3 if each.budget == "epochs" else 3 * each.factor
        rate = 0.004 * multiples[each.rule](each.factor)
        of_rule, models_of_rule = models(4 * each.factor, rate, epochs)
        gaps = of_rule - losses
        assert each.difference.value == pytest.approx(gaps.mean(), rel=1e-8)
        assert each.difference.standard_error == pytest.approx(gaps.std(ddof=1) / 2, rel=1e-8)
        distance = np.mean(np.linalg.norm(models_of_rule - weights, axis=1)) / unit
        assert each.distance == pytest.approx(distance, rel=1e-8)


def test_the_rule_that_keeps_to_the_path_depends_on_the_budget(result):
    assert result.closest_rules("epochs") == {2: "x k", 4: "x k"}
    assert result.closest_rules("steps") == {2: "x 1", 4: "x 1"}


def test_budgets_count_updates(result):
    assert (result.base.n_rows, result.base.n_left_out) == (N_ROWS, 8)
    updates_of_base = 3 * len(range(0, N_ROWS, 4))
    for each in result.scaled:
        updates = sum(len(range(0, N_ROWS, each.batch_size)) for _ in range(each.epochs))
        assert each.n_steps == updates
        if each.budget == "steps":
            assert updates == updates_of_base
        else:
            assert each.epochs == 3


def test_at_k_1_all_rules_and_budgets_are_one_training(result):
    rate = result.base.train.learning_rate
    trains = [Variant(budget, 1, rate).train(result.base) for budget in ("epochs", "steps")]
    assert trains[0] == trains[1] == result.base.train
    config_rates = {each.learning_rate for each in rows_of(result, "epochs", "x 1")}
    assert config_rates == {rate}


def test_a_rule_breaks_where_the_curvature_says(config, arrays):
    X = np.column_stack([arrays["Xtr"][:N_ROWS], np.ones(N_ROWS)])
    limit = 2 / (np.linalg.eigvalsh(X.T @ X / N_ROWS)[-1] + 0.01)
    options = ScalingOptions((1, 8), 3, 60, 2, learning_rate=0.2 * limit)
    found = workflows.scaling_rule(config, options=options)
    result = found.result
    assert result.base.limit == pytest.approx(limit, rel=1e-9)
    assert result.base.breaks_beyond("x k") == pytest.approx(5)
    assert result.base.breaks_beyond("x sqrt k") == pytest.approx(25)
    assert result.base.breaks_beyond("x 1") == math.inf
    for each in result.scaled:
        if each.rule == "x k":
            assert each.share_of_limit == pytest.approx(1.6)
            assert 1 < each.diverged_epoch < 60
            assert math.isnan(each.difference.value)
        else:
            assert each.diverged_epoch is None
    from sgdlab.lab.scaling_rule import report

    row = next(row for row in report.rows(found) if row["rule"] == "x k")
    assert row["validation_loss_difference"] is row["distance"] is None
    assert any("times k at k = 8" in sentence for sentence in report.sentences(result))


def test_the_usual_learning_rate_is_small_and_the_largest_batch_is_the_configs(config):
    result = workflows.scaling_rule(config, options=ScalingOptions((1, 2), replicates=2)).result
    assert result.base.train.batch_size == 5
    assert result.base.train.learning_rate == pytest.approx(result.base.limit / 20)
    assert max(each.share_of_limit for each in result.scaled) == pytest.approx(0.1)


def test_distance_between_replicates():
    corners = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
    assert distance_between(corners) == pytest.approx((3 + 4 + 5) / 3)


def test_best_rates_are_the_grids_own():
    rates = learning_rates(limit=2.0)
    assert (rates[0], rates[-1]) == (pytest.approx(2 / 64), pytest.approx(2 * 2 ** (1 / 3)))
    assert len(rates) == 20  # a third of a doubling from one to the next
    losses = 7 + np.log(rates / np.array([[0.31], [0.8]])) ** 2
    nearest = [rates[np.argmin(np.abs(np.log(rates / bottom)))] for bottom in (0.31, 0.8)]
    assert best_rates(losses, rates).tolist() == nearest
    losses[:, 12] = 1e9  # a neighbour that explodes draws nothing to itself
    losses[:, 13:] = np.nan  # diverged
    assert best_rates(losses, rates).tolist() == [nearest[0], rates[11]]
    assert np.isnan(best_rates(np.full((1, 20), np.nan), rates)).all()


def test_an_exponent_is_not_fitted_to_rates_on_the_edge():
    base = Base(Train(batch_size=2, learning_rate=0.01, epochs=1), 96, 0, 1.0)
    rates = learning_rates(base.limit)
    outcomes = {
        Variant("steps", k, rate): [SimpleNamespace(validation_loss=rate * k)] * 3
        for k in (1, 2)
        for rate in rates.tolist()
    }
    tuning = tune(base, "steps", (1, 2), rates, outcomes)
    assert all(each.is_on_edge for each in tuning.rates)
    assert np.isnan([tuning.exponent, tuning.low, tuning.high]).all()


def test_replicates_that_end_alike_are_no_measure(sgdlab, config, data_dir, arrays):
    np.save(data_dir / "ytr.npy", np.zeros(len(arrays["ytr"])))
    code, out, err = sgdlab(config, *FEW, "-S", "train.initial_bias=0", "-q")
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert "k = 1: all replicates end alike" in err


def test_tuning_recovers_a_power_law_within_its_interval():
    rng = np.random.default_rng(3)
    base = Base(Train(batch_size=2, learning_rate=0.01, epochs=1), 96, 0, 1.0)
    rates, factors = learning_rates(base.limit), (1, 2, 4)
    bottoms = {k: 0.3 * k**0.6 * np.exp(0.1 * rng.standard_normal(12)) for k in factors}
    outcomes = {
        Variant("steps", k, rate): [
            SimpleNamespace(validation_loss=5 + np.log(rate / bottom) ** 2) for bottom in bottoms[k]
        ]
        for k in factors
        for rate in rates.tolist()
    }
    tuning = tune(base, "steps", factors, rates, outcomes)
    # The mean of parabolas is a parabola at the mean of their bottoms; half a step to either side.
    expected = [np.exp(np.mean(np.log(bottoms[k]))) for k in factors]
    found = np.log([each.learning_rate for each in tuning.rates])
    assert np.abs(found - np.log(expected)).max() <= math.log(2) / 6 + 1e-9
    assert [each.batch_size for each in tuning.rates] == [2, 4, 8]
    assert tuning.low < 0.6 < tuning.high
    # 3 points are known to a third of a doubling, that is with a spread of it over sqrt(12), and to
    # twice that where resampled replicates choose between two rates.
    error = math.log(2) / 3 / math.sqrt(12) / (math.log(2) * math.sqrt(2))
    assert 0.9 < (tuning.high - tuning.low) / (2 * 1.96 * error) < 2


@pytest.fixture
def sgdlab(sgdlab):
    """Runs ``scaling-rule``."""
    return partial(sgdlab, "scaling-rule")


FEW = ("--factors", "1,2", "--replicates", "3", "--epochs", "2")


def test_the_command_prints_a_table_a_document_and_rows(sgdlab, config):
    code, out, err = sgdlab(config, *FEW)
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    text = " ".join(out.split())
    assert "At equal epochs the claim" in text
    assert "At equal steps the claim" in text
    assert "100 rows to train, the last 4 left out" in text
    code, out, _ = sgdlab(config, *FEW, "--format", "json")
    document = json.loads(out, parse_constant=pytest.fail)
    assert document["n_rows"] == 100
    assert document["n_rows_left_out"] == 4
    assert document["closest"]["epochs"]["2"] in ("x k", "x sqrt k", "x 1")
    assert len(document["scaled"]) == 6
    code, out, _ = sgdlab(config, *FEW, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["rule"] for row in rows][:3] == ["x k", "x sqrt k", "x 1"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--factors", "2,4"], "--factors: 2,4; expected 1 and larger whole numbers, ascending"),
        (["--factors", "1,1.5"], "--factors': '1,1.5'; expected whole numbers"),
        (["--factors", "1,x"], "--factors': '1,x'; expected whole numbers"),
        (
            ["--factors", "1,64", "--batch-size", "10"],
            "--factors: batches of up to 640 rows, 104 to train; expected fewer (give smaller "
            "ones, or --batch-size)",
        ),
        (["--replicates", "1"], "--replicates"),
        (["--learning-rate", "0"], "--learning-rate 0.0: no step size; expected a positive number"),
        (["--learning-rate", "nan"], "--learning-rate nan: no step size; expected a positive"),
        (["-S", "train.loss=huber"], "train.loss: huber; expected squared"),
        (["-S", "train.schedule=cosine"], "train.schedule: cosine; expected constant"),
        (
            ["-S", "train.order=in_order"],
            "train.order: in_order, where all replicates are equal; expected another (set "
            "train.order to shuffle_once)",
        ),
        (["-S", "grid.l2=[0,1]"], "2 cells; expected one"),
    ],
)
def test_bad_values_are_one_line(sgdlab, write_config, arguments, message):
    code, out, err = sgdlab(write_config("bad"), *arguments)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert message in err
