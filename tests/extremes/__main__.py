"""Trains extreme configs and judges every training by a plain loop.

    python -m tests.extremes [--n 2000] [--first 0] [--seed 0]

Every config is run end to end with warnings as errors. It takes about 0.3 s a config, and ends with
exit code 1 if anything is wrong.
"""

import argparse
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

from tests.extremes.configs import extreme
from tests.extremes.judge import judge


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.extremes", description=__doc__)
    parser.add_argument("--n", type=int, default=2000, help="configs (default: 2000)")
    parser.add_argument("--first", type=int, default=0, help="number of the first")
    parser.add_argument("--seed", type=int, default=0, help="of the generator")
    options = parser.parse_args()
    kinds, n_wrong, start = Counter(), 0, time.perf_counter()
    for number in range(options.first, options.first + options.n):
        found, complaints = judged(options.seed, number)
        kinds += found
        n_wrong += bool(complaints)
        for complaint in complaints:
            print(f"config {number}: {complaint}", flush=True)
    counted = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()))
    elapsed = time.perf_counter() - start
    print(f"{options.n} configs in {elapsed:.0f} s, {n_wrong} with something wrong; {counted}")
    sys.exit(n_wrong > 0)


def judged(seed: int, number: int) -> tuple[Counter, list[str]]:
    """The kinds of a config's trainings, and what is wrong with them."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return judge(extreme(seed, number), Path(folder))
        except Exception:  # whatever it is, it is wrong, and the other configs are to be seen
            return Counter(), [traceback.format_exc()]


if __name__ == "__main__":
    main()
