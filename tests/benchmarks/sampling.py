"""How much faster samplings are simulated than by a loop that draws one row at a time.

    python -m tests.benchmarks.sampling

Both loops mark each row they draw, and count what is left: one draws by numpy's generator, which is
also what sgdlab draws from, the other by Python's own random module. Both take the best of 3.
"""

import random
import time

import numpy as np
from rich.console import Console

from sgdlab.lab.sampling.measure import simulate
from sgdlab.lab.sampling.theory import Sampling
from sgdlab.report.layout import new_table
from sgdlab.system.machine import n_processors

N_DRAWS = 200_000_000
N_DRAWS_OF_LOOPS = 1_000_000
REPEATS = 3


def main() -> None:
    table = new_table(
        "\nn", "numpy loop,\nmillion draws/s", "random loop,\nmillion draws/s",
        "sgdlab,\nmillion draws/s", "sgdlab /\nnumpy loop", "sgdlab /\nrandom loop",
    )  # fmt: skip
    for n in (20, 100, 1000, 10_000, 100_000, 1_000_000):
        by_numpy, by_random = (draws_per_s(loop, n, N_DRAWS_OF_LOOPS) for loop in LOOPS)
        fast = draws_per_s(simulated, n, N_DRAWS)
        speeds = (f"{each / 1e6:.3g}" for each in (by_numpy, by_random, fast))
        table.add_row(str(n), *speeds, f"{fast / by_numpy:.0f}", f"{fast / by_random:.0f}")
    Console(width=80).print(table)


def draws_per_s(method, n: int, n_draws: int) -> float:
    """Of about ``n_draws`` in whole trials of one epoch."""
    n_trials = max(1, n_draws // n)
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        method(n, n_trials)
        times.append(time.perf_counter() - start)
    return n * n_trials / min(times)


def simulated(n: int, n_trials: int) -> None:
    simulate(Sampling(n), n_trials, 0, n_processors())


def numpy_loop(n: int, n_trials: int) -> None:
    rng = np.random.default_rng(0)
    _count(n, n_trials, rng.integers)


def random_loop(n: int, n_trials: int) -> None:
    _count(n, n_trials, random.Random(0).randrange)


def _count(n, n_trials, draw):
    counts = []
    for _ in range(n_trials):
        seen = [False] * n
        for _ in range(n):
            seen[draw(n)] = True
        counts.append(seen.count(False))
    return counts


LOOPS = (numpy_loop, random_loop)

if __name__ == "__main__":
    main()
