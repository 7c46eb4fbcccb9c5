"""Data larger than memory: seconds of an epoch beside the raw read and the arithmetic alone.

Writes an array of 8 GB (into ``TMPDIR``), measures, and deletes it. An epoch reads the whole
training file, rows to validate included; before each, and before each raw read, the file is dropped
from the page cache. The arithmetic is that of the same plan on a part of the rows, which are held
in memory. All are measured in turn, several times.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml
from rich.console import RenderableType

from sgdlab.data.dataset import Dataset
from sgdlab.report.layout import new_table
from tests.benchmarks.stopwatch import Stopwatch
from tests.benchmarks.timed_search import drop_from_cache

N_BYTES = 8 * 10**9
N_CELLS = 32
N_FEATURES = 2304
WRITTEN_ROWS = 4000
PART = 16  # of the rows, one in so many is held in memory to time the arithmetic
BUFFER_BYTES = 8 * 2**20
EPOCHS = 4  # the last of which measures the training loss too, and is not counted
BUDGET = "256MB"
ORDERS = ("in_order", "shuffle_blocks")


class Row(NamedTuple):
    """A line of the table; ``seconds`` of an epoch of all rows, ``peak`` bytes of the process."""

    name: str
    seconds: float
    peak: int


def tables(dataset: Dataset, stopwatch: Stopwatch) -> Iterator[RenderableType]:
    n_rows = N_BYTES // (8 * N_FEATURES)
    with tempfile.TemporaryDirectory() as name:
        whole, part = Path(name) / "whole", Path(name) / "part"
        write_arrays(part, n_rows // PART)
        write_arrays(whole, n_rows)
        yield epochs_table(measure(whole, part, stopwatch))
    yield (
        f"{N_BYTES / 1e9:g} GB of float64, {N_FEATURES} columns; {N_CELLS} models, batch size 128;"
        f" budget {BUDGET}"
    )


def write_arrays(folder: Path, n_rows: int) -> None:
    """Standard normal numbers and a linear target with noise, and a config."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    w = rng.standard_normal(N_FEATURES) / np.sqrt(N_FEATURES)
    targets = []
    with open(folder / "Xtr.npy", "wb") as stream:
        header = {"descr": "<f8", "fortran_order": False, "shape": (n_rows, N_FEATURES)}
        np.lib.format.write_array_header_1_0(stream, header)
        for start in range(0, n_rows, WRITTEN_ROWS):
            X = rng.standard_normal((min(WRITTEN_ROWS, n_rows - start), N_FEATURES))
            targets.append(X @ w + rng.standard_normal(len(X)))
            X.tofile(stream)
    np.save(folder / "ytr.npy", np.concatenate(targets))
    np.save(folder / "Xte.npy", X)
    np.save(folder / "yte.npy", targets[-1])


def write_config(folder: Path) -> Path:
    rates = np.geomspace(1e-5, 1e-4, N_CELLS).tolist()
    config = {
        "data": {"path": "."},
        "train": {"batch_size": 128, "epochs": EPOCHS},
        "grid": {"learning_rate": rates},
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def measure(whole: Path, part: Path, stopwatch: Stopwatch) -> list[Row]:
    """Seconds of an epoch of all rows: medians of all epochs of all runs."""
    programs = {"raw read": lambda: ([raw_read(whole / "Xtr.npy")], 0)}
    for order in ORDERS:
        for name, folder, budget in (("in memory", part, "2GB"), ("streamed", whole, BUDGET)):
            config = write_config(folder)
            settings = (f"train.order={order}", f"run.memory_budget={budget}")
            programs[f"{order}, {name}"] = partial(timed_epochs, config, *settings)
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    peak = dict.fromkeys(programs, 0)
    for n in range(stopwatch.runs):
        for name, program in programs.items():
            print(f"  run {n + 1} of {stopwatch.runs}: {name}", file=sys.stderr)
            epochs, n_bytes = stopwatch.undisturbed(program)
            seconds[name] += [each * (PART if "in memory" in name else 1) for each in epochs]
            peak[name] = max(peak[name], n_bytes)
    return [Row(name, statistics.median(seconds[name]), peak[name]) for name in programs]


def timed_epochs(config: Path, *settings: str) -> tuple[list[float], int]:
    done = timed_search(config, *settings)
    return done["epochs"][:-1], done["peak"]


def timed_search(config: Path, *settings: str):
    command = [sys.executable, "-m", "tests.benchmarks.timed_search", str(config), *settings]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def raw_read(path: Path) -> float:
    """Seconds of reading a file from its start to its end."""
    drop_from_cache(path)
    buffer = memoryview(np.ones(BUFFER_BYTES, np.uint8))  # its pages are there before the clock
    start = time.perf_counter()
    with open(path, "rb", buffering=0) as stream:
        while stream.readinto(buffer):
            pass
    return time.perf_counter() - start


def epochs_table(found: Sequence[Row]) -> RenderableType:
    table = new_table("an epoch", "seconds", "GB/s", "/ the longer", "peak memory")
    seconds = {each.name: each.seconds for each in found}
    for each in found:
        ratio = peak = ""
        if each.name.endswith("streamed"):
            arithmetic = seconds[each.name.replace("streamed", "in memory")]
            ratio = f"{each.seconds / max(seconds['raw read'], arithmetic):.2f}"
            peak = f"{each.peak / 1e6:.0f} MB"
        speed = f"{N_BYTES / 1e9 / each.seconds:.2f}"
        table.add_row(each.name, f"{each.seconds:.2f}", speed, ratio, peak)
    return table
