"""Has Python's functions refuse calls, and judges what becomes of runs.

    python -m tests.faults [--n 1000] [--seed 0]

An error, which passes or stays, at any of the calls by which a search, one with folds, an
evaluation, a resumed search, and a finished one that is asked for more look at, open, read, write,
flush, rename or remove something. It takes about 0.3 s an error, and ends with exit code 1 if there
is a traceback, a success that is none, a file that is gone though nobody found it damaged, a
finished run that is not shown any more, or if the same command then ends with other bytes.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.judge import counted_kinds, try_faults
from tests.faults.scenarios import make_scenarios


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--n", type=int, default=1000, help="errors (default: 1000)")
    parser.add_argument("--seed", type=int, default=0, help="of the order in which they come")
    options = parser.parse_args()
    os.environ["COLUMNS"] = "100"
    tried, n_wrong, start = [], 0, time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="sgdlab-") as name:
        scenarios = make_scenarios(Path(name).resolve())
        for what, wrong in try_faults(scenarios, options.n, options.seed):
            tried.append(what)
            n_wrong += bool(wrong)
            for complaint in wrong:
                print(f"{what}: {complaint}", flush=True)
        os.chdir("/")
    counts = ", ".join(f"{n} {kind}" for kind, n in sorted(counted_kinds(tried).items()))
    elapsed = time.perf_counter() - start
    print(f"{len(tried)} errors in {elapsed:.0f} s, {n_wrong} with something wrong; {counts}")
    sys.exit(n_wrong > 0)


if __name__ == "__main__":
    main()
