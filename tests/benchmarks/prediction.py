"""How far predictions of time and memory are from what happens.

    python -m tests.benchmarks.prediction [--gigabytes 4] [--folder DIR]

Five searches, each predicted by ``--dry-run --measure`` and then run, in processes of their own.
The last one streams an array of that size, which is written before, is not in the page cache when
it is measured or run, and is deleted afterwards; ``--gigabytes 0`` leaves it out.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import yaml
from rich.console import Console

from sgdlab.data.stand_in import synthesize
from sgdlab.report.layout import new_table
from tests.benchmarks.data import CONFIG
from tests.benchmarks.streaming import write_arrays
from tests.benchmarks.timed_search import drop_from_cache

RATES = np.geomspace(1e-8, 1e-6, 16).tolist()
L2 = [0.0, 1e-5, 1e-3, 1e-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=4)
    parser.add_argument("--folder", default=None, help="where everything is written")
    arguments = parser.parse_args()
    table = new_table(
        "", "predicted,\ns", "outcome,\ns", "\nratio", "predicted\npeak, MB", "outcome,\nMB",
        "\nratio", "measured\nin, s",
    )  # fmt: skip
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        for config, settings in searches(Path(name), arguments.gigabytes):
            table.add_row(config.stem, *figures(config, settings))
    Console(width=80).print(table)


def searches(folder: Path, gigabytes: float):
    """Configs, and their settings; arrays are written when they are needed."""
    shutil.copytree(CONFIG.parent, folder / "configs")
    synthesize(folder / "data", "age_regression_")
    yield folder / "configs" / "age.yaml", []
    yield folder / "configs" / "age-train.yaml", []
    small = {"batch_size": [1, 4, 16], "learning_rate": RATES, "l2": L2}
    yield written(folder, "small batches", {"epochs": 16}, small), []
    wide = {"batch_size": [160, 200, 400, 640], "learning_rate": RATES}
    wide["l2"] = np.geomspace(1e-7, 1e-1, 16).tolist()
    many = {"epochs": 16, "precision": "float32"}
    yield written(folder, "1024 cells", many, wide), []
    if gigabytes:
        write_arrays(folder / "large", int(gigabytes * 1e9 / (8 * 2304)))
        data = {"path": "../large", "prefix": ""}
        cells = {"learning_rate": RATES, "l2": [1e-5, 1e-3]}
        train = {"epochs": 3, "batch_size": 128, "order": "in_order"}
        config = written(folder, "streamed", train, cells, data)
        yield config, ["--set", "run.memory_budget=256MB"]


def written(folder: Path, name: str, train, grid, data=None) -> Path:
    """A config beside those of the homework."""
    usual = {"path": "../data", "prefix": "age_regression_"}
    config = {"data": data or usual, "train": train, "grid": grid}
    path = folder / "configs" / f"{name}.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def figures(config: Path, settings):
    """Predicted and real seconds and bytes, by what the program itself says and logs."""
    runs = ["--runs-dir", str(config.parents[1] / "runs")]
    planned = sgdlab(config, *settings, *runs, "--dry-run", "--measure")["prediction"]
    run = sgdlab(config, *settings, *runs)["run"]
    [session] = json.loads(Path(run, "experiment.json").read_bytes())["sessions"]
    for name, scale in (("elapsed_s", 1), ("peak_memory_bytes", 1e-6)):
        predicted, outcome = planned[name] * scale, session[name] * scale
        yield from (f"{predicted:.3g}", f"{outcome:.3g}", f"{predicted / outcome:.2f}")
    yield f"{planned['measured_in_s']:.2f}"


def sgdlab(config: Path, *arguments: str):
    """The document that a search prints, with a large file read from the disk."""
    large = config.parents[1] / "large" / "Xtr.npy"
    if large.exists():
        drop_from_cache(large)
    command = [sys.executable, "-m", "sgdlab", "grid-search", str(config), *arguments]
    done = subprocess.run(
        [*command, "--format", "json", "--quiet"], stdout=subprocess.PIPE, check=True
    )
    return json.loads(done.stdout)


if __name__ == "__main__":
    main()
