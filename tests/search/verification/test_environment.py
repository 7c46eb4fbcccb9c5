"""In another environment numbers must be near, and what is another is said."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from sgdlab.search.verification.closeness import Closeness
from sgdlab.search.verification.execution import Executed
from tests.conftest import PROJECT
from tests.runs.damage import edit
from tests.search.verification.altered import (
    arrays_of,
    change,
    change_array,
    change_field,
    end_places,
    log_places,
)
from tests.search.verification.test_altered import put_back, some


def elsewhere(run, **changes):
    """Make a run one that was made in another environment."""
    environment = run.experiment().to_json()["environment"]
    edit(run.experiment_file, environment=environment | (changes or {"numpy": "1.26.0"}))


def blas_of(run, **changes):
    libraries = run.experiment().to_json()["environment"]["blas"]
    return {"blas": [library | changes for library in libraries]}


def others(result):
    return [fact.name for fact in result.facts if not fact.is_same]


CHANGES = {
    "numpy": lambda run: {"numpy": "1.26.0"},
    "BLAS": lambda run: blas_of(run, architecture="Nehalem"),
    "processor": lambda run: {"processor": "80286"},
    "C library": lambda run: {"platform": "Linux-6.1.0-x86_64-with-glibc2.17"},
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_decides_about_the_last_bit_is_named(name, run_of, verify):
    run = run_of("single")
    elsewhere(run, **CHANGES[name](run))
    result = verify(run)
    assert (result.is_exact, others(result)) == (False, [name])
    assert result.is_same


@pytest.mark.parametrize(
    "change",
    [
        lambda run: blas_of(run, version="0.1"),
        lambda run: blas_of(run, internal_api="mkl"),
        lambda run: {"blas": []},
    ],
)
def test_another_blas(change, run_of, verify):
    run = run_of("single")
    elsewhere(run, **change(run))
    assert others(verify(run)) == ["BLAS"]


def test_a_blas_that_one_process_alone_has_loaded(run_of, verify):
    """As scipy's, which multiplies nothing here."""
    run = run_of("single")
    libraries = run.experiment().to_json()["environment"]["blas"]
    more = libraries[0] | {"version": "0.0.1"}
    elsewhere(run, blas=[more, *libraries])
    assert verify(run).is_exact
    elsewhere(run, blas=[more])
    assert others(verify(run)) == ["BLAS"]


def test_threads_that_cannot_be_had(run_of, verify, monkeypatch):
    monkeypatch.setattr(
        "sgdlab.search.verification.environment._threads_had", lambda n_threads: min(n_threads, 1)
    )
    run = run_of("single")
    [session] = run.experiment().to_json()["sessions"]
    edit(run.experiment_file, sessions=[session | {"threads": 7}])
    result = verify(run)
    [fact] = [fact for fact in result.facts if not fact.is_same]
    assert fact.name == "threads"
    assert "7" in fact.then.split(", ")
    assert fact.now == "1"


@pytest.mark.parametrize(
    "changes",
    [
        {"python": "3.0.0"},
        {"sgdlab": "0.0.1"},
        {"git": None},
        {"processors": 1000},
        {"command_line": ["x"]},
    ],
)
def test_what_computes_nothing_is_no_other_environment(changes, run_of, verify):
    run = run_of("single")
    elsewhere(run, **changes)
    assert verify(run).is_exact


def test_neither_is_another_kernel_of_the_system(run_of, verify):
    run = run_of("single")
    platform = run.experiment().environment.platform
    elsewhere(run, platform=f"Linux-1.2.3-{platform.split('-', 2)[2]}")
    assert verify(run).is_exact


def test_the_last_place_says_nothing_there(run_of, verify):
    run = run_of("plain", "all")
    change(run.cell_file(1), ("replicates", 0, "train_loss"))
    assert not verify(run).is_same
    elsewhere(run)
    assert verify(run).is_same


# How near


def scaled(factor):
    return lambda value: value * factor


def judged(run, verify, file, alter):
    """Whether a run is the same where a number is altered a little, and where it is by more."""
    answers = []
    for size in (5e-10, 2e-8):
        with put_back(run, file):
            alter(scaled(1 + size))
            answers.append(verify(run).is_same)
    return answers


@pytest.mark.parametrize("kind", ["plain", "folds", "mae"])
def test_numbers_of_logs_and_of_the_end_may_differ_by_1e_9(kind, run_of, verify):
    run = run_of(kind, "all")
    elsewhere(run)
    files = {run.cell_file(1): log_places, run.experiment_file: end_places}
    for file, places in files.items():
        for place in some(places(file), 12):
            wanted = [True, False]
            if "differences" in place:  # of losses that are larger than what is left of them
                continue
            assert judged(run, verify, file, lambda by, p=place, f=file: change(f, p, by)) == wanted


def test_differences_may_differ_by_1e_9_of_what_is_subtracted(run_of, verify):
    run = run_of("plain", "all")
    elsewhere(run)
    end = json.loads(run.experiment_file.read_bytes())
    loss = end["constant_losses"]["test"]["half_mse"]
    for key in ("mean", "standard_error"):
        place = ("differences", "test", key)
        for size, is_same in ((1e-9, True), (1e-8, False)):
            with put_back(run):
                change(run.experiment_file, place, lambda value, s=size: value + s * loss)
                assert verify(run).is_same == is_same


@pytest.mark.parametrize("kind", ["plain", "folds"])
def test_arrays_may_differ_by_1e_9_of_the_largest(kind, run_of, verify):
    run = run_of(kind, "all")
    elsewhere(run)
    for file in (run.weights_file, run.predictions_file):
        for name, array in arrays_of(file).items():
            if array.dtype.kind != "f" or not array.size or name == "divide_by":
                continue
            row = np.abs(array).reshape(-1, array.shape[-1])[0]
            index = (*(0,) * (array.ndim - 1), int(row.argmax()))

            def alter(by, file=file, name=name, index=index):
                change_array(file, name, index, by)

            assert judged(run, verify, file, alter) == [True, False], name


def test_fields_of_the_table_may_differ_by_1e_9(run_of, verify):
    run = run_of("plain", "all")
    elsewhere(run)
    for column in ("train_loss", "validation_rmse", "validation_mae", "test_loss", "test_mae"):

        def alter(by, column=column):
            change_field(run.results_file, (3, column), by)

        assert judged(run, verify, run.results_file, alter) == [True, False]


@pytest.mark.parametrize(("precision", "largest"), [("float32", 1e-4), ("float64", 1e-9)])
def test_float32_may_differ_by_1e_4(precision, largest, run_of, verify):
    run = run_of("passes", "all")
    elsewhere(run)
    cells = [
        json.loads(run.cell_file(n).read_bytes())["hyperparameters"]["precision"] for n in range(12)
    ]
    file = run.cell_file(cells.index(precision))
    for factor, is_same in ((0.5, True), (2.0, False)):
        with put_back(run, file):
            change(file, ("replicates", 0, "train_loss"), scaled(1 + factor * largest))
            assert verify(run).is_same == is_same


def test_a_hash_says_nothing_of_nearness(run_of, verify):
    run = run_of("plain")
    elsewhere(run)
    other = next(n for n in range(8) if n != int(run.experiment().best))
    change(run.cell_file(other), ("replicates", 0, "weights_sha256"), lambda _: "0" * 64)
    result = verify(run)
    assert result.is_same
    [remark] = result.remarks
    assert "hash" in remark


def test_a_loss_that_is_rounding_may_be_another_one():
    """Predictions near 50 of 100 features are off by about 1e-12, and losses by the square."""
    near = Closeness.of("float64", 50.0, 100)
    assert near.rounding == pytest.approx(8 * 10 * 2.0**-52 * 50)
    assert 1e-25 < near.allowed("validation_loss", 0.0) < 1e-23
    assert near.allowed("validation_loss", 1.0) == pytest.approx(1e-9, rel=2e-3)
    assert near.allowed("bias", 0.0) == near.rounding
    assert near.allowed("weights_squared_norm", 0.0) == 0.0


def test_a_best_cell_that_diverges_elsewhere(run_of, verify, monkeypatch):
    """As near the limit of stability it may: then there is no model to look at."""
    run = run_of("folds", "all")
    elsewhere(run)
    taken = Executed.take

    def take(self, outcome):
        taken(self, replace(outcome, status="diverged", weights=None))

    monkeypatch.setattr(Executed, "take", take)
    found = verify(run).mismatch
    assert (found.place.quantity, found.stored) == ("status", "completed")
    assert found.recomputed == "diverged"


KERNELS = ("Haswell", "Nehalem", "ARMV8", "NEOVERSEN1")


def sgdlab_on(kernel, *arguments):
    """A command with another kernel of OpenBLAS than the processor has."""
    variables = os.environ | {"OPENBLAS_CORETYPE": kernel, "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("kind", ["plain", "mae"])
def test_on_another_kernel_a_run_is_the_same_but_for_rounding(kind, run_of):
    """Also where the two best cells are equal but for that, as with these losses."""
    run = run_of(kind, "all")
    here = run.experiment().environment.blas[0].architecture
    program = "from sgdlab.system.blas import describe_blas as d; print(d()[0]['architecture'])"
    there = [k for k in KERNELS if sgdlab_on(k, "-c", program).stdout.strip() not in ("", here)]
    if not there:
        pytest.skip("the BLAS has no other kernel for this processor")
    done = sgdlab_on(there[0], "-m", "sgdlab", "verify", str(run.path), "--format", "json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["is_same"], found["is_exact"]) == (True, False)
    changed = [fact for fact in found["environment"] if fact["then"] != fact["now"]]
    assert [fact["name"] for fact in changed] == ["BLAS"]
    assert here in changed[0]["then"]
