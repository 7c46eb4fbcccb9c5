"""Batch size times k: what is trained at k = 1, and what a larger k makes of it."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from sgdlab.config.model import Train
from sgdlab.data.dataset import Dataset
from sgdlab.errors import DataError, UsageError
from sgdlab.lab.checks import check_learning_rate
from sgdlab.lab.row_space import in_row_space
from sgdlab.lab.subject import need_plain_sgd
from sgdlab.optim.curvature import largest_eigenvalue_of_rows, stability_limit
from sgdlab.words.orders import ORDERS
from sgdlab.words.starts import STARTS

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
FEWEST_REPLICATES, MOST_REPLICATES = 4, 10_000
EQUAL_REPLICATES = 2  # where nothing is random: one to compare, and one to show that it is equal


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
    replicates
        Of every training that is compared, in different orders; at least 4, and a verdict needs 10.
    margin
        Differences of so much of the spread at k = 1 are none that matters.
    """

    factors: tuple[int, ...] = (1, 2, 4, 8)
    replicates: int = 30
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    margin: float = 0.1


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
    target_size
        The root mean square of y.
    """

    train: Train
    n_rows: int
    n_left_out: int
    eigenvalue: float
    target_size: float

    @property
    def n_steps(self) -> int:
        """Updates at k = 1."""
        return self.train.epochs * self.n_rows // self.train.batch_size

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
    takes k times the epochs. ``n_replicates`` are those at k = 1 where it is None.
    """

    budget: str
    factor: int
    learning_rate: float
    n_replicates: int | None = None

    def train(self, base: Base) -> Train:
        """Every hyperparameter."""
        return base.train.model_copy(
            update={
                "batch_size": base.train.batch_size * self.factor,
                "learning_rate": self.learning_rate,
                "epochs": base.train.epochs * (self.factor if self.budget == "steps" else 1),
                "replicates": self.n_replicates or base.train.replicates,
            }
        )


Key = tuple[str, int, str]  # a budget, k, and a rule


def variants_of(base: Base, factors: Sequence[int]) -> dict[Key, Variant]:
    """Every rule under both budgets, for every k > 1."""
    rate = base.train.learning_rate
    return {
        (budget, factor, rule): Variant(budget, factor, rate * multiple(factor))
        for budget, factor in itertools.product(BUDGETS, factors)
        for rule, multiple in RULES.items()
        if factor > 1
    }


def make_base(train: Train, dataset: Dataset, options: ScalingOptions) -> tuple[Base, Dataset]:
    """The training at k = 1, and the data without the rows that are left out.

    These are in other coordinates where that takes less arithmetic.

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
    rows = limited.training(np.float64)
    eigenvalue = largest_eigenvalue_of_rows(rows, train.train_bias)
    if not eigenvalue > 0:
        raise DataError(dataset.arrays["Xtr"].name, "all zero in X", "other values")
    learning_rate = options.learning_rate or SMALL_SHARE / largest * 2 / (eigenvalue + train.l2)
    changes = {
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "epochs": options.epochs or _usual_epochs(learning_rate * eigenvalue * n_rows / batch_size),
        "replicates": options.replicates if replicates_differ(train) else EQUAL_REPLICATES,
    }
    n_left_out = dataset.shape.n_train - n_rows
    size = float(np.linalg.norm(rows.targets)) / math.sqrt(n_rows)
    base = Base(train.model_copy(update=changes), n_rows, n_left_out, eigenvalue, size)
    return base, in_row_space(limited, train)


def replicates_differ(train: Train) -> bool:
    """Whether replicates differ: in the order of their rows, or in where they start."""
    return ORDERS[train.order].is_random or not STARTS[train.initial_weights].is_zero


def _usual_epochs(time_constants: float) -> int:
    """So many that the steepest direction settles, given its time constants in an epoch."""
    needed = TIME_CONSTANTS / time_constants if time_constants > 0 else MOST_EPOCHS
    return min(max(math.ceil(needed), FEWEST_EPOCHS), MOST_EPOCHS)


def _check(train: Train, options: ScalingOptions) -> None:
    need_plain_sgd(train)
    if not FEWEST_REPLICATES <= options.replicates <= MOST_REPLICATES:
        expected = f"{FEWEST_REPLICATES} to {MOST_REPLICATES}"
        raise UsageError(f"`replicates={options.replicates}`", "out of range", expected)
    if not 0 < options.margin < math.inf:
        raise UsageError(f"`margin={options.margin}`", "no margin", "a positive number")
    if options.learning_rate is not None:
        check_learning_rate(options.learning_rate)
    if options.factors != tuple(sorted({1, *options.factors})) or len(options.factors) < 2:
        found = ",".join(map(str, options.factors))
        raise UsageError("`factors`", found, "1 and larger whole numbers, ascending")
