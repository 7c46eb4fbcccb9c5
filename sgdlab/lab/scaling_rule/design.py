"""Batch size times k: what is trained at k = 1, and what a larger k makes of it."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sgdlab.config.model import Train
from sgdlab.data.dataset import Dataset
from sgdlab.errors import DataError, UsageError
from sgdlab.lab.checks import check_learning_rate
from sgdlab.lab.subject import need_plain_sgd
from sgdlab.optim.closed_form import largest_eigenvalue, stability_limit
from sgdlab.optim.moments import moments
from sgdlab.words.orders import ORDERS

# Linear: Goyal et al. 2017, arXiv:1706.02677. Square root: Krizhevsky 2014, arXiv:1404.5997.
RULES: dict[str, Callable[[int], float]] = {
    "x k": float,
    "x sqrt k": math.sqrt,
    "x 1": lambda factor: 1.0,
}
BUDGETS = ("epochs", "steps")
SMALL_SHARE = 0.1  # of the stability limit, which the largest learning rate takes by default
TIME_CONSTANTS = 5  # of the steepest direction, which k = 1 is trained for by default ...
FEWEST_EPOCHS, MOST_EPOCHS = 4, 16  # ... within these limits


@dataclass(frozen=True)
class ScalingOptions:
    """What a caller may choose.

    Attributes
    ----------
    factors
        The values of k, with 1 among them.
    epochs
        At k = 1; None: as many as the steepest direction needs to settle, at least 4, at most 16.
    batch_size
        At k = 1; None: such that the largest batch is the config's own.
    learning_rate
        At k = 1; None: such that k times it is at most a tenth of the stability limit.
    """

    factors: tuple[int, ...] = (1, 2, 4, 8)
    replicates: int = 10
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None


@dataclass(frozen=True)
class Base:
    """What is trained at k = 1.

    Attributes
    ----------
    train
        Every hyperparameter.
    n_rows, n_left_out
        Training rows that are used, which every batch size divides, and those at their end that
        are not, since a shorter last batch would be scaled by another factor.
    eigenvalue
        The largest of ``X.T X / n``, with a column of ones if the bias is trained.
    """

    train: Train
    n_rows: int
    n_left_out: int
    eigenvalue: float

    @property
    def limit(self) -> float:
        """The learning rate from which full-batch gradient descent diverges."""
        return stability_limit(self.eigenvalue + self.train.l2)

    def breaks_beyond(self, rule: str) -> float:
        """The k beyond which the learning rate of a rule exceeds the limit."""
        share = self.train.learning_rate / self.limit
        if share > 1:
            return 1.0
        return {"x k": 1 / share, "x sqrt k": 1 / share**2, "x 1": math.inf}[rule]


@dataclass(frozen=True)
class Variant:
    """A factor k of the batch size, a learning rate, and how long to train.

    ``budget`` is ``epochs``: as many as at k = 1, or ``steps``: as many updates as at k = 1, which
    takes k times the epochs.
    """

    budget: str
    factor: int
    learning_rate: float

    def train(self, base: Base) -> Train:
        """Every hyperparameter."""
        return base.train.model_copy(
            update={
                "batch_size": base.train.batch_size * self.factor,
                "learning_rate": self.learning_rate,
                "epochs": base.train.epochs * (self.factor if self.budget == "steps" else 1),
            }
        )


def make_base(train: Train, dataset: Dataset, options: ScalingOptions) -> tuple[Base, Dataset]:
    """The training at k = 1, and the data without the rows that are left out.

    Raises
    ------
    UsageError
        If the factors do not fit the rows, or the setting cannot answer the question.
    DataError
        If X is zero everywhere.
    """
    _check(train, options)
    largest = max(options.factors)
    batch_size = options.batch_size or max(1, train.batch_size // largest)
    together = batch_size * math.lcm(*options.factors)
    n_rows = dataset.shape.n_train - dataset.shape.n_train % together
    if n_rows == 0:
        found = f"batches of up to {together} rows, {dataset.shape.n_train} to train"
        raise UsageError("`factors`", found, "fewer", "give smaller ones, or `batch_size`")
    limited = dataset.limited_to(n_rows)
    rows = limited.training(np.float64).walk()
    eigenvalue = largest_eigenvalue(moments(rows), train.train_bias)
    if not eigenvalue > 0:
        raise DataError(dataset.arrays["Xtr"].name, "all zero in X", "other values")
    learning_rate = options.learning_rate or SMALL_SHARE / largest * 2 / (eigenvalue + train.l2)
    changes = {
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "epochs": options.epochs or _usual_epochs(learning_rate * eigenvalue * n_rows / batch_size),
        "replicates": options.replicates,
    }
    n_left_out = dataset.shape.n_train - n_rows
    return Base(train.model_copy(update=changes), n_rows, n_left_out, eigenvalue), limited


def _usual_epochs(time_constants: float) -> int:
    """So many that the steepest direction settles, given its time constants in an epoch."""
    needed = TIME_CONSTANTS / time_constants if time_constants > 0 else MOST_EPOCHS
    return min(max(math.ceil(needed), FEWEST_EPOCHS), MOST_EPOCHS)


def _check(train: Train, options: ScalingOptions) -> None:
    need_plain_sgd(train)
    if not ORDERS[train.order].is_random:
        found = f"{train.order}, where all replicates are equal"
        raise UsageError("train.order", found, "another", "set train.order to shuffle_once")
    if options.learning_rate is not None:
        check_learning_rate(options.learning_rate)
    if options.factors != tuple(sorted({1, *options.factors})) or len(options.factors) < 2:
        found = ",".join(map(str, options.factors))
        raise UsageError("`factors`", found, "1 and larger whole numbers, ascending")
