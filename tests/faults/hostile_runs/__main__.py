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

from tests.faults.hostile_runs.judge import Judge, Tally
from tests.faults.hostile_runs.kinds import hostile_kinds

TELLS_EVERY = 500  # runs


def work(folder: Path, job: int, n_jobs: int, n: int, seed: int, only: int | None) -> Tally:
    """Judge every ``n_jobs``-th hostile run."""
    place = folder / f"job-{job}"
    place.mkdir()
    judge, tally = Judge(hostile_kinds(place), place / "sandbox"), Tally()
    for number in [only] if only is not None else range(job, n, n_jobs):
        known = len(tally.complaints)
        judge.judge(number, seed, tally)
        for complaint in tally.complaints[known:]:
            print(complaint.encode("ascii", "backslashreplace").decode(), flush=True)
        if tally.n_runs % TELLS_EVERY == 0:
            print(f"job {job}: {told(tally)}", file=sys.stderr, flush=True)
    return tally


def told(tally: Tally) -> str:
    """What came of the runs so far, in a line."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(tally.kinds.items()))
    codes = ", ".join(f"{count} of {code}" for code, count in sorted(tally.codes.items()))
    most = f"at most {tally.peak_bytes / 1e6:.0f} MB and {tally.longest_s:.2f} s of the processor"
    return (
        f"{tally.n_runs} hostile runs; complaints: {kinds or 'none'}; {most}; exit codes: {codes}"
    )


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
