"""The command ``solve``: maximum likelihood, the ridge path, and what it says about them."""

import csv
import io
import json
import re

import numpy as np
import pytest
import scipy.stats
from sklearn.linear_model import LinearRegression, Ridge
from threadpoolctl import threadpool_info

from sgdlab import workflows
from sgdlab.lab import factors
from sgdlab.lab.solve import report
from tests.conftest import make_arrays


@pytest.fixture
def config(write_config):
    train = {"initial_bias": 1.25, "train_bias": False}
    return write_config("small", train=train, data={"target_unit": "years"})


def rewrite(data_dir, **arrays):
    for part, array in arrays.items():
        np.save(data_dir / f"{part}.npy", array)


def half_mse(model, X, y):
    return np.mean((model.predict(X) - y) ** 2) / 2


def test_the_stability_limit_is_that_of_the_cell(config):
    documents = [report.document(workflows.solve(config, [f"train.l2={l2}"])) for l2 in (0.0, 10.0)]
    curvatures = [2 / each["stable_learning_rate"] for each in documents]
    assert curvatures[0] == pytest.approx(documents[0]["largest_eigenvalue"], rel=1e-12)
    assert curvatures[1] - curvatures[0] == pytest.approx(10.0, rel=1e-12)


def test_losses_are_those_of_linear_regression(config, arrays):
    found = workflows.solve(config).result
    X, y = arrays["Xtr"], arrays["ytr"]
    model = LinearRegression().fit(X[:104], y[:104])
    fit = found.maximum_likelihood
    np.testing.assert_allclose(fit.minimum.weights, model.coef_, rtol=1e-10)
    assert fit.minimum.bias == pytest.approx(model.intercept_, rel=1e-10)
    assert fit.training.half_mse == pytest.approx(half_mse(model, X[:104], y[:104]), rel=1e-10)
    assert fit.validation.half_mse == pytest.approx(half_mse(model, X[104:], y[104:]), rel=1e-10)
    expected = half_mse(model, arrays["Xte"], arrays["yte"])
    assert fit.test.half_mse == pytest.approx(expected, rel=1e-10)
    mean = y[:104].mean()
    assert found.baseline.constant == pytest.approx(mean)
    expected = np.mean((arrays["yte"] - mean) ** 2) / 2
    assert found.baseline.losses["test"].half_mse == pytest.approx(expected)
    difference = found.baseline.differences["test"][0]
    assert difference.mean == pytest.approx(fit.test.half_mse - expected)


def test_likelihood_is_the_density_of_the_residuals(config, arrays):
    found = workflows.solve(config).result.likelihood
    X, y = arrays["Xtr"][:104], arrays["ytr"][:104]
    residuals = LinearRegression().fit(X, y).predict(X) - y
    assert found.n_parameters == 10
    assert found.sigma2 == pytest.approx(np.mean(residuals**2), rel=1e-10)
    assert found.sigma2_unbiased == pytest.approx(np.sum(residuals**2) / (104 - 10), rel=1e-10)
    density = scipy.stats.norm.logpdf(residuals, scale=np.sqrt(found.sigma2))
    assert found.log_likelihood == pytest.approx(density.sum(), rel=1e-10)
    for other in (0.99, 1.01):  # sigma2 is where the likelihood is largest
        scale = np.sqrt(found.sigma2 * other)
        assert scipy.stats.norm.logpdf(residuals, scale=scale).sum() < found.log_likelihood


def test_unbiased_sigma2_is_right_on_average_and_the_other_is_not(write_config, data_dir):
    config = write_config("small")
    found = []
    for seed in range(40):
        rewrite(data_dir, **make_arrays(seed=seed, n_train=25))  # 20 train, 10 parameters, sigma 1
        found.append(workflows.solve(config, l2=[1.0]).result.likelihood)
    unbiased = np.array([each.sigma2_unbiased for each in found])
    error = unbiased.std() / np.sqrt(40)
    assert abs(unbiased.mean() - 1) < 4 * error
    assert abs(np.mean([each.sigma2 for each in found]) - 0.5) < 4 * error / 2


@pytest.mark.parametrize(("mode", "bias"), [("config", 1.25), ("none", 0.0)])
def test_a_bias_that_is_held_or_left_out(config, arrays, mode, bias):
    found = workflows.solve(config, bias=mode, l2=[0.3]).result
    X, y = arrays["Xtr"][:104], arrays["ytr"][:104]
    weights = np.linalg.lstsq(X, y - bias, rcond=None)[0]
    np.testing.assert_allclose(found.maximum_likelihood.minimum.weights, weights, rtol=1e-9)
    assert found.maximum_likelihood.minimum.bias == bias
    assert found.likelihood.n_parameters == 9
    ridge = Ridge(alpha=104 * 0.3, fit_intercept=False).fit(X, y - bias)
    np.testing.assert_allclose(found.best.minimum.weights, ridge.coef_, rtol=1e-9)
    assert found.factors.largest_eigenvalue == pytest.approx(np.linalg.norm(X, 2) ** 2 / 104)


def test_the_path_is_ridge_and_validation_alone_selects(config, arrays, data_dir):
    l2 = [3.0, 0.01, 0.1, 0.3, 0.03]
    found = workflows.solve(config, l2=l2, test_losses="all").result
    X, y = arrays["Xtr"], arrays["ytr"]
    models = [Ridge(alpha=104 * each).fit(X[:104], y[:104]) for each in sorted(l2)]
    losses = [half_mse(model, X[104:], y[104:]) for model in models]
    assert [fit.l2 for fit in found.path] == sorted(l2)
    assert [fit.validation.half_mse for fit in found.path] == pytest.approx(losses, rel=1e-9)
    tests = [half_mse(model, arrays["Xte"], arrays["yte"]) for model in models]
    assert [fit.test.half_mse for fit in found.path] == pytest.approx(tests, rel=1e-9)
    assert found.best is found.path[int(np.argmin(losses))]
    # Test rows for which the other end of the path is best change nothing.
    rewrite(data_dir, yte=np.full(40, y[:104].mean()))
    again = workflows.solve(config, l2=l2, test_losses="all").result
    tests = [fit.test.half_mse for fit in again.path]
    assert np.argmin(tests) != np.argmin(losses)
    assert again.best.l2 == found.best.l2


def test_by_default_only_the_selected_l2_has_a_test_loss_and_the_path_spans_the_spectrum(
    config, arrays
):
    found = workflows.solve(config).result
    assert [fit.l2 for fit in found.path if fit.test] == [found.best.l2]
    X = arrays["Xtr"][:104]
    largest = np.linalg.norm(X - X.mean(axis=0), 2) ** 2 / 104
    assert largest <= found.path[-1].l2 < 10 * largest
    assert found.path[0].l2 == pytest.approx(found.path[-1].l2 / 1e6)


def test_training_in_small_chunks_gives_the_same(config, monkeypatch):
    whole = workflows.solve(config).result
    monkeypatch.setattr(factors, "READ_BYTES", 7 * 9 * 8)  # seven rows
    small = workflows.solve(config).result
    expected = whole.maximum_likelihood.minimum.weights
    np.testing.assert_allclose(small.maximum_likelihood.minimum.weights, expected, rtol=1e-12)


def test_arithmetic_runs_on_the_configs_threads(config, monkeypatch):
    found = []

    def spy(*_):
        found.extend(
            each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"
        )

    monkeypatch.setattr(workflows.lab_solve, "solve", spy)
    workflows.solve(config, ["run.threads=1"])
    assert set(found) <= {1}  # none where the BLAS cannot be seen


def test_the_configs_preprocessing_applies(config, arrays):
    overrides = ["data.divide_by=4", "data.preprocess=standardize"]
    found = workflows.solve(config, overrides, l2=[0.2]).result
    X = arrays["Xtr"][:104]
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    ridge = Ridge(alpha=104 * 0.2).fit(X, arrays["ytr"][:104])
    np.testing.assert_allclose(found.best.minimum.weights, ridge.coef_, rtol=1e-9)


def test_fewer_rows_than_columns_interpolate_without_a_likelihood(write_config, data_dir, sgdlab):
    arrays = make_arrays(n_train=30, n_features=50)
    rewrite(data_dir, **arrays)
    found = workflows.solve(write_config("wide"), bias="none").result
    weights = np.linalg.lstsq(arrays["Xtr"][:24], arrays["ytr"][:24], rcond=None)[0]
    np.testing.assert_allclose(found.maximum_likelihood.minimum.weights, weights, rtol=1e-9)
    assert found.maximum_likelihood.training.half_mse < 1e-25
    likelihood = found.likelihood
    assert (likelihood.sigma2, likelihood.sigma2_unbiased, likelihood.log_likelihood) == (
        0,
        None,
        None,
    )
    assert found.factors.refused_because is None
    code, out, _ = sgdlab("solve", write_config("wide"), "--bias", "none")
    assert code == 0
    text = " ".join(out.split())
    assert "24 rows have rank 24 of 50 columns" in text
    assert re.search(r"max\. likelihood 0 24\.0 \S+ 0 0 \d", text)  # a training loss of 0
    assert "divisor n = 24 0 " in text
    assert "these are the shortest" in text
    assert "every training row is met: sigma^2 = 0, no likelihood" in text
    code, out, _ = sgdlab("solve", write_config("wide"), "--format", "json")
    document = json.loads(out, parse_constant=pytest.fail)
    assert document["condition_number"] is None
    assert document["log_likelihood"] is None


def test_rows_that_are_met_exactly_have_no_likelihood_either(
    write_config, data_dir, arrays, sgdlab
):
    weights = np.arange(9.0)
    rewrite(data_dir, ytr=arrays["Xtr"] @ weights + 3.0)
    found = workflows.solve(write_config("exact"), l2=[0.1]).result
    assert found.likelihood.sigma2 == 0
    assert found.likelihood.log_likelihood is None
    assert found.maximum_likelihood.minimum.bias == pytest.approx(3.0)
    _, out, _ = sgdlab("solve", write_config("exact"))
    assert "divisor n = 104 0 sigma^2, unbiased" in " ".join(out.split())


def test_ill_conditioned_rows_are_factorised_and_it_says_so(write_config, data_dir, arrays, sgdlab):
    for part in ("Xtr", "Xte"):  # two columns that differ by one part in ten million
        arrays[part][:, 1] = arrays[part][:, 0] + 1e-7 * arrays[part][:, 1]
    rewrite(data_dir, **arrays)
    found = workflows.solve(write_config("ill")).result
    X, y = arrays["Xtr"][:104], arrays["ytr"][:104]
    columns = np.column_stack([X - X.mean(axis=0), np.ones(104)])
    expected = np.linalg.lstsq(columns, y, rcond=None)[0]
    weights = found.maximum_likelihood.minimum.weights
    assert np.linalg.norm(weights - expected[:-1]) < 1e-7 * np.linalg.norm(expected)
    assert not found.factors.spectrum.from_moments
    code, out, _ = sgdlab("solve", write_config("ill"))
    text = " ".join(out.split())
    assert code == 0
    assert re.search(r"not to be trusted: its condition number, \d\.\de\+1\d, leaves too few", text)
    assert "the rows themselves were factorised (QR)" in text


def test_a_copied_column_is_said_to_be_singular(write_config, data_dir, arrays, sgdlab):
    rewrite(data_dir, **{p: np.column_stack([arrays[p], arrays[p][:, 0]]) for p in ("Xtr", "Xte")})
    code, out, _ = sgdlab("solve", write_config("copied"))
    text = " ".join(out.split())
    assert code == 0
    assert "it is singular in float64" in text
    assert "104 rows have rank 9 of 10 columns" in text


def test_the_table(sgdlab, config, arrays):
    code, out, err = sgdlab("solve", config, "--l2", "0.01,0.1,1")
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert max(map(len, lines)) <= 80
    assert lines[0] == "small: closed form, bias fitted, 104 rows of 9 columns"
    cells = {line.split("  ")[0]: line.split() for line in lines}
    mean = arrays["ytr"][:104].mean()
    assert float(cells["constant"][4]) == pytest.approx(mean, rel=1e-4)
    model = LinearRegression().fit(arrays["Xtr"][:104], arrays["ytr"][:104])
    loss = half_mse(model, arrays["Xte"], arrays["yte"])
    assert float(cells["max. likelihood"][-1]) == pytest.approx(loss, rel=1e-4)
    assert len([line for line in lines if line.startswith("ridge")]) == 3
    assert "Solved with X.T X, whose condition number leaves about 15 digits of 16." in out
    assert "the test rows play no part" in out
    assert "(better)" in out
    assert "the smallest of the path; look beyond it" in out


@pytest.mark.parametrize(
    ("l2", "end"),
    [("3,100", "smallest"), ("0.1,3", "largest"), ("0.1,3,100", None), ("3", None)],
)
def test_an_l2_at_the_end_of_the_path_is_said_to_be(write_config, data_dir, sgdlab, l2, end):
    arrays = make_arrays(n_train=30)  # with this much noise an L2 of 3 is best
    noise = 6 * np.random.default_rng(0).standard_normal(30)
    rewrite(data_dir, Xtr=arrays["Xtr"], ytr=arrays["ytr"] + noise)
    _, out, _ = sgdlab("solve", write_config("noisy"), "--l2", l2)
    assert re.search("^ridge, selected +3 ", out, re.MULTILINE)
    assert (f"is the {end} of the path" in out) == (end is not None)
    assert ("look beyond it" in out) == (end is not None)


def test_no_l2_at_all_is_no_end_to_look_beyond(sgdlab, config):
    _, out, _ = sgdlab("solve", config, "--l2", "0,10")
    assert "look beyond it" not in out


def test_json_is_one_strict_document_and_csv_has_a_row_for_each_fit(sgdlab, config):
    code, out, _ = sgdlab("solve", config, "--l2", "0,0.1", "--format", "json")
    document = json.loads(out, parse_constant=pytest.fail)
    assert code == 0
    assert len(document["maximum_likelihood"]["weights"]) == 9
    assert document["path"][0]["train_loss"] == document["maximum_likelihood"]["train_loss"]
    assert document["method"] == "normal_equations"
    assert document["test_used_for_selection"] is False
    code, out, _ = sgdlab("solve", config, "--l2", "0.1,0.2", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0
    assert [row["fit"] for row in rows] == ["maximum_likelihood", "ridge", "ridge"]
    assert sum(row["selected"] == "True" for row in rows) == 1
    assert [row["test_loss"] != "" for row in rows] == [
        True,
        *(row["selected"] == "True" for row in rows[1:]),
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--l2", "0.1,x"], 2, "--l2': '0.1,x'; expected numbers, separated by commas"),
        (["--l2", ""], 2, "--l2': ''; expected numbers"),
        (["--l2", "inf"], 2, "--l2 inf: out of range; expected a number from 0 to 1e+100"),
        (["--l2", "1e308"], 2, "--l2 1e+308: out of range; expected"),
        (["--l2", "nan"], 2, "--l2 nan: out of range; expected"),
        (["--l2=-1"], 2, "--l2 -1.0: out of range; expected"),
        (["--bias", "fixed"], 2, "fixed"),
        (["--cell", "4"], 2, "--cell 4: no such cell"),
        (["-S", "data.path=nowhere"], 3, "nowhere: no such file"),
        (["-S", "data.divide_by=1e-200"], 3, "squares do not fit float64"),
    ],
)
def test_errors_are_one_line_with_their_exit_code(sgdlab, config, arguments, code, message):
    found, out, err = sgdlab("solve", config, *arguments)
    assert (found, out) == (code, "")
    assert len(err.splitlines()) == 1
    assert message in err


def test_targets_that_are_too_large_are_refused(sgdlab, config, data_dir, arrays):
    rewrite(data_dir, ytr=arrays["ytr"] * 1e200)
    code, _, err = sgdlab("solve", config)
    assert code == 3
    assert "squares do not fit float64" in err


def test_more_columns_than_memory_has_room_for_are_refused(sgdlab, config, monkeypatch):
    monkeypatch.setattr("sgdlab.system.machine.free_memory_bytes", lambda: 1000)
    code, _, err = sgdlab("solve", config)
    assert code == 4
    # Eight matrices of all columns, and five of the 104 rows to train.
    size = f"{(8 * 8 * 9 * 9 + 5 * 8 * 9 * 104) / 1e9:.3g} GB"
    found = f"solving for 9 weights takes about {size}; expected at most 1e-06 GB of free memory"
    assert err == f"sgdlab: error: memory: {found} (take fewer columns)\n"


def test_several_cells_need_one_named(sgdlab, write_config):
    config = write_config("grid", grid={"initial_bias": [0.0, 7.0]})
    assert sgdlab("solve", config)[0] == 2
    code, out, _ = sgdlab("solve", config, "--cell", 1, "--bias", "config")
    assert code == 0
    assert "bias held at 7" in out
