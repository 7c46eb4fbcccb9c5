"""Data larger than memory: seconds of an epoch beside the raw read and the arithmetic alone.

Writes an array of 8 GB (into ``TMPDIR``), measures, and deletes it. An epoch reads the
rows to train, and one in four the rows to validate too; before each, and before each raw read, the
file is dropped from the page cache. Figures are means of four epochs; they are compared with a raw
read of as many bytes, and with the arithmetic of the same plan on a part of the rows, which are
held in memory. All are measured in turn, several times.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml
from rich.console import RenderableType

from sgdlab.data.dataset import Dataset
from sgdlab.planning.memory import MOST_EPOCHS
from sgdlab.report.layout import new_table
from tests.benchmarks.stopwatch import Stopwatch
from tests.benchmarks.timed_search import drop_from_cache

N_BYTES = 8 * 10**9
N_CELLS = 32
N_FEATURES = 2304
WRITTEN_ROWS = 4000
PART = 16  # of the rows, one in so many is held in memory to time the arithmetic
BUFFER_BYTES = 8 * 2**20
EPOCHS = MOST_EPOCHS + 1  # the last of which measures the training loss too, and is not counted
BUDGET = "256MB"
MAX_OTHER_BYTES = 10_000  # of files that are no arrays, which an epoch reads
ORDERS = ("in_order", "shuffle_blocks")


class Measured(NamedTuple):
    """Seconds and bytes read of an epoch of all rows, and peak bytes of the process."""

    seconds: float
    n_bytes: float
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


def measure(whole: Path, part: Path, stopwatch: Stopwatch) -> dict[str, Measured]:
    """Medians of all runs, by program."""
    programs = {"raw read": partial(raw_read, whole / "Xtr.npy")}
    for order in ORDERS:
        settings = (f"train.order={order}",)
        programs[f"{order}, in memory"] = partial(in_memory, write_config(part), *settings)
        programs[f"{order}, streamed"] = partial(streamed, write_config(whole), *settings)
    found: dict[str, list[Measured]] = {name: [] for name in programs}
    for n in range(stopwatch.runs):
        for name, program in programs.items():
            print(f"  run {n + 1} of {stopwatch.runs}: {name}", file=sys.stderr)
            found[name].append(stopwatch.undisturbed(program))
    return {
        name: Measured(*(statistics.median(each) for each in zip(*runs, strict=True)))
        for name, runs in found.items()
    }


def in_memory(config: Path, *settings: str) -> Measured:
    """Of all rows, from a part of them; of epochs after those in which they are loaded."""
    settings = (*settings, f"train.epochs={EPOCHS + MOST_EPOCHS}", "run.memory_budget=2GB")
    seconds, n_bytes, peak = timed_epochs(config, *settings)
    assert n_bytes < MAX_OTHER_BYTES, "rows that are held in memory were read again"
    return Measured(PART * seconds, 0, peak)


def streamed(config: Path, *settings: str) -> Measured:
    return timed_epochs(config, *settings, f"run.memory_budget={BUDGET}")


def timed_epochs(config: Path, *settings: str) -> Measured:
    """Means of the epochs before the last that have one validation together."""
    done = timed_search(config, *settings)
    seconds, n_bytes = (done[name][-1 - MOST_EPOCHS : -1] for name in ("epochs", "bytes"))
    return Measured(statistics.mean(seconds), statistics.mean(n_bytes), done["peak"])


def timed_search(config: Path, *settings: str):
    command = [sys.executable, "-m", "tests.benchmarks.timed_search", str(config), *settings]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def raw_read(path: Path) -> Measured:
    """Reading a file from its start to its end."""
    drop_from_cache(path)
    buffer = memoryview(np.ones(BUFFER_BYTES, np.uint8))  # its pages are there before the clock
    n_bytes, start = 0, time.perf_counter()
    with open(path, "rb", buffering=0) as stream:
        while n_read := stream.readinto(buffer):
            n_bytes += n_read
    return Measured(time.perf_counter() - start, n_bytes, 0)


def epochs_table(found: Mapping[str, Measured]) -> RenderableType:
    """An epoch is compared with the longer of its arithmetic and a raw read of as many bytes."""
    table = new_table("an epoch", "seconds", "GB read", "GB/s", "/ the longer", "peak memory")
    raw = found["raw read"]
    for name, each in found.items():
        size = speed = ratio = peak = ""
        if each.n_bytes:
            size, speed = f"{each.n_bytes / 1e9:.2f}", f"{each.n_bytes / 1e9 / each.seconds:.2f}"
        if name.endswith("streamed"):
            arithmetic = found[name.replace("streamed", "in memory")].seconds
            longer = max(raw.seconds * each.n_bytes / raw.n_bytes, arithmetic)
            ratio, peak = f"{each.seconds / longer:.2f}", f"{each.peak / 1e6:.0f} MB"
        table.add_row(name, f"{each.seconds:.2f}", size, speed, ratio, peak)
    return table
