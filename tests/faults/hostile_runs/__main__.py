"""Gives commands on run folders that a stranger made, and judges what becomes of it.

    python -m tests.faults.hostile_runs [--n 10000] [--seed 0] [--jobs 1] [--only NUMBER]

Valid runs of several kinds are changed: any key of a document, any header of an array, any file or
folder in the place of another; the hashes are made right again, so that what stands behind them is
reached. Then `evaluate` (as a table, as JSON, and of `latest`) and the search of the run's config
must each end within a second with an exit code that says what it is, in one line and in printable
characters, use less than 500 MB, run no code, and touch nothing outside the run.
"""

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.hostile_runs.judge import Tally
from tests.faults.hostile_runs.work import told, work


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults.hostile_runs", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--n", type=int, default=10_000, help="runs (default: 10000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--only", type=int, help="the number of one run")
    options = parser.parse_args()
    os.environ |= {"COLUMNS": "100", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    start, total = time.perf_counter(), Tally()
    n_jobs = 1 if options.only is not None else options.jobs
    with tempfile.TemporaryDirectory(prefix="sgdlab-") as name:
        folder = Path(name).resolve()
        tasks = [
            (folder, job, n_jobs, options.n, options.seed, options.only) for job in range(n_jobs)
        ]
        if n_jobs == 1:
            total = work(*tasks[0])
        else:
            with multiprocessing.get_context("spawn").Pool(n_jobs) as pool:
                for tally in pool.starmap(work, tasks):
                    total.merge(tally)
    print(f"{told(total)}; it took {time.perf_counter() - start:.0f} s")
    sys.exit(bool(total.complaints))


if __name__ == "__main__":
    main()
