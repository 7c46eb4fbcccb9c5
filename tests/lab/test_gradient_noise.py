"""Gradient noise against plain matrices of row gradients and closed forms."""

import itertools
import json
import math

import numpy as np
import pytest

from sgdlab.config.model import Train
from sgdlab.errors import UsageError
from sgdlab.lab.gradient_noise import measure, row_gradients
from sgdlab.lab.gradient_noise.curvatures import curvature_along, row_curvatures
from sgdlab.lab.gradient_noise.measure import check_batch_sizes, measure_gradient_noise
from sgdlab.lab.gradient_noise.minibatches import IndexSets, gradient_deviations
from sgdlab.lab.gradient_noise.noise_scale import measure_noise_scales
from sgdlab.lab.gradient_noise.row_gradients import Moments, RowGradients
from tests.oracles.row_gradients import Rows, problem

SIZES = [1, 2, 4, 8, 16, 32, 40]


@pytest.mark.parametrize("loss", ["squared", "absolute", "huber"])
@pytest.mark.parametrize("train_bias", [True, False])
def test_moments_are_those_of_the_rows(loss, train_bias):
    gradients, rows = problem(loss=loss, train_bias=train_bias, l2=0.7)
    moments = gradients.moments()
    np.testing.assert_allclose(moments.gradient, rows.mean(axis=0), rtol=1e-12)
    covariance = np.cov(rows.T, bias=True)
    assert moments.trace == pytest.approx(np.trace(covariance), rel=1e-12)
    np.testing.assert_allclose(moments.variance, np.diag(covariance), rtol=1e-9)


def plain_hessian(gradients):
    X = np.concatenate([inputs for inputs, _ in gradients.inputs()])
    return X.T @ X / len(X) + gradients.l2 * np.diag(gradients.is_penalised)


@pytest.mark.parametrize("max_bytes", [10**9, 0], ids=["with H", "with products of rows"])
@pytest.mark.parametrize("shape", [(40, 5), (6, 15)])
@pytest.mark.parametrize("train_bias", [True, False])
def test_noise_along_the_curvature_is_that_of_plain_matrices(
    max_bytes, shape, train_bias, monkeypatch
):
    monkeypatch.setattr(row_gradients, "MAX_MATRIX_BYTES", max_bytes)
    gradients, rows = problem(*shape, train_bias=train_bias, l2=0.7)
    H, covariance = plain_hessian(gradients), np.cov(rows.T, bias=True)
    moments = gradients.moments()
    found = row_curvatures(gradients, moments)
    assert found.of_gradients.mean() == pytest.approx(np.trace(H @ covariance), rel=1e-12)
    deviations = rows - rows.mean(axis=0)
    along = np.einsum("ij,jk,ik->i", deviations, H, deviations)
    np.testing.assert_allclose(found.of_gradients, along, rtol=1e-10)
    X = np.concatenate([inputs for inputs, _ in gradients.inputs()])
    penalty = gradients.l2 * (np.diag(covariance) @ gradients.is_penalised)
    across = np.einsum("ij,jk,ik->i", X, covariance, X) + penalty
    np.testing.assert_allclose(found.of_inputs, across, rtol=1e-10)
    G = rows.mean(axis=0)
    assert curvature_along(gradients, G) == pytest.approx(G @ H @ G, rel=1e-12)
    scales = measure_noise_scales(gradients, moments)
    assert scales.simple == pytest.approx(np.trace(covariance) / (G @ G))
    assert scales.curved == pytest.approx(np.trace(H @ covariance) / (G @ H @ G))
    assert scales.standard_error == pytest.approx(math.sqrt(np.trace(covariance) / (len(rows) - 1)))


def test_a_batch_size_is_suggested_only_where_it_can_be_trusted():
    gradients, _ = problem(n=40, loss="absolute", train_bias=False)

    def scales(norm, trace):
        G = np.zeros(5)
        G[0] = norm
        return measure_noise_scales(gradients, Moments(G, np.full(5, trace / 5)))

    clear = scales(norm=1.0, trace=9.2)  # |G| is 2.06 standard errors from 0
    assert clear.suggested_batch_size == 9
    assert (clear.curved, clear.no_curved_because) == (
        None,
        "the Hessian is known for the squared loss alone",
    )
    unclear = scales(norm=1.0, trace=9.6)  # 2.016 standard errors
    assert unclear.suggested_batch_size is None
    assert "within 2.02 standard errors of 0" in unclear.verdict
    assert scales(norm=1.0, trace=0.3).suggested_batch_size == 1
    assert scales(norm=0.0, trace=1.0).simple is None


@pytest.mark.parametrize(("n_rows", "suggested"), [(1000, None), (20_000, 10_000)])
def test_a_noise_scale_beyond_the_rows_suggests_nothing(n_rows, suggested):
    """Rows' gradients (1, +-10): all noise lies where the loss is a hundred times as curved."""
    X = np.ones((n_rows, 2))
    X[:, 1] = np.resize([10.0, -10.0], n_rows)
    train = Train(batch_size=4, learning_rate=0.1, epochs=1, train_bias=False)
    gradients = RowGradients(Rows(X, -np.ones(n_rows), n_rows), train, np.zeros(2), 0.0)
    found = measure_noise_scales(gradients, gradients.moments())
    assert (found.simple, found.curved) == pytest.approx((100, 10_000))
    assert found.suggested_batch_size == suggested
    assert suggested or "not below the 1000 rows" in found.verdict


@pytest.mark.parametrize(
    ("norm", "trace", "simple", "of_population"),
    [(1.0, 8.0, 8.0, 10.0), (1.0, 20.0, 20.0, 40.0), (2.0, 4.0, 1.0, 40 / 39)],
)
def test_the_population_has_a_larger_noise_scale(norm, trace, simple, of_population):
    gradients, _ = problem(n=40, loss="absolute", train_bias=False)
    G = norm * np.eye(5)[0]
    scales = measure_noise_scales(gradients, Moments(G, np.full(5, trace / 5)))
    assert scales.simple == pytest.approx(simple)
    assert scales.simple_of_population.value == pytest.approx(of_population)
    assert "so few rows" in scales.simple_of_population.no_interval_because
    if scales.suggested_batch_size not in (None, 1):
        assert f"around {simple:.0f} suits these weights on these rows" in scales.verdict
        assert f"around {of_population:.0f} on the population" in scales.verdict


@pytest.mark.parametrize("trace", [40.0, 55.0])
def test_a_population_s_noise_scale_beyond_the_rows_is_not_known(trace):
    gradients, _ = problem(n=40, loss="absolute", train_bias=False)
    scales = measure_noise_scales(gradients, Moments(np.eye(5)[1], np.full(5, trace / 5)))
    assert scales.simple == pytest.approx(trace)
    found = scales.simple_of_population
    assert (found.value, found.low, found.high) == (None, None, None)
    assert "not below the 40 rows" in found.no_interval_because


def rows_of(law, n, seed, weight=0.4):
    """Gradients at zero weights of rows whose targets are their sum times the weight, and noise."""
    rng = np.random.default_rng(seed)
    X = {"normal": rng.normal(size=(n, 3)), "uniform": rng.uniform(-1, 2, size=(n, 3))}.get(
        law, rng.lognormal(sigma=1.2, size=(n, 3))
    )
    y = weight * X.sum(axis=1) + rng.normal(size=n)
    train = Train(batch_size=4, learning_rate=0.1, epochs=1, train_bias=False)
    return RowGradients(Rows(X, y, n), train, np.zeros(3), 0.0)


@pytest.mark.parametrize("law", ["normal", "uniform"])
def test_intervals_of_noise_scales_cover_those_of_the_population(law):
    many = rows_of(law, 400_000, 99)
    truth = measure_noise_scales(many, many.moments())
    covered = []
    for seed in range(200):
        gradients = rows_of(law, 1000, seed)
        found = measure_noise_scales(gradients, gradients.moments())
        for scale, true in (
            (found.simple_of_population, truth.simple_of_population.value),
            (found.curved_of_population, truth.curved_of_population.value),
        ):
            if scale.low is not None:
                covered.append(scale.low < true < (scale.high or math.inf))
                assert scale.low < scale.value < (scale.high or math.inf)
    assert len(covered) > 380
    assert 0.92 < np.mean(covered) < 0.98


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_rows_with_long_tails_have_no_interval(seed):
    gradients = rows_of("lognormal", 300, seed)
    scales = measure_noise_scales(gradients, gradients.moments())
    for found in (scales.simple_of_population, scales.curved_of_population):
        assert (found.low, found.high) == (None, None)
        assert "gradients vary so much" in found.no_interval_because


@pytest.mark.parametrize(
    ("law", "fraction", "has_interval"),
    [
        ("normal", 0.1, True),
        ("uniform", 0.1, True),
        ("lognormal", 0.1, False),
        ("normal", 0.5, False),
    ],
)
def test_an_interval_is_shown_with_what_it_trusts(
    law, fraction, has_interval, write_config, data_dir, sgdlab
):
    rng = np.random.default_rng(3)
    shape = (900 if fraction < 0.5 else 150, 3)
    X = {"normal": rng.normal(size=shape), "uniform": rng.uniform(-1, 2, size=shape)}.get(
        law, rng.lognormal(sigma=1.5, size=shape)
    )
    np.save(data_dir / "Xtr.npy", X)
    np.save(data_dir / "ytr.npy", X.sum(axis=1) + rng.normal(size=len(X)))
    np.save(data_dir / "Xte.npy", X[:9])
    np.save(data_dir / "yte.npy", X[:9].sum(axis=1))
    config = write_config("tail", data={"validation": {"fraction": fraction}})
    code, out, _ = sgdlab("gradient-noise", config, "--at-epoch", 0, "--trials", 5, "-q")
    assert code == 0
    words = "the interval trusts that rows not seen are like those seen"
    assert (words in out) == has_interval
    code, out, _ = sgdlab("gradient-noise", config, "--at-epoch", 0, "-q", "--format", "json")
    scale = json.loads(out)["curved_of_population"]
    assert (scale["low"] is not None) == has_interval


def test_an_interval_may_have_no_upper_end():
    gradients = rows_of("normal", 1000, 5, weight=0.05)
    found = measure_noise_scales(gradients, gradients.moments()).simple_of_population
    assert found.high is None
    assert 0 < found.low < found.value


@pytest.mark.parametrize("pieces", [[4], [1, 3], [2, 1, 1]])
def test_every_set_without_replacement_is_equally_likely(pieces):
    sets = IndexSets(60_000, 2, False, 4, np.random.default_rng(1))
    counts = np.concatenate([sets.counts(piece) for piece in pieces], axis=1)
    assert set(counts.ravel()) == {0, 1}
    assert (counts.sum(axis=1) == 2).all()
    found = [np.mean(counts[:, i] & counts[:, j]) for i, j in itertools.combinations(range(4), 2)]
    np.testing.assert_allclose(found, 1 / 6, atol=4 * math.sqrt(5 / 36 / 60_000))


@pytest.mark.parametrize("pieces", [[3], [1, 2], [1, 1, 1]])
def test_sets_with_replacement_are_multinomial(pieces):
    sets = IndexSets(60_000, 3, True, 3, np.random.default_rng(2))
    counts = np.concatenate([sets.counts(piece) for piece in pieces], axis=1)
    assert (counts.sum(axis=1) == 3).all()
    for outcome, probability in {(3, 0, 0): 1 / 27, (1, 2, 0): 3 / 27, (1, 1, 1): 6 / 27}.items():
        share = np.mean((counts == outcome).all(axis=1))
        error = math.sqrt(probability * (1 - probability) / 60_000)
        assert share == pytest.approx(probability, abs=4 * error)


def test_deviations_are_those_of_the_rows_drawn():
    gradients, rows = problem(n=40, piece=40, l2=0.1)
    drawn = IndexSets(20, 6, True, 40, np.random.default_rng(3)).counts(40)
    sets = IndexSets(20, 6, True, 40, np.random.default_rng(3))
    [deviations] = gradient_deviations(gradients, [sets])
    for counts, deviation in zip(drawn, deviations, strict=True):
        batch = rows[np.repeat(np.arange(40), counts)]
        np.testing.assert_allclose(deviation, batch.mean(axis=0) - rows.mean(axis=0), atol=1e-12)


@pytest.mark.parametrize("loss", ["squared", "absolute"])
def test_variance_is_sigma_squared_over_m_at_every_size(loss):
    gradients, rows = problem(loss=loss)
    noise = measure_gradient_noise(gradients, SIZES, n_trials=2000, seed=0)
    trace = np.trace(np.cov(rows.T, bias=True))
    for each in noise.independent.variances:
        assert each.exact == pytest.approx(trace / each.batch_size)
        assert abs(each.measured - trace / each.batch_size) < 4 * each.standard_error
        assert 0.01 < each.ratio_standard_error < 0.1
    for each in noise.distinct.variances[:-1]:
        exact = trace / each.batch_size * (40 - each.batch_size) / 39
        assert each.exact == pytest.approx(exact)
        assert abs(each.measured - exact) < 4 * each.standard_error
    for sampling in (noise.independent, noise.distinct):
        assert sampling.slope.batch_sizes == tuple(SIZES[: len(sampling.slope.batch_sizes)])
        assert abs(sampling.slope.value + 1) < 4 * sampling.slope.standard_error
        assert sampling.slope.standard_error < 0.02
        assert sampling.slope.low < sampling.slope.value < sampling.slope.high
    for growth in noise.independent.growths:
        assert abs(growth.ratio - 1 / growth.factor) < 4 * growth.standard_error
    assert [each.factor for each in noise.independent.growths] == [2, 4, 5, 8, 10, 16, 20, 32, 40]


def test_all_rows_without_replacement_have_no_variance():
    gradients, _ = problem()
    last = measure_gradient_noise(gradients, [40], n_trials=5, seed=0).distinct.variances[-1]
    assert (last.measured, last.standard_error, last.exact, last.ratio) == (0.0, 0.0, 0.0, None)


def test_a_size_is_measured_alike_whatever_the_others_are():
    gradients, _ = problem()
    alone = measure_gradient_noise(gradients, [8], n_trials=50, seed=0)
    among = measure_gradient_noise(gradients, SIZES, n_trials=50, seed=0)
    assert alone.independent.variances[0] == among.independent.variances[3]
    assert alone.distinct.variances[0] == among.distinct.variances[3]
    assert alone.independent.slope is None
    other = measure_gradient_noise(gradients, [8], n_trials=50, seed=1)
    assert other.independent.variances[0].measured != alone.independent.variances[0].measured


def test_every_size_and_kind_draws_for_itself(monkeypatch):
    states = []

    def record(n_sets, batch_size, with_replacement, n_rows, random):
        states.append(random.bit_generator.state["state"]["state"])
        return IndexSets(n_sets, batch_size, with_replacement, n_rows, random)

    monkeypatch.setattr(measure, "IndexSets", record)
    measure_gradient_noise(problem()[0], SIZES, n_trials=2, seed=0)
    assert len(set(states)) == len(states) == 2 * len(SIZES)


def test_batch_sizes():
    assert check_batch_sizes(None, 40) == [1, 2, 4, 8, 16, 32, 40]
    assert check_batch_sizes(None, 32) == [1, 2, 4, 8, 16, 32]
    assert check_batch_sizes([8, 2, 8], 40) == [2, 8]
    for sizes in ([], [0, 1], [41]):
        with pytest.raises(UsageError, match="expected whole numbers from 1 to 40"):
            check_batch_sizes(sizes, 40)


@pytest.mark.parametrize("n_trials", [2_000, 10_000])
def test_more_minibatches_than_memory_holds_are_refused(
    sgdlab, write_config, monkeypatch, n_trials
):
    monkeypatch.setattr("sgdlab.system.machine.free_memory_bytes", lambda: 10**5)
    arguments = ("--trials", n_trials, "--at-epoch", 0)
    code, out, err = sgdlab("gradient-noise", write_config(), *arguments)
    assert (code, out) == (4, "")
    # Gradients of eight sizes (1 .. 64, 104), thrice those of one; six of the rows, with a bias.
    size = f"{((8 + 3) * 8 * 10 * n_trials + 6 * 8 * 10 * 104) / 1e9:.3g} GB"
    found = f"{n_trials} gradients of 10 parameters at a time takes about {size}"
    expected = "at most 0.0001 GB of free memory"
    assert err == f"sgdlab: error: memory: {found}; expected {expected} (lower --trials)\n"
