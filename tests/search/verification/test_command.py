"""``verify`` as it is typed."""

import csv
import io
import json
import shutil

import pytest

from tests.search.verification.altered import change


@pytest.fixture
def run(library, tmp_path):
    path = library("plain")
    return shutil.copytree(path, tmp_path / "runs" / path.name)


def test_the_same(run, sgdlab):
    code, out, err = sgdlab("verify", "latest", "--quiet")
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == f"{run.name}: executed again"
    assert out.splitlines()[-1] == "The same: every number is the one that is stored."
    flat = " ".join(out.split())
    assert "Executed again: all of the run, 8 cells." in flat
    assert "Compared byte for byte, in the environment of the run: numpy " in flat
    assert max(map(len, out.splitlines())) <= 80


def test_not_the_same(run, sgdlab):
    place = ("replicates", 0, "history", "validation_loss", 1)
    was, is_now = change(run / "cells" / "0003.json", place)
    code, out, err = sgdlab("verify", run, "--quiet")
    assert (code, err) == (1, "")
    assert " ".join(out.split()).endswith(
        "Not the same, first in cells/0003.json, cell 0003, epoch 2, validation_loss:"
        f" stored {is_now!r}, recomputed {was!r} ({(is_now - was) / is_now:.2g} relative)."
    )
    code, out, _ = sgdlab("verify", run, "--format", "json")
    found = json.loads(out)
    assert (code, found["is_same"], found["is_exact"]) == (1, False, True)
    first = {key: value for key, value in found["first_difference"].items() if value is not None}
    assert first == {
        "file": "cells/0003.json",
        "quantity": "validation_loss",
        "cell": "0003",
        "epoch": 2,
        "stored": is_now,
        "recomputed": was,
        "relative": (is_now - was) / is_now,
    }
    code, out, _ = sgdlab("verify", run, "--format", "csv")
    rows = {row["file"]: row["n_different"] for row in csv.DictReader(io.StringIO(out))}
    assert (code, rows["cells/"], rows["results.csv"]) == (1, "1", "0")


def test_a_sample_says_of_what(run, sgdlab):
    code, out, _ = sgdlab("verify", run, "--sample", "2", "--seed", "3")
    flat = " ".join(out.split())
    assert code == 0
    best = json.loads((run / "experiment.json").read_bytes())["best"]
    assert f"{best} (the best)" in flat
    assert "drawn with seed 3; they train 8 of 8 cells." in flat


def test_refusals_are_one_line(run, sgdlab, tmp_path):
    assert sgdlab("verify", run, "--sample", "0")[0] == 2
    code, _, err = sgdlab("verify", run, "--data", tmp_path / "absent")
    assert (code, err.count("\n")) == (3, 1)
    (run / "weights.npz").unlink()
    code, _, err = sgdlab("verify", run)
    assert (code, err.count("\n")) == (4, 1)
    assert str(run / "weights.npz") in err
