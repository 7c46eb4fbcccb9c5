"""Counts the rows that random batches never see, in many trials."""

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sgdlab.errors import UsageError
from sgdlab.lab.checks import check_count
from sgdlab.lab.sampling.theory import (
    Sampling,
    never_share,
    never_share_of_many,
    never_variance,
)
from sgdlab.observer import Observer
from sgdlab.random_streams import Purpose, generator

MANY_DRAWS = 2 * 10**9  # seconds: beyond, a note says that there is more to come
MAX_DRAWS = 10**11  # minutes
MAX_BATCHES = 10**8  # the same, for batches of several rows
DRAWS_AT_ONCE = 2**17  # as indices, they fit the cache of a core
ROWS_AT_ONCE = 2**20  # as marks, the same
TRIALS_AT_ONCE = 2**11
CHUNKS_AT_ONCE = 64


@dataclass(frozen=True)
class SamplingResult:
    """How many rows were never sampled, in trials and by theory.

    Attributes
    ----------
    first_count, mean_count
        Rows never sampled in the first trial, and the mean over all trials.
    variance
        Of that number over the trials, with divisor ``n_trials - 1``; NaN for a single trial.
    exact_share, limit_share, exact_variance
        Of theory: the probability for one row, its limit for many rows, the variance of the number.
    """

    sampling: Sampling
    n_trials: int
    seed: int
    first_count: int
    mean_count: float
    variance: float
    exact_share: float
    limit_share: float
    exact_variance: float

    @property
    def first_share(self) -> float:
        return self.first_count / self.sampling.n_rows

    @property
    def mean_share(self) -> float:
        return self.mean_count / self.sampling.n_rows

    @property
    def standard_error(self) -> float:
        """That of ``mean_share``, from the trials."""
        return math.sqrt(self.variance / self.n_trials) / self.sampling.n_rows

    @property
    def z_score(self) -> float:
        """How far ``mean_share`` is off, in exact standard errors; NaN where that error is 0."""
        if self.exact_variance == 0:
            return math.nan
        exact_error = math.sqrt(self.exact_variance / self.n_trials) / self.sampling.n_rows
        return (self.mean_share - self.exact_share) / exact_error


def simulate_each(
    samplings: Sequence[Sampling], n_trials: int, seed: int, n_threads: int, observer: Observer
) -> list[SamplingResult]:
    """:func:`simulate` some samplings, once all of them are known to be feasible."""
    for sampling in samplings:
        _check_work(sampling, n_trials)
    results = []
    for sampling in samplings:
        if sampling.n_draws * n_trials > MANY_DRAWS:
            observer.note(f"n {sampling.n_rows}: {n_trials} trials of {sampling.n_draws} draws")
        results.append(simulate(sampling, n_trials, seed, n_threads))
    return results


def simulate(sampling: Sampling, n_trials: int, seed: int, n_threads: int = 1) -> SamplingResult:
    """Repeat a sampling ``n_trials`` times; the result does not depend on ``n_threads``.

    Raises
    ------
    UsageError
        If there are no trials, or more draws or batches than end within minutes.
    """
    _check_work(sampling, n_trials)
    # Sums of integers are exact, and small if they are taken about a number near the mean.
    center = round(sampling.n_rows * never_share(sampling))
    total = squares = first_count = 0
    for index, counts in enumerate(never_counts(sampling, n_trials, seed, n_threads)):
        if index == 0:
            first_count = int(counts[0])
        deviations = counts - center
        total += int(deviations.sum())
        squares += int(np.square(deviations).sum())
    pairs = n_trials * (n_trials - 1)
    return SamplingResult(
        sampling=sampling,
        n_trials=n_trials,
        seed=seed,
        first_count=first_count,
        mean_count=center + total / n_trials,
        variance=(n_trials * squares - total**2) / pairs if pairs else math.nan,
        exact_share=never_share(sampling),
        limit_share=never_share_of_many(sampling),
        exact_variance=never_variance(sampling),
    )


def _check_work(sampling: Sampling, n_trials: int) -> None:
    check_count("n_trials", n_trials)
    work, largest, unit = sampling.n_draws * n_trials, MAX_DRAWS, "draws"
    if sampling.batch_size > 1:
        work, largest, unit = sampling.n_batches * n_trials, MAX_BATCHES, "batches"
    if work > largest:
        place = f"`n_rows={sampling.n_rows}` `epochs={sampling.epochs}` `n_trials={n_trials}`"
        raise UsageError(place, f"{work} {unit}", f"at most {largest}", "take fewer trials")


def never_counts(
    sampling: Sampling, n_trials: int, seed: int, n_threads: int = 1
) -> Iterator[NDArray[np.int64]]:
    """How many rows were never sampled in each trial, some trials at a time.

    A chunk of trials has a stream of random numbers of its own, so threads change no count.
    """
    if sampling.batch_size == 1:
        chunk_size, count = max(1, DRAWS_AT_ONCE // sampling.n_rows), _never_drawn
    else:
        chunk_size, count = TRIALS_AT_ONCE, _never_in_batches
    n_chunks = math.ceil(n_trials / chunk_size)

    def chunk(index: int) -> NDArray[np.int64]:
        rng = generator(seed, Purpose.SAMPLING, sampling.n_rows, index)
        return count(sampling, min(chunk_size, n_trials - index * chunk_size), rng)

    pool = ThreadPoolExecutor(n_threads)
    try:
        for first in range(0, n_chunks, CHUNKS_AT_ONCE):
            yield from pool.map(chunk, range(first, min(first + CHUNKS_AT_ONCE, n_chunks)))
    finally:
        # Ctrl-C does not wait for a trial under way, which may take minutes.
        pool.shutdown(wait=False, cancel_futures=True)


def _never_drawn(sampling: Sampling, n_trials: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draws every row by its index, with replacement.

    Of a data set that the cache cannot hold, range by range: how many draws fall into each range
    is multinomial.
    """
    n_rows = sampling.n_rows
    if n_rows <= ROWS_AT_ONCE:
        return _never_marked(n_rows, sampling.n_draws, n_trials, rng)
    starts = range(0, n_rows, ROWS_AT_ONCE)
    sizes = [min(ROWS_AT_ONCE, n_rows - start) for start in starts]
    draws = rng.multinomial(sampling.n_draws, np.divide(sizes, n_rows), size=n_trials)
    return np.array(
        [
            sum(int(_never_marked(*part, 1, rng)[0]) for part in zip(sizes, trial, strict=True))
            for trial in draws.tolist()
        ]
    )


def _never_marked(
    n_rows: int, n_draws: int, n_trials: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draws indices, a slice of every trial at a time, and marks them in one array for all."""
    was_drawn = np.zeros(n_trials * n_rows, dtype=bool)
    first_rows = np.arange(0, len(was_drawn), n_rows)[:, np.newaxis]
    n_at_once = max(1, DRAWS_AT_ONCE // n_trials)
    for start in range(0, n_draws, n_at_once):
        drawn = rng.integers(n_rows, size=(n_trials, min(n_at_once, n_draws - start)))
        drawn += first_rows
        was_drawn[drawn.reshape(-1)] = True
    n_drawn: NDArray[np.int64] = np.count_nonzero(was_drawn.reshape(n_trials, n_rows), axis=1)
    return n_rows - n_drawn


def _never_in_batches(
    sampling: Sampling, n_trials: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draws of each batch how many of its distinct rows are new.

    That number is hypergeometric, given how many rows are left, so no row has to be drawn itself.
    """
    n_rows, batch_size = sampling.n_rows, sampling.batch_size
    left = np.full(n_trials, n_rows - batch_size)
    for _ in range(sampling.n_batches - 1):
        if not left.any():
            break
        left -= rng.hypergeometric(left, n_rows - left, batch_size)
    return left
