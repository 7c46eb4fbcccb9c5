"""Counts the rows that random batches never see, in many trials."""

import itertools
import math
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial

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
from sgdlab.runs.parts import NOTHING_KEPT, Parts, array_of

MANY_DRAWS = 2 * 10**9  # seconds: beyond, a note says that there is more to come
MAX_DRAWS = 10**11  # minutes
MAX_BATCHES = 10**8  # the same, for batches of several rows
DRAWS_AT_ONCE = 2**17  # as indices, they fit the cache of a core
ROWS_AT_ONCE = 2**20  # as marks, the same
TRIALS_AT_ONCE = 2**11
CHUNKS_AT_ONCE = 64
MOST_PARTS = 10**4  # of the most work


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
    samplings: Sequence[Sampling],
    n_trials: int,
    seed: int,
    n_threads: int,
    observer: Observer,
    parts: Parts = NOTHING_KEPT,
) -> list[SamplingResult]:
    """:func:`simulate` some samplings, once all of them are known to be feasible."""
    for sampling in samplings:
        _check_work(sampling, n_trials)
    parts.expect(sum(len(_spans(sampling, n_trials)) for sampling in samplings))
    results = []
    for sampling in samplings:
        if sampling.n_draws * n_trials > MANY_DRAWS:
            observer.note(f"n {sampling.n_rows}: {n_trials} trials of {sampling.n_draws} draws")
        results.append(simulate(sampling, n_trials, seed, n_threads, parts))
    return results


def simulate(
    sampling: Sampling,
    n_trials: int,
    seed: int,
    n_threads: int = 1,
    parts: Parts = NOTHING_KEPT,
) -> SamplingResult:
    """Repeat a sampling ``n_trials`` times; the result does not depend on ``n_threads``.

    Raises
    ------
    UsageError
        If there are no trials, or more draws or batches than end within minutes.
    """
    _check_work(sampling, n_trials)
    # Sums of integers are exact, and small if they are taken about a number near the mean.
    center = round(sampling.n_rows * never_share(sampling))
    sums = _all_sums(sampling, n_trials, seed, n_threads, center, parts)
    first_count = sums[0][0]
    total, squares = (sum(of_span[n] for of_span in sums) for n in (1, 2))
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


def _all_sums(
    sampling: Sampling, n_trials: int, seed: int, n_threads: int, center: int, parts: Parts
) -> list[list[int]]:
    """:func:`_sums` of every span of chunks, which is a part of the experiment."""
    spans = {f"{sampling.n_rows}/{span.start}": span for span in _spans(sampling, n_trials)}
    read = partial(array_of, name="sums", dtype=np.int64, shape=(3,))
    sums = {name: parts.find(name, read) for name in spans}
    left = {name: spans[name] for name, found in sums.items() if found is None}
    chunks = [chunk for span in left.values() for chunk in span]
    with closing(never_counts(sampling, n_trials, seed, n_threads, chunks)) as counts:
        for name, span in left.items():
            sums[name] = found = _sums(itertools.islice(counts, len(span)), center)
            parts.keep(name, partial(dict, sums=found))
    return [found.tolist() for found in sums.values() if found is not None]


def _sums(chunks: Iterator[NDArray[np.int64]], center: int) -> NDArray[np.int64]:
    """The first count, and the sums of the counts' deviations from a number and their squares."""
    sums = np.zeros(3, np.int64)
    for n, counts in enumerate(chunks):
        deviations = counts - center
        first = counts[0] if n == 0 else 0
        sums += [first, deviations.sum(), np.square(deviations).sum()]
    return sums


def _chunk_size(sampling: Sampling) -> int:
    """How many trials have a stream of random numbers together."""
    if sampling.batch_size > 1:
        return TRIALS_AT_ONCE
    return max(1, DRAWS_AT_ONCE // sampling.n_rows)


def _spans(sampling: Sampling, n_trials: int) -> list[range]:
    """The chunks of trials in pieces that take a moment, or a chunk if that takes longer."""
    work, largest = sampling.n_draws, MAX_DRAWS
    if sampling.batch_size > 1:
        work, largest = sampling.n_batches, MAX_BATCHES
    size = _chunk_size(sampling)
    n_chunks = math.ceil(n_trials / size)
    length = max(1, largest // MOST_PARTS // (work * size))
    return [range(first, min(first + length, n_chunks)) for first in range(0, n_chunks, length)]


def _check_work(sampling: Sampling, n_trials: int) -> None:
    check_count("n_trials", n_trials)
    work, largest, unit = sampling.n_draws * n_trials, MAX_DRAWS, "draws"
    if sampling.batch_size > 1:
        work, largest, unit = sampling.n_batches * n_trials, MAX_BATCHES, "batches"
    if work > largest:
        place = f"`n_rows={sampling.n_rows}` `epochs={sampling.epochs}` `n_trials={n_trials}`"
        raise UsageError(place, f"{work} {unit}", f"at most {largest}", "take fewer trials")


def never_counts(
    sampling: Sampling,
    n_trials: int,
    seed: int,
    n_threads: int = 1,
    chunks: Sequence[int] | None = None,
) -> Generator[NDArray[np.int64], None, None]:
    """How many rows were never sampled in each trial, some trials at a time.

    A chunk of trials has a stream of random numbers of its own, so threads change no count.

    Parameters
    ----------
    chunks
        Their numbers; by default all.
    """
    count = _never_drawn if sampling.batch_size == 1 else _never_in_batches
    chunk_size = _chunk_size(sampling)
    if chunks is None:
        chunks = range(math.ceil(n_trials / chunk_size))

    def chunk(index: int) -> NDArray[np.int64]:
        rng = generator(seed, Purpose.SAMPLING, sampling.n_rows, index)
        return count(sampling, min(chunk_size, n_trials - index * chunk_size), rng)

    pool = ThreadPoolExecutor(n_threads)
    try:
        for first in range(0, len(chunks), CHUNKS_AT_ONCE):
            yield from pool.map(chunk, chunks[first : first + CHUNKS_AT_ONCE])
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
