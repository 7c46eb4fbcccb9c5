"""``gradient-noise`` as a user meets it."""

import csv
import io
import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def sgdlab(sgdlab):
    """Runs ``gradient-noise``."""
    return partial(sgdlab, "gradient-noise")


@pytest.mark.parametrize("options", [(), ("--remedies",)])
def test_the_command_in_all_formats(sgdlab, write_config, options):
    config = write_config("noisy", train={"loss": "huber"})
    code, out, err = sgdlab(config, "--at-epoch", 0, *options)
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == "noisy: gradients at the weights of cell 0000 at the start"
    assert max(map(len, out.splitlines())) <= 80
    code, out, _ = sgdlab(config, "--format", "json", *options)
    document = json.loads(out, parse_constant=pytest.fail)
    assert (document["at_epoch"], document["n_rows"]) == (1, 104)
    code, out, _ = sgdlab(config, "--format", "csv", *options)
    rows = list(csv.DictReader(io.StringIO(out)))
    assert len(rows) == len(document["remedies" if options else "variances"])
    if options:
        exact = {row["remedy"]: row["exact_noise"] for row in rows}
        assert (exact["larger batch"], exact["adam"]) == ("0.25", "")
    else:
        assert document["curved"] is None
        assert "squared loss alone" in document["no_curved_because"]
        assert document["slope_with_replacement"]["value"] == pytest.approx(-1, abs=0.1)
        assert rows[-1]["sampling"] == "without_replacement"
        assert (rows[-1]["batch_size"], float(rows[-1]["measured"])) == ("104", 0.0)


@pytest.mark.parametrize("trials", [2, 60, 99, 100, 150])
def test_an_interval_needs_a_hundred_trials(trials, sgdlab, write_config):
    arguments = (write_config(), "--trials", trials, "--batch-sizes", "8,16,32,64")
    _, out, err = sgdlab(*arguments)
    assert err == ""
    note = f"no interval from so few trials: {trials} are fewer than 100"
    assert out.count(note) == (trials < 100)  # said once, of both kinds
    slopes = [line for line in out.splitlines() if line.startswith(("with replacement: m", "with"))]
    assert all((" .. " in slope) == (trials >= 100) for slope in slopes if "-" in slope)
    _, out, _ = sgdlab(*arguments, "--format", "json")
    for kind in ("with", "without"):
        slope = json.loads(out)[f"slope_{kind}_replacement"]
        assert (slope["low"] is None) == (slope["high"] is None) == (trials < 100)


def test_sizes_that_are_left_out_of_a_fit_are_named(sgdlab, write_config, data_dir, arrays):
    X = arrays["Xtr"] * np.where(np.arange(len(arrays["Xtr"])) == 5, 100, 1)[:, None]
    np.save(data_dir / "Xtr.npy", X)
    config = write_config("tailed")
    _, out, _ = sgdlab(config, "--at-epoch", 0, "--trials", 100, "--batch-sizes", "1,2,64,100")
    assert "not fitted to m = 1, 2, where squared distances vary so much" in " ".join(out.split())
    _, out, _ = sgdlab(config, "--at-epoch", 0, "--trials", 100, "--batch-sizes", "1,2")
    assert "no interval: squared distances vary so much" in " ".join(out.split())


def test_a_cell_of_a_grid_is_named(sgdlab, write_config):
    config = write_config(grid={"learning_rate": [0.01, 0.05]})
    code, _, err = sgdlab(config)
    assert (code, "2 cells; expected one (name one with --cell)" in err) == (2, True)
    code, out, _ = sgdlab(config, "--cell", 1, "-q")
    assert (code, "cell 0001 after 1 epoch" in out) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--batch-sizes", "1,105"], 2, "--batch-sizes: 105; expected whole numbers from 1 to 104"),
        (["--batch-sizes", "1,two"], 2, "--batch-sizes': '1,two'; expected whole numbers"),
        (["--batch-sizes", ""], 2, "--batch-sizes': ''; expected whole numbers"),
        (["--batch-sizes", "4", "--remedies"], 2, "--batch-sizes: given with --remedies"),
        (["--trials", "1"], 2, "--trials"),
        (["--at-epoch", "-1"], 2, "--at-epoch"),
        (["--cell", "3"], 2, "--cell 3: no such cell"),
        (["-S", "train.learning_rate=1e6"], 5, "diverged in epoch 1"),
    ],
)
def test_errors_are_one_line(sgdlab, write_config, arguments, code, message):
    found, out, err = sgdlab(write_config(), *arguments)
    assert (found, out, len(err.splitlines())) == (code, "", 1)
    assert message in err


def test_rows_without_noise_have_no_remedies(sgdlab, write_config, data_dir: Path):
    for part, shape in {"Xtr": (130, 9), "ytr": 130, "Xte": (40, 9), "yte": 40}.items():
        np.save(data_dir / f"{part}.npy", np.zeros(shape))
    code, _, err = sgdlab(write_config(), "--remedies")
    assert (code, "noise 0 and squared mean gradient 0" in err) == (3, True)
    code, out, _ = sgdlab(write_config())
    assert (code, "no batch size is suggested" in out.lower()) == (0, True)


def test_rows_that_are_all_alike_have_no_noise(sgdlab, write_config, data_dir, arrays):
    for part, array in arrays.items():
        np.save(data_dir / f"{part}.npy", np.repeat(array[:1], len(array), axis=0))
    code, out, _ = sgdlab(write_config(), "--format", "json", "-q")
    assert (code, json.loads(out)["trace"]) == (0, 0.0)
    code, _, err = sgdlab(write_config(), "-q", "--remedies")
    assert (code, "noise 0 and squared mean gradient" in err) == (3, True)
