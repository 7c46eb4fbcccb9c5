"""Floors that diverged or have not settled, and what is fitted where some did."""

import json

import numpy as np
import pytest
from scipy import stats

from sgdlab import workflows
from sgdlab.lab.orders.conclusions import sentences
from sgdlab.lab.orders.descents import Descent, Stops
from sgdlab.lab.orders.design import OrdersOptions
from sgdlab.lab.orders.floors import Histories, floors, slope
from sgdlab.lab.orders.problem import make_problem

RATES = (0.01, 0.02, 0.05)
N_EPOCHS = 8


def histories_of(from_minimum, from_zero=None, largest=100.0):
    """Of excesses at the ends of 8 epochs of 6 steps, shape (n_rates, n_replicates, 8)."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((24, 3))
    problem = make_problem(X, rng.standard_normal(24), 4, 0.1, 0.0)
    steps = np.arange(6, 49, 6)
    descents = [Descent(rate, 48, np.zeros(3), 0.0) for rate in RATES[: len(from_minimum)]]
    from_zero = from_minimum if from_zero is None else from_zero
    at = Stops(steps, np.ones(N_EPOCHS, dtype=bool))
    return Histories(problem, "shuffle_once", descents, at, from_minimum, from_zero, largest)


def noise(*shape, seed=3):
    return np.random.default_rng(seed).uniform(0.9, 1.1, size=(*shape, N_EPOCHS))


def test_a_floor_is_what_the_last_half_shows():
    found = noise(1, 5)
    [floor] = floors(histories_of(found), 1)
    late = found[0, :, 4:].mean(axis=1)
    assert floor.excess.value == pytest.approx(late.mean())
    assert floor.excess.standard_error == pytest.approx(stats.sem(late))
    assert floor.drift == pytest.approx(found[0, :, 6:].mean() / found[0, :, 4:6].mean())
    assert floor.from_zero.value == pytest.approx(found[0, :, -1].mean())
    assert (floor.n_diverged, floor.has_settled) == (0, True)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e3, 1e300])
@pytest.mark.parametrize("start", ["minimum", "zero"])
def test_a_single_replicate_that_diverges_leaves_no_floor(bad, start):
    found, broken = noise(3, 4), noise(3, 4)
    broken[2, 1, 5] = bad
    pair = (broken, found) if start == "minimum" else (found, broken)
    of_order = histories_of(*pair)
    *settled, diverged = floors(of_order, 3)
    assert [floor.n_diverged for floor in settled] == [0, 0]
    assert (diverged.n_diverged, diverged.has_settled) == (1, False)
    assert diverged.excess is diverged.drift is diverged.from_zero is None
    # Its rate is left out of the slope, and the others' is what it was.
    fitted = slope(of_order, range(3))
    late = np.log(found[:2, :, 4:].mean(axis=2))
    by_hand = (late[1] - late[0]) / np.log(2)
    assert fitted.fitted == RATES[:2]
    assert fitted.slope.value == pytest.approx(by_hand.mean())
    assert slope(of_order, [1, 2]).slope is None
    assert slope(of_order, [2]).fitted == ()


def test_a_slope_is_that_of_scipy():
    found = noise(3, 6) * np.array(RATES)[:, None, None] ** 1.5
    fitted = slope(histories_of(found), range(3)).slope
    late = np.log(found[..., 4:].mean(axis=2))
    each = [stats.linregress(np.log(RATES), late[:, n]).slope for n in range(6)]
    assert fitted.value == pytest.approx(np.mean(each))
    assert fitted.standard_error == pytest.approx(stats.sem(each))


def test_a_floor_of_nothing_has_no_logarithm():
    found = noise(3, 4)
    found[0] = 0.0
    assert slope(histories_of(found), range(3)).fitted == RATES[1:]


@pytest.mark.parametrize("growth", [1.03, 1.2, 0.85])
@pytest.mark.parametrize("spread", [0.01, 0.6])
@pytest.mark.parametrize("n_tests", [1, 20])
def test_a_floor_that_still_moves_is_flagged(growth, spread, n_tests):
    rng = np.random.default_rng(8)
    found = growth ** np.arange(N_EPOCHS) * rng.uniform(1 - spread, 1 + spread, (1, 6, N_EPOCHS))
    [floor] = floors(histories_of(found), n_tests)
    third, fourth = (found[0, :, part].mean(axis=0 + 1) for part in (slice(4, 6), slice(6, 8)))
    p = stats.ttest_rel(fourth, third).pvalue
    moves = abs(fourth.mean() / third.mean() - 1) > 0.1 and p < 0.05 / n_tests
    assert floor.has_settled == (not moves)
    if spread == 0.01:
        assert moves == (growth != 1.03)


def test_floors_that_do_not_move_are_rarely_flagged():
    flagged = 0
    for seed in range(200):
        found = np.random.default_rng(seed).exponential(size=(3, 6, N_EPOCHS))
        flagged += any(not floor.has_settled for floor in floors(histories_of(found), 3))
    assert flagged < 20  # 5 % of 200, and what is left over for chance


@pytest.fixture
def config(write_config):
    return write_config("floors", train={"l2": 0.5, "train_bias": True, "seed": 1})


@pytest.mark.parametrize(
    ("rates", "batch_size", "diverging"),
    [
        ((0.02, 0.04, 0.46), 1, {0.46}),  # below the limit of full batches, above that of single
        ((0.25, 0.4), 1, {0.25, 0.4}),
        ((0.02, 0.45), 2, {0.45}),  # in some orders alone
    ],
)
def test_a_rate_that_diverges_is_shown_so_and_nothing_else_is_lost(
    config, sgdlab, rates, batch_size, diverging
):
    options = OrdersOptions(rates, replicates=2, rows=40, batch_size=batch_size)
    answer = workflows.orders(config, options=options)
    result = answer.result
    where = {floor.learning_rate for floor in result.floors if floor.n_diverged}
    assert where == diverging
    n_diverged = sum(floor.n_diverged > 0 for floor in result.floors)
    assert (n_diverged == 4 * len(diverging)) == (batch_size == 1)
    for found in result.slopes:
        floored = [rate for rate in result.fitted if result.floor(found.order, rate).excess]
        assert found.fitted == tuple(floored)
        assert (found.slope is None) == (len(floored) < 2)
    left = [rate for rate in result.fitted if rate not in diverging]
    assert result.approach_rate == max(left, default=None)
    said = " ".join(sentences(result))
    for rate in diverging:
        assert f"At learning rate {rate:.3g} trainings diverge" in said
    arguments = ("--learning-rates", ",".join(map(str, rates)), "--replicates", 2)
    arguments += ("--rows", 40, "--batch-size", batch_size, "-q")
    for form in ("table", "json", "csv"):
        code, out, err = sgdlab("orders", config, *arguments, "--format", form)
        assert (code, err) == (0, "")
        assert "nan" not in out.replace("dominant", "")
        assert "inf" not in out
    code, out, _ = sgdlab("orders", config, *arguments)
    assert out.count("of 2 diverged") == n_diverged
    assert max(map(len, out.splitlines())) <= 80


def test_what_converges_does_not_depend_on_what_diverges_beside_it(config):
    alone, beside = (
        workflows.orders(
            config, options=OrdersOptions(rates, replicates=3, rows=40, batch_size=1)
        ).result
        for rates in ((0.005, 0.01), (0.005, 0.01, 0.46))
    )
    for order in ("with_replacement", "fresh_subset"):
        for rate in (0.005, 0.01):
            floor, other = alone.floor(order, rate), beside.floor(order, rate)
            assert other.excess.value == pytest.approx(floor.excess.value, rel=1e-9)
            assert other.drift == pytest.approx(floor.drift, rel=1e-9)
    for slope_alone, other in zip(alone.slopes, beside.slopes, strict=True):
        assert other.fitted == slope_alone.fitted
        assert other.slope.value == pytest.approx(slope_alone.slope.value, rel=1e-9)


@pytest.mark.parametrize("factors", [(1.0, 1e100), (1.0, 1e-90), (1e120, 1e120), (1e-75, 1e-70)])
def test_targets_whose_standard_errors_do_not_fit_are_refused(
    config, sgdlab, data_dir, arrays, factors
):
    for part, array in arrays.items():
        np.save(data_dir / f"{part}.npy", array * factors[part.startswith("y")])
    code, out, err = sgdlab("orders", config, "--replicates", 2, "--rows", 40)
    assert (code, out) == (3, "")
    assert "expected moderate ones" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("factor", [1e100, 1e-100])
def test_huge_and_tiny_inputs_have_the_floors_of_moderate_ones(
    write_config, data_dir, arrays, factor
):
    """With a learning rate and an L2 to match, the process is the same in another unit."""
    train = {"train_bias": False, "initial_bias": 1.5}

    def measured_with(unit):
        for part in ("Xtr", "Xte"):
            np.save(data_dir / f"{part}.npy", arrays[part] * unit)
        config = write_config("floors", train=train | {"learning_rate": 0.02 / unit**2})
        options = OrdersOptions(replicates=2, rows=40)
        return workflows.orders(config, options=options)

    usual, scaled = measured_with(1.0), measured_with(factor)
    for floor, other in zip(usual.result.floors, scaled.result.floors, strict=True):
        assert other.learning_rate * factor**2 == pytest.approx(floor.learning_rate, rel=1e-6)
        assert other.excess.value == pytest.approx(floor.excess.value, rel=1e-6)
    json.dumps([floor.drift for floor in scaled.result.floors], allow_nan=False)


@pytest.mark.parametrize(
    ("paces", "is_said"),
    [((3.0, 6.0), True), ((0.5, 4.0), True), ((1.2, 1.4), True), ((0.5, 1.0, 8.0), False)],
)
def test_a_power_of_rates_that_are_not_small_is_said_to_be_one(write_config, paces, is_said):
    config = write_config("floors", train={"l2": 0.5, "seed": 1})
    few = {"replicates": 2, "rows": 96, "batch_size": 6}
    problem = workflows.orders(config, options=OrdersOptions(**few)).result.problem
    rates = tuple(pace / problem.pace(1.0) for pace in paces)
    result = workflows.orders(config, options=OrdersOptions(rates, **few)).result
    text = " ".join(sentences(result))
    assert "grows as its power" in text
    assert ("Epochs are not short there" in text) == is_said
    assert (f"up to {max(paces):g} time constants" in text) == is_said
