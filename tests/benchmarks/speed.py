"""How fast the homework's grid search is: ratios, all measured in one process.

    python -m tests.benchmarks.speed [--whole]

The homework's script takes minutes, and its time does not depend on learning rate and L2; unless
--whole is given, one pair of them in sixteen is run, and the time is multiplied by sixteen.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from sgdlab import provenance
from sgdlab.config import Data, Run
from sgdlab.config_file import load_config
from sgdlab.data.dataset import open_dataset
from sgdlab.data.stand_in import synthesize
from sgdlab.engine.passes import run_pass
from sgdlab.grid import expand
from sgdlab.plan import make_plan
from sgdlab.system import n_processors
from tests.benchmarks import homework
from tests.benchmarks.idle import BusyError, Idle

RUNS = 5
ATTEMPTS = 4
CONFIG = Path(__file__).parents[2] / "configs" / "age.yaml"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--whole", action="store_true", help="run all 256 models of the script")
    is_whole = arguments.parse_args().whole
    with tempfile.TemporaryDirectory() as folder:
        synthesize(Path(folder), "age_regression_")
        try:
            seconds = measure(folder, is_whole)
        except BusyError as error:
            sys.exit(f"not measured: {error}; expected an idle machine (close what else runs)")
    show(seconds, is_whole)


def measure(folder: str, is_whole: bool) -> dict[str, list[float]]:
    """Seconds of every run of every program, the programs in turn."""
    data = Data(path=folder, prefix="age_regression_")
    with open_dataset(data) as dataset:
        arrays = load_arrays(dataset)
        programs = {
            f"script, {dtype}, {threads} threads": plain_script(arrays, dtype, threads, is_whole)
            for dtype in ("float64", "float32")
            for threads in (1, 2)
        }
        programs |= {f"engine, {each}": engine(dataset, each) for each in ("float64", "float32")}
        programs["bare products"] = bare_products(arrays["float64"][0])
        seconds: dict[str, list[float]] = {name: [] for name in programs}
        for n in range(RUNS):
            for name, program in programs.items():
                print(f"  run {n + 1} of {RUNS}: {name}", file=sys.stderr)
                seconds[name].append(undisturbed(program))
    return seconds


def undisturbed(program) -> float:
    """Seconds of a run during which the machine did nothing else; at most a few are tried."""
    for attempt in range(ATTEMPTS):
        try:
            with Idle():
                return program()
        except BusyError:
            if attempt == ATTEMPTS - 1:
                raise
    raise AssertionError("every attempt returns or raises")


def load_arrays(dataset):
    """By dtype: X and y to train, X and y to validate."""
    arrays = {}
    for dtype in ("float64", "float32"):
        training, validation = dataset.training(dtype), dataset.validation(dtype)
        rows = [
            np.concatenate([X for X, _ in each.chunks(1000)]) for each in (training, validation)
        ]
        y = [each.targets.astype(np.float64) for each in (training, validation)]
        arrays[dtype] = (rows[0], y[0], rows[1], y[1])
    return arrays


def plain_script(arrays, dtype, threads, is_whole):
    """The homework's script on arrays of a dtype."""
    share = 1 if is_whole else 16
    grid = (
        homework.GRID if is_whole else [each for each in homework.GRID if each[2:] == (3e-5, 1e-5)]
    )

    def run():
        with threadpool_limits(threads, user_api="blas"):
            start = time.perf_counter()
            homework.grid_search(*arrays[dtype], grid)
            return (time.perf_counter() - start) * share

    return run


def engine(dataset, precision):
    """The engine of grid-search: reads and orders rows, trains all cells, validates every epoch."""
    cells = expand(load_config(CONFIG, [f"train.precision={precision}"])).cells
    threads = n_processors()
    (each,) = make_plan(cells, dataset.shape, Run(), threads).passes

    def run():
        start = time.perf_counter()
        n_outcomes = sum(
            len(record.outcomes) for record in run_pass(each, each.blocks, dataset, True, threads)
        )
        seconds = time.perf_counter() - start
        assert n_outcomes == len(cells)
        return seconds

    return run


def bare_products(X):
    """As many products as the training needs: 64 models, tiles of 160 rows, 64 epochs."""
    V, P, G = np.zeros((64, X.shape[1])), np.empty((64, 160)), np.empty((64, X.shape[1]))

    def run():
        start = time.perf_counter()
        for _ in range(max(homework.EPOCHS)):
            for first in range(0, len(X), 160):
                tile = X[first : first + 160]
                np.matmul(V, tile.T, out=P)
                np.matmul(P, tile, out=G)
        return time.perf_counter() - start

    return run


def show(seconds: dict[str, list[float]], is_whole: bool) -> None:
    """The table: medians, and the ratios that count."""
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    script = {
        dtype: min(medians[f"script, {dtype}, {threads} threads"] for threads in (1, 2))
        for dtype in ("float64", "float32")
    }
    double, single = medians["engine, float64"], medians["engine, float32"]
    table = Table("", "seconds", "min..max", title=f"median of {RUNS} runs")
    for name, each in seconds.items():
        table.add_row(name, f"{medians[name]:.2f}", f"{min(each):.2f}..{max(each):.2f}")
    ratios = Table("ratio", "", title="the homework's grid: 256 models, 3200 x 2304")
    for name, ratio in {
        "script on float64 arrays / engine in float64": script["float64"] / double,
        "script on float32 arrays / engine in float64": script["float32"] / double,
        "engine in float64 / engine in float32": double / single,
        "engine in float64 / bare products": double / medians["bare products"],
    }.items():
        ratios.add_row(name, f"{ratio:.2f}")
    environment = provenance.environment()
    blas = ", ".join(f"{each['internal_api']} {each['version']}" for each in environment["blas"])
    console = Console()
    console.print(table, ratios)
    console.print(f"{environment['processor']}, {environment['processors']} processors, {blas}")
    sample = "all of the script" if is_whole else "a sixteenth of the script, times sixteen"
    console.print(f"{sample}; the better of 1 and 2 BLAS threads counts")


if __name__ == "__main__":
    main()
