"""How far forecasts of time and memory are from what happens.

Five searches, forecast by ``--dry-run --measure`` and then run, in processes of their own.
The last one streams an array of 4 GB, which is written before (into ``TMPDIR``), is not in the page
cache when it is measured or run, and is deleted afterwards.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import yaml
from rich.console import RenderableType

from sgdlab.data.dataset import Dataset
from sgdlab.data.stand_in import synthesize
from sgdlab.report.layout import new_table
from tests.benchmarks.data import CONFIG
from tests.benchmarks.stopwatch import Stopwatch
from tests.benchmarks.streaming import N_FEATURES, write_arrays
from tests.benchmarks.timed_search import drop_from_cache

STREAMED_BYTES = 4 * 10**9
RATES = np.geomspace(1e-8, 1e-6, 16).tolist()
L2 = [0.0, 1e-5, 1e-3, 1e-1]


def tables(dataset: Dataset, stopwatch: Stopwatch) -> Iterator[RenderableType]:
    table = new_table(
        "", "forecast,\ns", "outcome,\ns", "\nratio", "forecast\npeak, MB", "outcome,\nMB",
        "\nratio", "measured\nin, s",
    )  # fmt: skip
    with TemporaryDirectory() as name:
        for title, config, settings in searches(Path(name)):
            figures = stopwatch.undisturbed(lambda c=config, s=settings: measured(c, s))
            table.add_row(title, *figures)
    yield table


def searches(folder: Path):
    """Titles, configs and their settings; arrays are written when they are needed."""
    shutil.copytree(CONFIG.parent, folder / "configs")
    synthesize(folder / "data", "age_regression_")
    yield "homework's grid", folder / "configs" / "age.yaml", []
    yield "its best cell alone", folder / "configs" / "age-train.yaml", []
    small = {"batch_size": [1, 4, 16], "learning_rate": RATES, "l2": L2}
    yield "small batches", written(folder, "small", {"epochs": 16}, small), []
    wide = {"batch_size": [160, 200, 400, 640], "learning_rate": RATES}
    wide["l2"] = np.geomspace(1e-7, 1e-1, 16).tolist()
    many = {"epochs": 16, "precision": "float32"}
    yield "1024 cells, float32", written(folder, "wide", many, wide), []
    write_arrays(folder / "large", STREAMED_BYTES // (8 * N_FEATURES))
    data = {"path": "../large", "prefix": ""}
    cells = {"learning_rate": RATES, "l2": [1e-5, 1e-3]}
    train = {"epochs": 3, "batch_size": 128, "order": "in_order"}
    config = written(folder, "streamed", train, cells, data)
    yield "4 GB streamed", config, ["--set", "run.memory_budget=256MB"]


def written(folder: Path, name: str, train, grid, data=None) -> Path:
    """A config beside those of the homework."""
    usual = {"path": "../data", "prefix": "age_regression_"}
    config = {"data": data or usual, "train": train, "grid": grid}
    path = folder / "configs" / f"{name}.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def measured(config: Path, settings) -> list[str]:
    """Forecast and real seconds and bytes, by what the program itself says and logs."""
    runs = ["--runs-dir", str(config.parents[1] / "runs")]
    planned = sgdlab(config, *settings, *runs, "--dry-run", "--measure")["forecast"]
    run = sgdlab(config, *settings, *runs, "--fresh")["run"]
    [session] = json.loads(Path(run, "experiment.json").read_bytes())["sessions"]
    found = []
    for name, scale in (("elapsed_s", 1), ("peak_memory_bytes", 1e-6)):
        expected, outcome = planned[name] * scale, session[name] * scale
        found += [f"{expected:.3g}", f"{outcome:.3g}", f"{expected / outcome:.2f}"]
    return [*found, f"{planned['measured_in_s']:.2f}"]


def sgdlab(config: Path, *arguments: str):
    """The document that a search prints, with a large file read from the disk."""
    os.sync()  # what was written before is not to be waited for
    large = config.parents[1] / "large" / "Xtr.npy"
    if large.exists():
        drop_from_cache(large)
    command = [sys.executable, "-m", "sgdlab", "grid-search", str(config), *arguments]
    done = subprocess.run(
        [*command, "--format", "json", "--quiet"], stdout=subprocess.PIPE, check=True
    )
    return json.loads(done.stdout)
