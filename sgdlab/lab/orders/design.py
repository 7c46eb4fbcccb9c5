"""The rows, batch size, L2 and learning rates with which a noise floor shows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sgdlab.config.model import Train
from sgdlab.data.dataset import Dataset
from sgdlab.errors import DataError, UsageError
from sgdlab.lab.checks import check_l2, check_memory
from sgdlab.lab.orders.problem import Problem, make_problem
from sgdlab.lab.subject import need_plain_sgd
from sgdlab.optim.curvature import stability_limit

MOST_ROWS = 512  # by default
FEWEST_BATCHES = 16  # in an epoch, by default
# Learning rates by default, as time constants of the steepest direction in an epoch.
PACES = (0.25, 0.5, 1.0, 2.0, 4.0)
# Up to this pace an epoch is short, and reshuffling cancels most of its noise.
SHORT_EPOCH = 1.0
USUAL_CONDITION = 30.0  # where no L2 is given, eigenvalues of the Hessian from 1 to about this
SMALLEST_SQUARE = 1e-130  # of targets, whose square float64 holds with room for small excesses
TIME_CONSTANTS = 60  # of the steepest direction, which every training lasts
COPIES = 6  # of the rows, or matrices of their products, at the same time
FEWEST_EPOCHS, MOST_EPOCHS = 4, 10_000


@dataclass(frozen=True)
class OrdersOptions:
    """What a caller may choose.

    Attributes
    ----------
    learning_rates
        None: such that an epoch takes from 1/4 to 4 time constants of the steepest direction.
    rows
        Training rows, the first, less those that the batch size does not divide.
    batch_size
        None: the config's, or less so that an epoch has at least 16 batches.
    l2
        None: the config's, or more so that the condition number is at most about 30 and every
        direction settles.
    """

    learning_rates: tuple[float, ...] | None = None
    replicates: int = 10
    rows: int = MOST_ROWS
    batch_size: int | None = None
    l2: float | None = None


def load_problem(train: Train, dataset: Dataset, options: OrdersOptions) -> Problem:
    """The first training rows in memory, and the exact minimum on them.

    Raises
    ------
    UsageError
        If the loss is not squared, the batch size does not fit the rows, or there is no noise.
    StorageError
        If the rows do not fit into memory.
    """
    need_plain_sgd(train)
    if options.l2 is not None:
        check_l2(options.l2)
    n_rows = min(options.rows, dataset.shape.n_train)
    usual = max(1, min(train.batch_size, n_rows // FEWEST_BATCHES))
    batch_size = options.batch_size or usual
    n_batches = n_rows // batch_size
    if n_batches < 2:
        place, found = f"`batch_size={batch_size}`", f"more than half of the {n_rows} rows"
        raise UsageError(place, found, "at least 2 batches", "see `rows`")
    rows = dataset.limited_to(n_batches * batch_size).training(np.float64)
    what = f"an experiment on {rows.n_rows} rows of {rows.n_features} columns"
    check_memory(what, COPIES * rows.n_bytes, "lower `rows`")
    [(X, y)] = rows.chunks(rows.n_rows)
    bias = None if train.train_bias else train.initial_bias
    if options.l2 is None:
        problem = make_problem(X, y, batch_size, train.l2, bias, USUAL_CONDITION)
    else:
        problem = make_problem(X, y, batch_size, options.l2, bias)
    _check_range(problem, train.initial_bias)
    _check_noise(problem)
    return problem


def _check_range(problem: Problem, bias: float) -> None:
    """Standard errors square excesses, which are squares; noise is a square of a product."""
    objective = problem.objective_at_zero(bias)
    if objective and not SMALLEST_SQUARE < objective < 1 / SMALLEST_SQUARE:
        found = f"values up to {np.max(np.abs(problem.y)):.2g}"
        raise DataError("y", found, "moderate ones, whose fourth powers fit float64")
    with np.errstate(over="ignore"):
        scale = float(np.max(np.square(problem.y)) * np.max(np.square(problem.X)))
    if objective and not (0 < scale < np.inf and np.isfinite(problem.noise)):
        found = "products whose squares do not fit float64"
        raise DataError("X * y", found, "moderate ones", "see data.divide_by")


def _check_noise(problem: Problem) -> None:
    """Where the minimum fits every row, all gradients vanish there and nothing keeps SGD away."""
    if not problem.noise > problem.smallest_noise:
        hint = "give a larger `l2`, or more `rows`"
        raise UsageError(f"l2 {problem.l2:g}", "fits every row", "noise at the minimum", hint)
    if not problem.minimum.is_trusted:
        found = f"condition number {problem.minimum.condition_number:.2g}"
        hint = "give a larger `l2`"
        raise UsageError(f"l2 {problem.l2:g}", found, "an exact minimum", hint)


def choose_learning_rates(problem: Problem, options: OrdersOptions) -> tuple[float, ...]:
    """As asked for, or such that an epoch is short, and long; ascending."""
    limit = stability_limit(problem.curvature)
    if options.learning_rates is None:
        usual = (pace / problem.pace(1.0) for pace in PACES)
        return tuple(rate for rate in usual if rate <= limit / 4)
    rates = tuple(sorted(set(options.learning_rates)))
    if len(rates) < 2:
        raise UsageError("`learning_rates`", f"{len(rates)} value", "two or more")
    if rates[-1] >= limit:
        expected = f"below 2 / (lambda_max + l2) = {limit:.4g}"
        raise UsageError("`learning_rates`", f"{rates[-1]:g}", expected)
    if (n_epochs := epochs_needed(problem, rates[0])) > MOST_EPOCHS:
        found = f"{rates[0]:g}, where noise settles after {n_epochs} epochs"
        expected = f"at most {MOST_EPOCHS} epochs"
        raise UsageError("`learning_rates`", found, expected, "give larger ones")
    return rates


def epochs_needed(problem: Problem, learning_rate: float) -> int:
    """For so many time constants of the steepest direction that every direction settles."""
    return max(FEWEST_EPOCHS, round(TIME_CONSTANTS / problem.pace(learning_rate)))


def short_epochs(problem: Problem, rates: Sequence[float]) -> tuple[float, ...]:
    """Learning rates that theory calls small; all if they are too few to fit a slope to."""
    short = tuple(rate for rate in rates if problem.pace(rate) <= SHORT_EPOCH * (1 + 1e-9))
    return short if len(short) > 1 else tuple(rates)
