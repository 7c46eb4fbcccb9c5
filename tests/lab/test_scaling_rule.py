"""Batch size times k, against plain loops and closed forms."""

import csv
import io
import itertools
import json
import math
from functools import partial

import numpy as np
import pytest

from sgdlab import workflows
from sgdlab.config.model import Train
from sgdlab.lab.scaling_rule import report
from sgdlab.lab.scaling_rule.design import ScalingOptions, Variant
from sgdlab.lab.scaling_rule.tuning import best_rates, learning_rates
from tests.oracles.reference import plain_sgd

N_ROWS = 96  # of 104, since 4 rows times k = 4 divide these
OPTIONS = ScalingOptions((1, 2, 4), replicates=12, epochs=3, batch_size=4, learning_rate=0.004)
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

    def models(batch_size, learning_rate, epochs, replicates):
        train = Train(batch_size=batch_size, learning_rate=learning_rate, epochs=epochs, **USUAL)
        parts = X[:N_ROWS], y[:N_ROWS], X[104:], y[104:]
        found = [plain_sgd(train, *parts, replicate) for replicate in replicates]
        losses = np.array([each.validation[-1] for each in found])
        return losses, np.array([[*each.weights, each.bias] for each in found])

    def mean(one, other, i_and_j):
        return np.mean([np.linalg.norm(one[i] - other[j]) for i, j in i_and_j])

    n = OPTIONS.replicates
    losses, paired = models(4, 0.004, 3, range(n))
    _, independent = models(4, 0.004, 3, range(n, 2 * n))
    pairs = list(itertools.permutations(range(n), 2))
    own = mean(paired, paired, pairs)
    unit = (own + mean(independent, independent, pairs)) / 2
    assert result.spread == pytest.approx(unit, rel=1e-8)
    multiples = {"x k": lambda k: k, "x sqrt k": lambda k: k**0.5, "x 1": lambda k: 1}
    assert len(result.scaled) == 2 * 2 * 3
    for each in result.scaled:
        epochs = 3 if each.budget == "epochs" else 3 * each.factor
        rate = 0.004 * multiples[each.rule](each.factor)
        of_rule, others = models(4 * each.factor, rate, epochs, range(n))
        gaps = of_rule - losses
        assert each.difference.value == pytest.approx(gaps.mean(), rel=1e-8)
        assert each.difference.standard_error == pytest.approx(
            gaps.std(ddof=1) / math.sqrt(n), rel=1e-8
        )
        energy = (
            2 * mean(independent, others, pairs)
            - mean(independent, independent, pairs)
            - mean(others, others, pairs)
        )
        law = each.against_one
        assert law.distance.value == pytest.approx(energy / unit, rel=1e-6)
        assert law.change.value == pytest.approx(mean(others, others, pairs) / own - 1, rel=1e-6)
        squared = np.mean([(others - paired)[i] @ (others - paired)[j] for i, j in pairs])
        assert law.shift.value == pytest.approx(math.sqrt(max(squared, 0)) / unit, rel=1e-6)


def test_the_rule_that_keeps_to_the_path_depends_on_the_budget(result):
    assert set(result.verdicts("epochs", "x 1").values()) == {"fails"}
    assert set(result.verdicts("steps", "x k").values()) == {"fails"}
    moved = {
        (each.budget, each.rule): each.against_one.shift.value
        for each in result.scaled
        if each.factor == 4
    }
    assert 2 * moved["epochs", "x k"] < moved["epochs", "x sqrt k"] < moved["epochs", "x 1"]
    assert 2 * moved["steps", "x 1"] < moved["steps", "x sqrt k"] < moved["steps", "x k"]


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
    options = ScalingOptions((1, 8), 4, 60, 2, learning_rate=0.2 * limit)
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
            assert (each.n_diverged, each.verdict) == (4, "diverged")
            assert each.difference is each.against_one is None
        else:
            assert (each.n_diverged, each.diverged_epoch) == (0, None)
    row = next(row for row in report.rows(found) if row["rule"] == "x k")
    assert row["validation_loss_difference"] is row["distance"] is row["p"] is None
    said = " ".join(report.sentences(result))
    assert said.count("breaks down at k = 8: 4 of 4 replicates diverge") == 2
    assert "diverged here: times k at k = 8." in said


def test_the_usual_learning_rate_is_small_and_the_largest_batch_is_the_configs(config):
    result = workflows.scaling_rule(config, options=ScalingOptions((1, 2), replicates=4)).result
    assert result.base.train.batch_size == 5
    assert result.base.train.learning_rate == pytest.approx(result.base.limit / 20)
    assert max(each.share_of_limit for each in result.scaled) == pytest.approx(0.1)


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


@pytest.fixture
def sgdlab(sgdlab):
    """Runs ``scaling-rule``."""
    return partial(sgdlab, "scaling-rule")


FEW = ("--factors", "1,2", "--replicates", "4", "--epochs", "2")


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
    assert document["verdicts"]["epochs"]["x k"] == {"2": "unclear"}  # with 4 replicates
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
        (["--replicates", "3"], "--replicates"),
        (["--margin", "0"], "--margin 0.0: no margin; expected a positive number"),
        (["--margin", "nan"], "--margin nan: no margin; expected a positive number"),
        (["--learning-rate", "0"], "--learning-rate 0.0: no step size; expected a positive number"),
        (["--learning-rate", "nan"], "--learning-rate nan: no step size; expected a positive"),
        (["-S", "train.loss=huber"], "train.loss: huber; expected squared"),
        (["-S", "train.schedule=cosine"], "train.schedule: cosine; expected constant"),
        (["-S", "grid.l2=[0,1]"], "2 cells; expected one"),
    ],
)
def test_bad_values_are_one_line(sgdlab, write_config, arguments, message):
    code, out, err = sgdlab(write_config("bad"), *arguments)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert message in err


@pytest.mark.parametrize("share", [1.3, 40.0])
def test_k_1_that_diverges_is_a_plain_sentence(sgdlab, config, result, share):
    rate = str(share * result.base.limit)
    code, out, err = sgdlab(config, *FEW, "--epochs", "60", "--learning-rate", rate, "-q")
    assert (code, out, err.count("\n")) == (5, "", 1)
    assert "k = 1: 8 of 8 replicates diverged, the first in epoch " in err
    assert " times the stability limit); expected a training to compare with" in err
    assert err.endswith("(give a smaller --learning-rate)\n")


@pytest.mark.parametrize("extra", [(), ("-S", "train.l2=0.3"), ("-S", "train.precision=float32")])
def test_without_chance_models_are_compared_exactly(sgdlab, config, arrays, extra):
    few = ("--factors", "1,2", "--epochs", "2", "--batch-size", "5", "--learning-rate", "0.01")
    order = ("-S", "train.order=in_order")
    code, out, _ = sgdlab(config, *few, *order, *extra, "-q", "--format", "json")
    document = json.loads(out, parse_constant=pytest.fail)
    assert (code, document["spread"]) == (0, 0)
    train = Train(**document["base"]).model_copy(update={"replicates": 1})
    parts = [
        arrays[name][some] for some in (slice(100), slice(104, None)) for name in ("Xtr", "ytr")
    ]
    at_one = plain_sgd(train, *parts)
    for row in document["scaled"]:
        changes = {name: row[name] for name in ("batch_size", "learning_rate", "epochs")}
        of_rule = plain_sgd(train.model_copy(update=changes), *parts)
        start = train.initial_bias
        one, other = ([*found.weights, found.bias - start] for found in (at_one, of_rule))
        apart = np.linalg.norm(np.subtract(one, other)) / np.linalg.norm(one)
        tolerance = 1e-3 if "float32" in str(extra) else 1e-8
        assert row["apart"] == pytest.approx(apart, rel=tolerance)
        assert row["verdict"] == "differs"
        assert row["p"] is row["distance"] is row["replicates_to_tell"] is None
    assert all(
        "does not hold exactly at k = 2: without chance" in said
        for said in document["conclusions"][:2]
    )
    code, out, err = sgdlab(config, *few, *order, *extra)
    assert (code, err) == (0, "")
    assert "nan" not in out


@pytest.mark.parametrize("kind", ["targets of 0", "one row again and again"])
def test_replicates_that_end_alike_have_no_spread_but_rounding(sgdlab, config, data_dir, kind):
    for part in ("tr", "te"):
        X, y = (np.load(data_dir / f"{name}{part}.npy") for name in "Xy")
        if kind == "targets of 0":
            y[:] = 0
        else:
            X[:], y[:] = X[0], y[0]
        np.save(data_dir / f"X{part}.npy", X)
        np.save(data_dir / f"y{part}.npy", y)
    code, out, _ = sgdlab(config, *FEW, "-S", "train.initial_bias=0", "-q", "--format", "json")
    document = json.loads(out)
    assert (code, document["spread"]) == (0, 0)
    alike = {"same"} if kind == "targets of 0" else {"same", "differs"}
    assert {row["verdict"] for row in document["scaled"]} == alike
    assert document["verdicts"]["steps"]["x 1"] == {"2": "same"}


def test_a_rule_that_diverges_leaves_the_others_their_verdicts(config, result):
    options = ScalingOptions((1, 8), 12, 40, 2, learning_rate=0.2 * result.base.limit)
    found = workflows.scaling_rule(config, options=options)
    table = report.document(found)
    assert {row["verdict"] for row in table["scaled"] if row["rule"] == "x k"} == {"diverged"}
    assert {row["verdict"] for row in table["scaled"] if row["rule"] != "x k"} <= {
        "fails",
        "unclear",
    }
    text = json.dumps(table, allow_nan=False)
    assert "breaks down at k = 8: 12 of 12 replicates diverge" in text


def test_far_too_few_replicates_give_no_verdict(config):
    options = ScalingOptions((1, 2), 9, 2, 4, 0.004)
    found = workflows.scaling_rule(config, options=options).result
    assert {each.verdict for each in found.scaled} == {"unclear"}
    said = " ".join(report.sentences(found))
    assert "cannot be told at k = 2 with 9 replicates, where a verdict needs 10" in said
