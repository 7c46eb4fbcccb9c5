"""The variance of a minibatch's gradient against its size, measured and exact."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from sgdlab.data.rows import READ_BYTES
from sgdlab.errors import UsageError
from sgdlab.lab.checks import check_memory
from sgdlab.lab.gradient_noise.fourth_moments import FourthMoments, measure_fourth_moments
from sgdlab.lab.gradient_noise.frozen import AtEpoch, frozen
from sgdlab.lab.gradient_noise.minibatches import (
    DEVIATION_BYTES,
    IndexSets,
    families_a_pass,
    gradient_deviations,
)
from sgdlab.lab.gradient_noise.noise_scale import NoiseScales, measure_noise_scales
from sgdlab.lab.gradient_noise.power_law import (
    Growth,
    MeasuredMean,
    Slope,
    fit_slope,
    measure_growth,
)
from sgdlab.lab.gradient_noise.row_gradients import Moments, RowGradients, Vector
from sgdlab.lab.subject import Subject
from sgdlab.observer import Observer
from sgdlab.random_streams import Purpose, generator
from sgdlab.runs.parts import NOTHING_KEPT, Parts, array_of

OPERATIONS_A_PASS = 10**11  # which take seconds; after a pass its minibatches can be kept
COPIES = 3  # of all minibatches' gradients of one size, beside the sums that a pass makes
CHUNKS = 6  # of rows: as they are read, with a bias, gradients, and products of them
MATRICES = 4  # of all parameters: the Hessian, Sigma, and what is added to them


@dataclass(frozen=True)
class NoiseOptions:
    """What a caller may choose.

    Attributes
    ----------
    at_epoch
        At the weights after so many epochs.
    batch_sizes
        From 1 to the number of training rows; None: powers of two, and all rows.
    n_trials
        Minibatches of each size, with and without replacement.
    """

    at_epoch: int = 1
    batch_sizes: tuple[int, ...] | None = None
    n_trials: int = 500
    seed: int = 0


@dataclass(frozen=True)
class Variance:
    """The trace of the covariance of a minibatch's gradient.

    ``measured`` is the mean squared distance from the exact gradient over some index sets.
    ``standard_error`` is what so many of them scatter by: exactly, by the rows' fourth moments, for
    a few distances show nothing of the tail that their own spread would have to be seen in.
    ``exact`` is tr(Sigma)/m, times (n - m)/(n - 1) without replacement.
    """

    batch_size: int
    measured: float
    standard_error: float
    exact: float

    @property
    def ratio(self) -> float | None:
        """Measured over exact; None where there is nothing to measure."""
        return self.measured / self.exact if self.exact > 0 else None

    @property
    def ratio_standard_error(self) -> float | None:
        return self.standard_error / self.exact if self.exact > 0 else None


@dataclass(frozen=True)
class Sampling:
    """Minibatches of all sizes, drawn in one of the two ways.

    ``slope`` is of log variance against log m with replacement and against
    log(m (n - 1)/(n - m)) without: -1 in theory. It is None where there are not two sizes with a
    variance. ``growths`` say what multiplying m by k does; without replacement, where the answer
    depends on m, there are none.
    """

    with_replacement: bool
    variances: tuple[Variance, ...]
    slope: Slope | None
    growths: tuple[Growth, ...]


@dataclass(frozen=True)
class GradientNoise:
    """All about the noise of minibatch gradients at some weights; ``trace`` is tr(Sigma)."""

    n_rows: int
    n_parameters: int
    n_trials: int
    trace: float
    independent: Sampling
    distinct: Sampling
    scales: NoiseScales


def check_batch_sizes(batch_sizes: Sequence[int] | None, n_rows: int) -> list[int]:
    """Ascending and without repetition; by default the powers of two below n, and n.

    Raises
    ------
    UsageError
        If there is none, or one is not from 1 to ``n_rows``.
    """
    if batch_sizes is None:
        return [2**k for k in range((n_rows - 1).bit_length())] + [n_rows]
    expected = f"whole numbers from 1 to {n_rows}, the rows to train"
    if not batch_sizes:
        raise UsageError("`batch_sizes`", "none", expected)
    for size in batch_sizes:
        if not 1 <= size <= n_rows:
            raise UsageError("`batch_sizes`", str(size), expected)
    return sorted(set(batch_sizes))


def measure_at_epoch(
    subject: Subject, options: NoiseOptions, observer: Observer, parts: Parts
) -> AtEpoch[GradientNoise]:
    """:func:`measure_gradient_noise` at a cell's weights after some epochs."""
    sizes = check_batch_sizes(options.batch_sizes, subject.dataset.shape.n_train)
    parts.expect(2 * len(sizes) + (options.at_epoch > 0))
    with frozen(subject, options.at_epoch, observer, parts) as gradients:
        found = measure_gradient_noise(gradients, sizes, options.n_trials, options.seed, parts)
    return AtEpoch(options.at_epoch, found)


def measure_gradient_noise(
    gradients: RowGradients,
    batch_sizes: Sequence[int],
    n_trials: int,
    seed: int,
    parts: Parts = NOTHING_KEPT,
) -> GradientNoise:
    """Measure with ``n_trials`` fresh minibatches of every size, with and without replacement.

    Parameters
    ----------
    batch_sizes
        Ascending, from 1 to n. The numbers drawn for one do not depend on the others.
    n_trials
        At least 2.
    parts
        The minibatches of one size are a part of the experiment.

    Raises
    ------
    StorageError
        If the gradients of so many minibatches do not fit into memory.
    """
    _check_memory(gradients, len(batch_sizes), n_trials)
    moments = gradients.moments()
    fourth = measure_fourth_moments(gradients, moments.trace) if moments.trace > 0 else None

    def measure(with_replacement: bool) -> Sampling:
        families = _families(batch_sizes, n_trials, seed, with_replacement, gradients.n_rows)
        samples = _squared_distances(gradients, moments, families, parts)
        return _sampling(families, samples, moments.trace, fourth, with_replacement)

    return GradientNoise(
        n_rows=gradients.n_rows,
        n_parameters=gradients.n_parameters,
        n_trials=n_trials,
        trace=moments.trace,
        independent=measure(True),
        distinct=measure(False),
        scales=measure_noise_scales(gradients, moments),
    )


def _check_memory(gradients: RowGradients, n_sizes: int, n_trials: int) -> None:
    n_parameters = gradients.n_parameters
    chunks = CHUNKS * min(float(READ_BYTES), 8.0 * gradients.n_rows * n_parameters)
    what = f"{n_trials} gradients of {n_parameters} parameters at a time"
    a_family = 8.0 * n_trials * n_parameters
    a_pass = max(a_family, min(n_sizes * a_family, DEVIATION_BYTES))
    check_memory(what, a_pass + COPIES * a_family + chunks, "lower `n_trials`")
    if gradients.has_small_matrices:
        what = f"matrices of {n_parameters} parameters"
        check_memory(what, MATRICES * 8.0 * n_parameters**2 + chunks, "take fewer columns")


def _families(
    batch_sizes: Sequence[int], n_trials: int, seed: int, with_replacement: bool, n_rows: int
) -> list[IndexSets]:
    """The minibatches of every size, with a stream of random numbers of their own."""
    kind = int(with_replacement)
    return [
        IndexSets(n_trials, m, with_replacement, n_rows, random)
        for m in batch_sizes
        for random in [generator(seed, Purpose.GRADIENT_NOISE, kind, m)]
    ]


def _sampling(
    families: Sequence[IndexSets],
    samples: Sequence[Vector],
    trace: float,
    fourth: FourthMoments | None,
    with_replacement: bool,
) -> Sampling:
    """What squared distances say; without ``fourth`` all rows are alike."""
    variances, means = [], []
    for family, squared_distances in zip(families, samples, strict=True):
        measured, m = float(squared_distances.mean()), family.batch_size
        size = float(m) if with_replacement else _equivalent(m, family.n_rows)
        if fourth is None or math.isinf(size):
            variances.append(Variance(m, measured, 0.0, 0.0))
            continue
        error = math.sqrt(fourth.relative_variance(m, with_replacement) / family.n_sets)
        variances.append(Variance(m, measured, error * trace / size, trace / size))
        means.append(MeasuredMean(m, size, measured, error))
    slope = fit_slope(means, families[0].n_sets)
    growths = measure_growth(means) if with_replacement else ()
    return Sampling(with_replacement, tuple(variances), slope, growths)


def _equivalent(batch_size: int, n_rows: int) -> float:
    """How many independent draws have the variance of this many distinct ones."""
    if batch_size == n_rows:
        return math.inf
    return batch_size * (n_rows - 1) / (n_rows - batch_size)


def _squared_distances(
    gradients: RowGradients, moments: Moments, families: Sequence[IndexSets], parts: Parts
) -> list[Vector]:
    """From the exact gradient, shape (n_sets,) a family; as few passes as memory and time allow.

    Where gradients are alike but for rounding, they do not deviate.
    """
    shape = (families[0].n_sets,)
    read = partial(array_of, name="squares", dtype=np.float64, shape=shape)
    found = {family: parts.find(family.name, read) for family in families}
    left = [family for family in families if found[family] is None]
    of_one = 2 * gradients.n_rows * gradients.n_parameters * families[0].n_sets
    has_room = families_a_pass(gradients, families[0].n_sets)
    per_pass = max(1, min(has_room, OPERATIONS_A_PASS // of_one))
    for start in range(0, len(left), per_pass):
        together = left[start : start + per_pass]
        of_families = gradient_deviations(gradients, together)
        for family, deviations in zip(together, of_families, strict=True):
            deviations[:, moments.variance == 0] = 0.0
            squares = np.einsum("ij,ij->i", deviations, deviations)
            found[family] = squares
            parts.keep(family.name, partial(dict, squares=squares))
    return [squares for squares in found.values() if squares is not None]
