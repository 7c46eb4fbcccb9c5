"""Commands that take long, in a folder with what they work on."""

import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

ARRAYS = {
    "wide": (60, 60_000),
    "tall": (150_000, 60),
    "square": (3500, 3500),
    "many": (7000, 4000),  # rows of whole numbers, 28 MB in the file and 224 MB as float64
    "small": (400, 10),
}
LONG = {"batch_size": 8, "learning_rate": 1e-9, "epochs": 10**6}
ONCE = {"batch_size": 50, "learning_rate": 1e-9, "epochs": 1}
CONFIGS: Mapping[str, Mapping[str, Any]] = {
    "wide": {"data": {"path": "wide"}, "train": LONG},
    "tall": {"data": {"path": "tall"}, "train": LONG},
    "square": {"data": {"path": "square"}, "train": LONG},
    "many": {"data": {"path": "many", "divide_by": 255}, "train": ONCE},
    "folds": {
        "data": {"path": "square", "validation": {"folds": 5}},
        "train": LONG,
        "grid": {"l2": [0.0, 0.1]},
    },
    "streamed": {
        "data": {"path": "many"},
        "train": {**LONG, "order": "shuffle_each_epoch"},
        "run": {"memory_budget": 10**6},
    },
    "many_cells": {  # whose products of a chunk take seconds
        "data": {"path": "square"},
        "train": {"batch_size": 2800, "epochs": 1000},
        "grid": {
            "learning_rate": np.geomspace(1e-9, 1e-8, 60).tolist(),
            "l2": np.geomspace(1e-6, 1e-5, 50).tolist(),
        },
    },
    "million": {
        "data": {"path": "small"},
        "train": {"batch_size": 10, "epochs": 1},
        "grid": {
            "learning_rate": np.geomspace(1e-9, 1e-8, 1000).tolist(),
            "l2": np.geomspace(1e-9, 1e-8, 1000).tolist(),
        },
    },
}
COMMANDS = {
    "train": "train tall.yaml",
    "train, wide": "train wide.yaml",
    "train, streamed": "train streamed.yaml",
    "grid-search": "grid-search many_cells.yaml",
    "grid-search, folds": "grid-search folds.yaml",
    "grid-search, a million cells": "grid-search million.yaml",
    "grid-search, the plan": "grid-search million.yaml --dry-run --measure",
    "evaluate": "evaluate latest",
    "evaluate, other arrays": "evaluate latest --data many",
    "solve": "solve many.yaml",
    "solve, square": "solve square.yaml",
    "solve, wide": "solve wide.yaml --l2 " + ",".join(f"{n}e-6" for n in range(1, 400)),
    "orders": "orders tall.yaml",
    "orders, many rows": "orders many.yaml --rows 5000 --l2 1",
    "orders, square": "orders square.yaml",
    "scaling-rule": "scaling-rule tall.yaml",
    "scaling-rule, square": "scaling-rule square.yaml --learning-rate 1e-9",
    "gradient-noise": "gradient-noise tall.yaml --trials 300",
    "gradient-noise, wide": "gradient-noise wide.yaml --trials 200",
    "gradient-noise, square": "gradient-noise square.yaml --remedies",
    "simulate-sampling": "simulate-sampling --n 100000000 --trials 100",
    "simulate-sampling, small": "simulate-sampling --n 20 --trials 100000000",
    "simulate-sampling, batches": "simulate-sampling --n 100000000 --batch-size 10 --trials 10",
    "simulate-sampling, trials": "simulate-sampling --n 1000000 --batch-size 10 --trials 1000",
    "xor-solve": "xor-solve --hidden 1000 --restarts 1000",
    "xor-solve, large": "xor-solve --hidden 10 --restarts 1000000",
    "data describe": "data describe many",
}  # fmt: skip


def write_inputs(folder: Path, names: Iterable[str] = tuple(ARRAYS)) -> None:
    """Arrays and all configs; and a finished run of ``many``, if that is among them."""
    random = np.random.default_rng(0)
    for name in names:
        (folder / name).mkdir()
        n_rows, n_features = ARRAYS[name]
        for part, n in (("tr", n_rows), ("te", n_rows if name == "many" else 50)):
            numbers = random.integers(0, 255, (n, n_features), np.uint8)
            X = numbers if name == "many" else numbers.astype(np.float32)
            np.save(folder / name / f"X{part}.npy", X)
            np.save(folder / name / f"y{part}.npy", random.standard_normal(n))
    for name, config in CONFIGS.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(dict(config)))
    if (folder / "many").exists():
        program = [sys.executable, "-m", "sgdlab", "train", "-q", "many.yaml"]
        subprocess.run(program, cwd=folder, check=True, stdout=subprocess.DEVNULL)
