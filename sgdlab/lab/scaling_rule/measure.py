"""Batch size times k: which learning rate trains as before, and which is the best for each."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sgdlab.config.model import Run, Train
from sgdlab.data.dataset import Dataset
from sgdlab.engine.running_block import Outcome
from sgdlab.errors import NothingToSelectError
from sgdlab.lab.scaling_rule.comparison import Exactly, Law, Reference, compare, longest
from sgdlab.lab.scaling_rule.design import (
    BUDGETS,
    Base,
    Key,
    ScalingOptions,
    Variant,
    make_base,
    variants_of,
)
from sgdlab.lab.scaling_rule.rounding import rounding_of_models, without_rounding
from sgdlab.lab.scaling_rule.tuning import TUNING_REPLICATES, Tuning, learning_rates, tune
from sgdlab.lab.subject import Subject
from sgdlab.lab.trainer import plan_settings, train_planned, train_settings
from sgdlab.observer import Observer
from sgdlab.random_streams import Purpose, generator
from sgdlab.runs.parts import NOTHING_KEPT, Parts
from sgdlab.uncertainty.means import Mean, mean_of
from sgdlab.uncertainty.rounding import differences


@dataclass(frozen=True)
class Scaled:
    """What became of one batch size, rule and budget, compared with k = 1.

    Attributes
    ----------
    share_of_limit
        The learning rate as a share of the stability limit.
    n_diverged, diverged_epoch
        How many replicates diverged, and the first epoch in which one did; None if none did.
    difference
        Of the validation losses, paired over replicates: those of equal number see the rows in the
        same order. None if a replicate diverged.
    against_one
        Weights and bias against those at k = 1; None if a replicate diverged.
    verdict
        ``holds``, ``fails`` or ``unclear``; ``same`` or ``differs`` where nothing is random;
        ``diverged``.
    """

    budget: str
    factor: int
    rule: str
    batch_size: int
    learning_rate: float
    share_of_limit: float
    epochs: int
    n_steps: int
    n_diverged: int
    diverged_epoch: int | None
    difference: Mean | None
    against_one: Law | Exactly | None
    verdict: str


@dataclass(frozen=True)
class ScalingRule:
    """The whole experiment: every rule against k = 1, and learning rates tuned for each k.

    ``spread`` is the mean distance between two replicates at k = 1; 0 where these are equal.
    """

    base: Base
    margin: float
    spread: float
    scaled: tuple[Scaled, ...]
    tunings: tuple[Tuning, ...]

    def verdicts(self, budget: str, rule: str) -> dict[int, str]:
        """What became of a rule, for every k > 1."""
        where = (budget, rule)
        found = [scaled for scaled in self.scaled if (scaled.budget, scaled.rule) == where]
        return {scaled.factor: scaled.verdict for scaled in found}


def measure_scaling(
    subject: Subject, options: ScalingOptions, observer: Observer, parts: Parts
) -> ScalingRule:
    """Train every batch size with every rule, and with a grid of learning rates.

    All trainings that share an order share its passes, and both budgets share a training. At k = 1
    there are twice as many replicates: half of them are paired with the others by their orders, and
    half are independent of all others.

    Raises
    ------
    UsageError
        If the factors do not fit the data, or the setting cannot answer the question.
    DataError
        If X is zero everywhere.
    NothingToSelectError
        If a replicate diverges at k = 1.
    """
    run = subject.config.run
    base, dataset = make_base(subject.train, subject.dataset, options)
    rates = learning_rates(base.limit)
    rules = variants_of(base, options.factors)
    few = min(TUNING_REPLICATES, base.train.replicates)
    grid = [
        Variant(*each, n_replicates=few)
        for each in itertools.product(BUDGETS, options.factors, rates.tolist())
    ]
    variants = list(dict.fromkeys((*rules.values(), *grid)))
    settings = [variant.train(base) for variant in variants]
    plan, plan_at_one = (plan_settings(some, dataset, run) for some in (settings, [_at_one(base)]))
    parts.expect(len(plan_at_one.blocks) + len(plan.blocks))
    at_one = train_at_one(base, dataset, run, observer, parts)
    trained = train_planned(plan, dataset, run, observer, parts, "larger")
    outcomes = dict(zip(variants, trained, strict=True))
    spread, scaled = compare_rules(base, at_one, rules, outcomes, options.margin)
    return ScalingRule(
        base=base,
        margin=options.margin,
        spread=spread,
        scaled=scaled,
        tunings=tuple(tune(base, budget, options.factors, rates, outcomes) for budget in BUDGETS),
    )


def train_at_one(
    base: Base, dataset: Dataset, run: Run, observer: Observer, parts: Parts = NOTHING_KEPT
) -> list[Outcome]:
    """Twice as many replicates of k = 1 as of all else.

    Raises
    ------
    NothingToSelectError
        If one of them diverges.
    """
    train = _at_one(base)
    [outcomes] = train_settings([train], dataset, run, observer, parts, "one")
    diverged = [outcome.epochs for outcome in outcomes if _has_diverged(outcome)]
    if diverged:
        rate = f"learning rate {train.learning_rate:.3g}, {train.learning_rate / base.limit:.2g}"
        found = (
            f"{len(diverged)} of {len(outcomes)} replicates diverged, the first in epoch "
            f"{min(diverged)} ({rate} times the stability limit)"
        )
        raise NothingToSelectError(
            "k = 1", found, "a training to compare with", "give a smaller `learning_rate`"
        )
    return outcomes


def _at_one(base: Base) -> Train:
    return base.train.model_copy(update={"replicates": 2 * base.train.replicates})


def _has_diverged(outcome: Outcome) -> bool:
    return outcome.status == "diverged" or not np.isfinite(outcome.validation_loss)


def compare_rules(
    base: Base,
    at_one: Sequence[Outcome],
    rules: Mapping[Key, Variant],
    outcomes: Mapping[Variant, Sequence[Outcome]],
    margin: float,
) -> tuple[float, tuple[Scaled, ...]]:
    """The spread at k = 1, and every rule against k = 1.

    The first half of the outcomes at k = 1 is paired with those of the rules.
    """
    n = base.train.replicates
    known = _models(base, at_one)
    size = longest(known)
    rounding = rounding_of_models(base, size) / size if size > 0 else 0.0
    reference = Reference(known[:n], known[n:], rounding)
    models = {
        key: _models(base, outcomes[variant])
        for key, variant in rules.items()
        if not any(map(_has_diverged, outcomes[variant]))
    }
    found = compare(reference, models, generator(base.train.seed, Purpose.PERMUTATION))
    return reference.spread, tuple(
        _scaled(base, key, variant, (outcomes[variant], at_one[:n]), found.get(key), margin)
        for key, variant in rules.items()
    )


def _scaled(
    base: Base,
    key: Key,
    variant: Variant,
    paired: tuple[Sequence[Outcome], Sequence[Outcome]],
    against_one: Law | Exactly | None,
    margin: float,
) -> Scaled:
    train, (outcomes, at_one) = variant.train(base), paired
    diverged = [outcome.epochs for outcome in outcomes if _has_diverged(outcome)]
    return Scaled(
        budget=variant.budget,
        factor=variant.factor,
        rule=key[-1],
        batch_size=train.batch_size,
        learning_rate=train.learning_rate,
        share_of_limit=train.learning_rate / base.limit,
        epochs=train.epochs,
        n_steps=train.epochs * base.n_rows // train.batch_size,
        n_diverged=len(diverged),
        diverged_epoch=min(diverged, default=None),
        difference=None
        if diverged
        else mean_of(differences(_losses(base, outcomes), _losses(base, at_one))),
        against_one=against_one,
        verdict=against_one.verdict(margin) if against_one else "diverged",
    )


def _losses(base: Base, outcomes: Sequence[Outcome]) -> NDArray[np.float64]:
    return without_rounding(base, [outcome.validation_loss for outcome in outcomes])


def _models(base: Base, outcomes: Sequence[Outcome]) -> NDArray[np.float64]:
    """What training made of weights and bias, of outcomes that did not diverge.

    A bias counts from where it starts, and one that is not trained not at all: a large one would
    make every difference look small. Shape (n_replicates, n_parameters).
    """
    weights = np.array([outcome.weights for outcome in outcomes], np.float64)
    if not base.train.train_bias:
        return weights
    bias = np.array([outcome.bias for outcome in outcomes]) - base.train.initial_bias
    return np.column_stack([weights, bias])
