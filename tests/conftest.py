"""Small data sets and configs on disk."""

import math
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from sgdlab import workflows
from sgdlab.cli import app
from sgdlab.planning import making
from sgdlab.search import keeping

PROJECT = Path(__file__).parents[1]
N_TRAIN_FILE, N_TEST_FILE, N_FEATURES = 130, 40, 9


def make_arrays(seed: int = 0, n_train: int = N_TRAIN_FILE, n_features: int = N_FEATURES):
    """A linear problem with noise: by part, X (n, n_features) and y (n,)."""
    rng = np.random.default_rng(seed)
    w = rng.standard_normal(n_features)
    arrays = {}
    for part, n in (("tr", n_train), ("te", N_TEST_FILE)):
        X = rng.standard_normal((n, n_features)) + 0.3
        arrays[f"X{part}"] = X
        arrays[f"y{part}"] = X @ w + 2.0 + rng.standard_normal(n)
    return arrays


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    return make_arrays()


@pytest.fixture
def data_dir(tmp_path: Path, arrays: dict[str, np.ndarray]) -> Path:
    """A folder with the four arrays, without a prefix."""
    folder = tmp_path / "data"
    folder.mkdir()
    for part, array in arrays.items():
        np.save(folder / f"{part}.npy", array)
    return folder


@pytest.fixture
def write_config(tmp_path: Path, data_dir: Path) -> Callable[..., Path]:
    """Writes a config for ``data_dir``; a key of the grid takes the place of one of train."""

    def write(name: str = "small", **sections: Any) -> Path:
        usual = {"batch_size": 10, "learning_rate": 0.05, "epochs": 3}
        train = usual | sections.pop("train", {})
        grid = sections.get("grid", {})
        config = {
            "name": name,
            "data": {"path": "data", **sections.pop("data", {})},
            "train": {key: value for key, value in train.items() if key not in grid},
            **sections,
        }
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(config))
        return path

    return write


@pytest.fixture
def options(tmp_path):
    return workflows.SearchOptions(runs_dir=tmp_path / "runs")


@pytest.fixture
def eager(monkeypatch):
    """A state is kept at the end of every chunk of 20 rows, whatever it takes."""
    monkeypatch.setattr(making, "MAX_CHUNK_ROWS", 20)
    monkeypatch.setattr(keeping, "FIRST_S", 0.0)
    monkeypatch.setattr(keeping, "MOST_SHARE", math.inf)


@pytest.fixture(scope="session")
def age_project(tmp_path_factory) -> Path:
    """A folder with the shipped configs, where runs on the stand-in are made once for all tests."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(PROJECT / "configs", folder / "configs")
    (folder / "data").mkdir()
    return folder


@pytest.fixture
def sgdlab(monkeypatch, capsys, tmp_path):
    """Runs a command in this process: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["sgdlab", *map(str, arguments)])
        try:
            code = app._run()
        except SystemExit as error:
            code = error.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def refusing(monkeypatch):
    """Has the system refuse calls on a path."""

    def refuse(path, number, *names):
        for name in names:
            original = getattr(os, name)

            def call(given=".", *arguments, _original=original, **options):
                if not isinstance(given, int) and Path(given) == Path(path):
                    raise OSError(number, os.strerror(number), str(given))
                return _original(given, *arguments, **options)

            monkeypatch.setattr(os, name, call)

    return refuse
