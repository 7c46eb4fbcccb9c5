"""What gradient descent is on its way to: maximum likelihood in closed form, and a ridge path."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from sgdlab.config.model import Train
from sgdlab.data.dataset import Dataset
from sgdlab.data.rows import Chunk, RowSet
from sgdlab.engine.error_sums import ErrorSums, prediction_errors
from sgdlab.evaluation.comparison import constant_prediction, paired_difference
from sgdlab.lab.checks import check_l2
from sgdlab.lab.factors import Factors, factorise
from sgdlab.lab.solve.penalties import usual_l2
from sgdlab.optim.closed_form import Minimum, Spectrum, rounding_of_fit
from sgdlab.optim.losses import Losses, losses_of
from sgdlab.uncertainty.differences import Difference

BiasMode = Literal["free", "config", "none"]


@dataclass(frozen=True)
class Fit:
    """The minimiser for one ``l2``; ``test`` is None where the test rows were not looked at."""

    l2: float
    minimum: Minimum
    effective_parameters: float
    training: Losses
    validation: Losses
    test: Losses | None = None


@dataclass(frozen=True)
class Likelihood:
    """The likelihood of the training targets under y ~ N(x.w + b, sigma2), at its maximum.

    Attributes
    ----------
    n_parameters
        The rank of X, and one for a free bias.
    sigma2
        The mean squared residual: on average too small, since the weights were fitted to it.
    sigma2_unbiased
        With divisor n_rows - n_parameters; None where the fit is exact.
    log_likelihood
        Natural logarithm of the density; None where the fit is exact and there is no maximum.
    """

    n_parameters: int
    sigma2: float
    sigma2_unbiased: float | None = None
    log_likelihood: float | None = None


@dataclass(frozen=True)
class Baseline:
    """The constant predictor, and how much larger the fits' losses are.

    Attributes
    ----------
    constant
        What it predicts: the mean of the training targets.
    losses
        By ``training``, ``validation`` and ``test``.
    differences
        Half mean squared errors of maximum likelihood and of the selected ridge minus that of the
        constant, each by ``validation`` and ``test``.
    """

    constant: float
    losses: dict[str, Losses]
    differences: dict[str, tuple[Difference, Difference]]


@dataclass(frozen=True)
class Solution:
    """The closed form on the training rows.

    Attributes
    ----------
    maximum_likelihood
        The fit without L2.
    path
        Fits in ascending order of L2.
    cell_l2
        Of the cell; its training minimises the objective with this L2.
    best
        That of ``path`` with the smallest half mean squared error on the validation rows.
    """

    bias_mode: BiasMode
    cell_l2: float
    factors: Factors
    likelihood: Likelihood
    maximum_likelihood: Fit
    path: tuple[Fit, ...]
    best: Fit
    baseline: Baseline


def solve(
    dataset: Dataset,
    bias_mode: BiasMode,
    train: Train,
    l2: Sequence[float] | None = None,
    test_all: bool = False,
) -> Solution:
    """Maximum likelihood and a ridge path on the training rows.

    Parameters
    ----------
    bias_mode
        ``free`` fits the bias, ``config`` holds it at ``train.initial_bias``, ``none`` at 0.
    train
        Of the cell: the rest tells whose stability is meant.
    l2
        Of the ridge path; by default :func:`sgdlab.lab.solve.penalties.usual_l2`.
    test_all
        Look at the test rows for every L2, and not for the selected one alone.

    Raises
    ------
    UsageError
        If an L2 is negative, or so large that products overflow.
    DataError
        If squares of the values are out of the range of float64.
    """
    for value in () if l2 is None else l2:
        check_l2(value)
    bias = {"free": None, "config": train.initial_bias, "none": 0.0}[bias_mode]
    factors = factorise(dataset.training(np.float64), bias, train.train_bias)
    path_l2 = usual_l2(factors.spectrum) if l2 is None else sorted(set(l2))
    fits = _fits(factors, [0.0, *path_l2], dataset)
    best = 1 + int(np.argmin([fit.validation.half_mse for fit in fits[1:]]))
    tested = range(len(fits)) if test_all else (0, best)
    fits = _with_test(fits, tested, factors.spectrum, dataset)
    return Solution(
        bias_mode=bias_mode,
        cell_l2=train.l2,
        factors=factors,
        likelihood=_likelihood(fits[0], factors, bias is None, dataset),
        maximum_likelihood=fits[0],
        path=tuple(fits[1:]),
        best=fits[best],
        baseline=_baseline(fits[0].minimum, fits[best].minimum, factors.spectrum, dataset),
    )


def _fits(factors: Factors, penalties: Sequence[float], dataset: Dataset) -> list[Fit]:
    spectrum = factors.spectrum
    minima = [spectrum.minimum(l2) for l2 in penalties]
    parameters = [spectrum.effective_parameters(l2) for l2 in penalties]
    training = _losses(minima, spectrum, dataset.training(np.float64))
    validation = _losses(minima, spectrum, dataset.validation(np.float64))
    columns = (penalties, minima, parameters, training, validation)
    return [Fit(*values) for values in zip(*columns, strict=True)]


def _with_test(
    fits: list[Fit], which: Sequence[int], spectrum: Spectrum, dataset: Dataset
) -> list[Fit]:
    """The same fits, some of them with their losses on the test rows."""
    losses = _losses([fits[n].minimum for n in which], spectrum, dataset.test(np.float64))
    tested = dict(zip(which, losses, strict=True))
    return [replace(fit, test=tested.get(n)) for n, fit in enumerate(fits)]


def _centred(rows: RowSet, spectrum: Spectrum) -> Iterator[Chunk]:
    """Rows for which no model needs a bias; large means would cost digits of small residuals."""
    for chunk, targets in rows.walk():
        yield chunk - spectrum.means, targets - spectrum.target_mean


def _losses(minima: Sequence[Minimum], spectrum: Spectrum, rows: RowSet) -> list[Losses]:
    """Those of every model, in one pass over the rows."""
    weights = np.stack([minimum.weights for minimum in minima])
    sums = ErrorSums(len(minima))
    for chunk, targets in _centred(rows, spectrum):
        sums.add(weights @ chunk.T, targets)
    return [Losses(*map(float, values)) for values in zip(sums.half_mse, sums.mae, strict=True)]


def _likelihood(fit: Fit, factors: Factors, fits_bias: bool, dataset: Dataset) -> Likelihood:
    targets = dataset.training(np.float64).targets
    n_rows, n_parameters = len(targets), factors.spectrum.rank + fits_bias
    rounding = rounding_of_fit(fit.minimum, factors.column_sizes, targets)
    if n_parameters >= n_rows or fit.training.rmse <= rounding:
        return Likelihood(n_parameters, 0.0)
    sigma2 = 2 * fit.training.half_mse
    return Likelihood(
        n_parameters=n_parameters,
        sigma2=sigma2,
        sigma2_unbiased=sigma2 * n_rows / (n_rows - n_parameters),
        log_likelihood=-n_rows / 2 * (math.log(2 * math.pi * sigma2) + 1),
    )


def _baseline(
    maximum_likelihood: Minimum, best: Minimum, spectrum: Spectrum, dataset: Dataset
) -> Baseline:
    weights = np.stack([minimum.weights for minimum in (maximum_likelihood, best)])
    training = dataset.training(np.float64).targets
    constant = constant_prediction("half_mse", training)
    losses = {"training": losses_of(constant - training)}
    differences = {}
    held_out = {"validation": dataset.validation(np.float64), "test": dataset.test(np.float64)}
    for name, rows in held_out.items():
        errors = prediction_errors(weights, np.zeros(2), _centred(rows, spectrum))
        from_constant = constant - rows.targets
        losses[name] = losses_of(from_constant)
        of_likelihood, of_best = (
            paired_difference("half_mse", of_model[None], from_constant, rows.targets)
            for of_model in errors
        )
        differences[name] = (of_likelihood, of_best)
    return Baseline(constant, losses, differences)
