"""Peak memory: bounded by the budget where rows are streamed, and what the plan says."""

import subprocess
import sys

import numpy as np
import pytest
import yaml

from sgdlab import workflows
from tests.data.npy_files import needs_linux

N_ROWS, N_FEATURES = 16_000, 1000  # 128 MB in float64
BUDGET = 70_000_000

CASES = {
    "held": {"memory_budget": "1GB"},
    "held, reshuffled": {"memory_budget": "1GB", "order": "shuffle_each_epoch"},
    "in order": {"order": "in_order"},
    "reshuffled": {"order": "shuffle_each_epoch"},
    "shuffled blocks": {"order": "shuffle_blocks", "buffer_blocks": 8},
    "single precision": {"precision": "float32", "memory_budget": BUDGET // 2},
    "many models": {"order": "shuffle_each_epoch", "optimizer": "adam", "n_cells": 200},
    "small batches": {"order": "shuffle_each_epoch", "batch_size": 1},
    "held, narrow": {"memory_budget": "1GB", "n_cells": 1000, "data": "narrow"},
    "held, long": {"memory_budget": "1GB", "n_cells": 100, "data": "short", "epochs": 20_000},
    "held, with folds": {"memory_budget": 250_000_000, "validation": {"folds": 3}},
    "held, with parts of folds": {"memory_budget": "1GB", "validation": {"folds": 3}},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("memory")
    for name, n_rows, n_features in (
        ("tiny", 200, N_FEATURES),
        ("data", N_ROWS, N_FEATURES),
        ("narrow", 40_000, 5),
        ("short", 200, 5),
    ):
        (folder / name).mkdir()
        rng = np.random.default_rng(0)
        X, y = rng.standard_normal((n_rows, n_features)), rng.standard_normal(n_rows)
        for part, rows in (("tr", slice(None)), ("te", slice(0, 100))):
            np.save(folder / name / f"X{part}.npy", X[rows])
            np.save(folder / name / f"y{part}.npy", y[rows])
    return folder


def write_config(folder, data, memory_budget=BUDGET, n_cells=4, validation=None, **train):
    rates = np.geomspace(1e-6, 1e-5, n_cells).tolist()
    config = {
        "data": {"path": data, "validation": validation or {}},
        "train": {"batch_size": 100, "epochs": 2, **train},
        "grid": {"learning_rate": rates},
        "run": {"memory_budget": memory_budget},
    }
    path = folder / f"{data}.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@needs_linux
@pytest.mark.parametrize("case", CASES)
def test_the_plan_says_how_much_memory_a_run_takes(case, folder):
    tiny = write_config(folder, "tiny")
    config = write_config(folder, **{"data": "data"} | CASES[case])
    cost = workflows.plan_search(config).cost
    command = [sys.executable, "-m", "tests.whole.memory_probe", str(tiny), str(config)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    measured = int(done.stdout)
    assert cost.memory_bytes == pytest.approx(measured, rel=0.2)
    assert cost.in_memory == case.startswith("held")
    if not cost.in_memory and "n_cells" not in CASES[case]:
        assert measured < BUDGET + 50_000_000  # beside rows: pieces of the file, weights
