"""How often intervals cover what they should: those of slopes, and of noise scales.

Every seed has rows of its own, drawn from a law whose noise scales are known, and minibatches of
its own. Gradients are taken at zero weights, of the squared loss with a trained bias.
"""

import itertools
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from rich.console import RenderableType

from sgdlab.config.model import Train
from sgdlab.lab.gradient_noise.measure import check_batch_sizes, measure_gradient_noise
from sgdlab.lab.gradient_noise.noise_scale import measure_noise_scales
from sgdlab.lab.gradient_noise.row_gradients import RowGradients
from sgdlab.report.layout import new_table
from sgdlab.system.blas import blas_threads
from sgdlab.system.machine import n_processors
from tests.oracles.row_gradients import Rows

N_SEEDS = 2000
N_ROWS, N_COLUMNS = 200, 5  # of slopes
TRIALS = (100, 300)
ROWS_OF_SCALES = (800, 3200)
WEIGHTS = np.full(N_COLUMNS, 0.15)  # of the rows' law; its noise has variance 1
KINDS = {"with": "independent", "without": "distinct"}


@dataclass(frozen=True)
class Law:
    """Independent entries of X; a normal or a lognormal number with this sigma."""

    name: str
    sigma: float | None = None

    def rows(self, n_rows, random):
        normal = random.normal(size=(n_rows, N_COLUMNS))
        return normal if self.sigma is None else np.exp(self.sigma * normal)

    def moment(self, k):
        """The mean of x**k."""
        if self.sigma is None:
            return (1, 0, 1, 0, 3)[k]
        return np.exp((k * self.sigma) ** 2 / 2)

    def scales(self):
        """Both noise scales: X has a column of ones, and psi = -x.WEIGHTS - noise."""
        width = N_COLUMNS + 1

        def mean_of_product(*columns):
            counts = Counter(column for column in columns if column < N_COLUMNS)
            return np.prod([self.moment(k) for k in counts.values()])

        def moments(order):
            places = itertools.product(range(width), repeat=order)
            return np.array([mean_of_product(*each) for each in places]).reshape(order * (width,))

        slope = np.append(-WEIGHTS, 0.0)
        hessian = moments(2)
        G = hessian @ slope
        covariance = np.einsum("abcd,c,d->ab", moments(4), slope, slope) + hessian - np.outer(G, G)
        return np.trace(covariance) / (G @ G), np.trace(hessian @ covariance) / (G @ hessian @ G)


LAWS = (Law("normal"), Law("lognormal, 0.5", 0.5), Law("lognormal, 1", 1.0))


def tables(*_) -> Iterator[RenderableType]:
    yield slopes_table()
    yield ""
    yield scales_table()


def slopes_table() -> RenderableType:
    table = new_table(
        "95 % interval of a slope:\nentries of X", "\ntrials",
        "with repl.\ngiven", "\ncovers", "without\ngiven", "\ncovers",
    )  # fmt: skip
    for law, n_trials in itertools.product(LAWS, TRIALS):
        table.add_row(law.name, str(n_trials), *over_seeds(partial(slopes, law, n_trials)))
    return table


def scales_table() -> RenderableType:
    table = new_table(
        "95 % interval of a noise scale:\nentries of X", "\nrows",
        "tr(Sigma)\ngiven", "\ncovers", "tr(H Sigma)\ngiven", "\ncovers",
    )  # fmt: skip
    for law, n_rows in itertools.product(LAWS, ROWS_OF_SCALES):
        covered = over_seeds(partial(scales, law, law.scales(), n_rows))
        table.add_row(law.name, str(n_rows), *covered)
    return table


def over_seeds(covers) -> list[str]:
    """For every interval, how often there is one, and how often it covers."""
    with ProcessPoolExecutor(n_processors()) as pool:
        found = list(pool.map(covers, range(N_SEEDS), chunksize=50))
    return list(itertools.chain(*map(_shares, zip(*found, strict=True))))


def _shares(covered) -> tuple[str, str]:
    given = [value for value in covered if value is not None]
    if not given:
        return "0.0%", "-"
    return f"{len(given) / len(covered):.1%}", f"{np.mean(given):.1%}"


def slopes(law: Law, n_trials: int, seed: int) -> list[bool | None]:
    """Whether the intervals of the command's slopes cover -1; None where there is none."""
    gradients = gradients_of(law, N_ROWS, seed)
    with blas_threads(1):
        sizes = check_batch_sizes(None, N_ROWS)
        noise = measure_gradient_noise(gradients, sizes, n_trials, seed)
    found = [getattr(noise, attribute).slope for attribute in KINDS.values()]
    return [covers(slope.low, slope.high, -1) if slope else None for slope in found]


def scales(law: Law, truth: tuple[float, float], n_rows: int, seed: int) -> list[bool | None]:
    """The same of the population's noise scales."""
    gradients = gradients_of(law, n_rows, seed)
    with blas_threads(1):
        found = measure_noise_scales(gradients, gradients.moments())
    both = (found.simple_of_population, found.curved_of_population)
    return [covers(of.low, of.high, true) for of, true in zip(both, truth, strict=True)]


def covers(low: float | None, high: float | None, truth: float) -> bool | None:
    """None where there is no interval; one without an upper end covers all above."""
    return None if low is None else low <= truth <= (np.inf if high is None else high)


def gradients_of(law: Law, n_rows: int, seed: int) -> RowGradients:
    random = np.random.default_rng([n_rows, seed])
    X = law.rows(n_rows, random)
    y = X @ WEIGHTS + random.normal(size=n_rows)
    train = Train(batch_size=4, learning_rate=0.1, epochs=1)
    return RowGradients(Rows(X, y, n_rows), train, np.zeros(N_COLUMNS), 0.0)
