"""Finished runs of every kind, made once and copied for every test that alters one."""

import shutil
from contextlib import suppress

import numpy as np
import pytest
import yaml

from sgdlab import workflows
from sgdlab.errors import NothingToSelectError
from sgdlab.runs.directory import RunDirectory
from tests.conftest import make_arrays

TRAIN = {"batch_size": 10, "learning_rate": 0.05, "epochs": 3}
FOLDS = {"validation": {"folds": 3}, "preprocess": "standardize"}
KINDS = {
    "plain": {"grid": {"learning_rate": [0.01, 0.05], "epochs": [2, 3], "l2": [0.0, 0.1]}},
    "single": {"train": {"l2": 0.1}},
    "folds": {"data": FOLDS, "grid": {"l2": [0.0, 0.1]}, "train": {"replicates": 2}},
    "replicates": {"train": {"replicates": 3}, "data": {"preprocess": "center"}},
    "passes": {
        "grid": {
            "precision": ["float32", "float64"],
            "order": ["in_order", "shuffle_each_epoch", "with_replacement"],
            "l2": [0.0, 0.1],
        },
    },
    "blocks": {"grid": {"learning_rate": [0.01, 0.02, 0.05]}, "run": {"trajectories_per_block": 1}},
    "some diverged": {"grid": {"learning_rate": [0.05, 1e9], "loss": ["squared", "huber"]}},
    "all diverged": {"train": {"learning_rate": 1e9}},
    "mae": {
        "grid": {"loss": ["absolute", "huber"], "optimizer": ["adam", "sgd"]},
        "select": {"metric": "mae"},
        "data": {"validation": {"fraction": 0.3, "take": "random"}},
    },
}


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    """A folder with data, and what makes a run of a kind in it, once."""
    folder = tmp_path_factory.mktemp("library")
    (folder / "data").mkdir()
    for part, array in make_arrays().items():
        np.save(folder / "data" / f"{part}.npy", array)

    def made(kind, extent="best"):
        runs = folder / f"{kind}-{extent}"
        if not runs.exists():
            sections = dict(KINDS[kind])
            train = TRAIN | sections.pop("train", {})
            grid = sections.get("grid", {})
            config = {"data": {"path": str(folder / "data")} | sections.pop("data", {})}
            config |= {"train": {key: train[key] for key in train if key not in grid}} | sections
            path = folder / f"{kind}.yaml"
            path.write_text(yaml.safe_dump({"name": "run"} | config))
            options = workflows.SearchOptions(runs, test_losses=extent, keep_weights=extent)
            with suppress(NothingToSelectError):
                workflows.grid_search(path, options=options)
        [run] = runs.iterdir()
        return run

    return made


@pytest.fixture
def run_of(library, tmp_path):
    """Copies a run of a kind, to be altered."""

    def copied(kind, extent="best"):
        run = library(kind, extent)
        target = tmp_path / "runs" / f"{kind} {extent}" / run.name
        shutil.copytree(run, target)
        return RunDirectory(target)

    return copied


@pytest.fixture
def verify():
    def call(directory, observer=None, arrays=None, **options):
        wanted = workflows.VerifyOptions(**options)
        return workflows.verify(str(directory.path), "runs", wanted, observer, arrays)

    return call
