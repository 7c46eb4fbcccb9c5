"""Batch size times k: which learning rate trains as before, and which is the best for each."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sgdlab.config.model import Run, Train
from sgdlab.data.dataset import Dataset
from sgdlab.engine.running_block import Outcome
from sgdlab.errors import DataError
from sgdlab.lab.scaling_rule.design import BUDGETS, RULES, Base, ScalingOptions, Variant, make_base
from sgdlab.lab.scaling_rule.tuning import Tuning, learning_rates, tune
from sgdlab.lab.trainer import train_settings
from sgdlab.observer import Observer
from sgdlab.uncertainty.means import Mean, mean_of
from sgdlab.uncertainty.rounding import differences, is_rounding


@dataclass(frozen=True)
class Scaled:
    """What became of one batch size, rule and budget, compared with k = 1.

    Attributes
    ----------
    share_of_limit
        The learning rate as a share of the stability limit.
    difference
        Of the validation losses, paired over replicates: those of equal number see the rows in the
        same order. NaN if a replicate diverged.
    distance
        Of weights and bias from those at k = 1, in units of the mean distance between two
        replicates at k = 1. NaN if a replicate diverged.
    diverged_epoch
        The first in which a replicate diverged; None if none did.
    """

    budget: str
    factor: int
    rule: str
    batch_size: int
    learning_rate: float
    share_of_limit: float
    epochs: int
    n_steps: int
    difference: Mean
    distance: float
    diverged_epoch: int | None


@dataclass(frozen=True)
class ScalingRule:
    """The whole experiment: every rule against k = 1, and learning rates tuned for each k."""

    base: Base
    scaled: tuple[Scaled, ...]
    tunings: tuple[Tuning, ...]

    def closest(self, budget: str, factor: int) -> Scaled | None:
        """The rule whose weights stay closest to k = 1; None if all diverged."""
        where = (budget, factor)
        rules = [rule for rule in self.scaled if (rule.budget, rule.factor) == where]
        finite = [rule for rule in rules if math.isfinite(rule.distance)]
        return min(finite, key=lambda rule: rule.distance, default=None)

    def closest_rules(self, budget: str) -> dict[int, str | None]:
        """For every k > 1 the rule that stays closest to k = 1."""
        found = {scaled.factor: self.closest(budget, scaled.factor) for scaled in self.scaled}
        return {factor: closest.rule if closest else None for factor, closest in found.items()}


def measure_scaling(
    train: Train, dataset: Dataset, run: Run, options: ScalingOptions, observer: Observer
) -> ScalingRule:
    """Train every batch size with every rule, and with a grid of learning rates.

    All trainings that share an order share its passes, and both budgets share a training.

    Raises
    ------
    UsageError
        If the factors do not fit the data, or the setting cannot answer the question.
    DataError
        If X is zero everywhere, or the order of rows makes no difference.
    """
    base, dataset = make_base(train, dataset, options)
    rates = learning_rates(base.limit)
    rules = {
        (budget, factor, rule): Variant(budget, factor, base.train.learning_rate * multiple(factor))
        for budget, factor in itertools.product(BUDGETS, options.factors)
        for rule, multiple in RULES.items()
    }
    products = itertools.product(BUDGETS, options.factors, rates.tolist())
    grid = itertools.starmap(Variant, products)
    variants = list(dict.fromkeys((*rules.values(), *grid)))
    trained = train_settings([variant.train(base) for variant in variants], dataset, run, observer)
    outcomes = dict(zip(variants, trained, strict=True))
    return ScalingRule(
        base=base,
        scaled=_compare(base, {key: (one, outcomes[one]) for key, one in rules.items()}),
        tunings=tuple(tune(base, budget, options.factors, rates, outcomes) for budget in BUDGETS),
    )


def _compare(
    base: Base, trained: dict[tuple[str, int, str], tuple[Variant, Sequence[Outcome]]]
) -> tuple[Scaled, ...]:
    """Every rule at k > 1 against k = 1, whose rules and budgets are all the same."""
    reference = trained[BUDGETS[0], 1, "x 1"][1]
    spread = distance_between(_models(reference))
    size = float(np.linalg.norm(_models(reference), axis=1).max())
    if is_rounding(spread, size):
        hint = "is y constant, or every row the same?"
        raise DataError("k = 1", "all replicates end alike", "noise to compare with", hint)
    return tuple(
        _scaled(base, rule, variant, outcomes, reference, spread)
        for (_, factor, rule), (variant, outcomes) in trained.items()
        if factor > 1
    )


def _scaled(
    base: Base,
    rule: str,
    variant: Variant,
    outcomes: Sequence[Outcome],
    reference: Sequence[Outcome],
    spread: float,
) -> Scaled:
    train = variant.train(base)
    losses, others = (
        [outcome.validation_loss for outcome in some] for some in (outcomes, reference)
    )
    apart = np.linalg.norm(_models(outcomes) - _models(reference), axis=1)
    diverged = [outcome.epochs for outcome in outcomes if outcome.status == "diverged"]
    return Scaled(
        budget=variant.budget,
        factor=variant.factor,
        rule=rule,
        batch_size=train.batch_size,
        learning_rate=train.learning_rate,
        share_of_limit=train.learning_rate / base.limit,
        epochs=train.epochs,
        n_steps=train.epochs * base.n_rows // train.batch_size,
        difference=mean_of(differences(losses, others)),
        distance=float(np.mean(apart)) / spread,
        diverged_epoch=min(diverged, default=None),
    )


def _models(outcomes: Sequence[Outcome]) -> NDArray[np.float64]:
    """Weights and bias, shape (n_replicates, n_features + 1); NaN where diverged."""
    weights = [outcome.weights for outcome in outcomes]
    known = next((found for found in weights if found is not None), np.zeros(0))
    absent = np.full(len(known), np.nan)
    weights = [absent if found is None else found for found in weights]
    return np.column_stack([np.array(weights, float), [outcome.bias for outcome in outcomes]])


def distance_between(models: NDArray[np.float64]) -> float:
    """The mean distance between two of the rows."""
    pairs = itertools.combinations(models, 2)
    return float(np.mean([np.linalg.norm(one - other) for one, other in pairs]))
