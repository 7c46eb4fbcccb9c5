"""What the figures of ``orders`` say, in plain words."""

import math
from collections.abc import Iterator

from sgdlab.lab.orders.compared import expected_floor
from sgdlab.lab.orders.design import SHORT_EPOCH, is_short
from sgdlab.lab.orders.measure import OrdersResult
from sgdlab.lab.orders.own_training import SMALL_DIFFERENCE, OwnTraining
from sgdlab.report.numbers import measured, setting, with_error
from sgdlab.uncertainty.means import Mean, differ

WORDS = {
    "with_replacement": "with replacement",
    "fresh_subset": "for a fresh subset",
    "shuffle_once": "shuffled once",
    "shuffle_each_epoch": "shuffled each epoch",
}


def sentences(result: OrdersResult) -> Iterator[str]:
    """On divergence, on growth with the learning rate, on repeats and misses, and the answer."""
    yield from _on_divergence(result)
    yield from _on_slopes(result)
    yield from _on_repeats_and_misses(result)
    yield _answer(result.own, result.missed)


def _on_divergence(result: OrdersResult) -> Iterator[str]:
    diverged: dict[float, list[str]] = {}
    for floor in result.floors:
        if floor.n_diverged:
            diverged.setdefault(floor.learning_rate, []).append(WORDS[floor.order])
    for rate, orders in diverged.items():
        yield f"At learning rate {rate:.3g} trainings diverge {', '.join(orders)}: no floor there."


def _on_slopes(result: OrdersResult) -> Iterator[str]:
    found = [slope for slope in result.slopes if slope.slope is not None]
    by_rates: dict[tuple[float, ...], list[str]] = {}
    for slope in found:
        if slope.slope is not None:
            text = f"{measured(slope.slope)} {WORDS[slope.order]}"
            by_rates.setdefault(slope.fitted, []).append(text)
    for rates, texts in by_rates.items():
        yield (
            f"From learning rate {rates[0]:.3g} to {rates[-1]:.3g} the floor grows as its power "
            f"{', '.join(texts)}."
        )
    pace = max(map(result.problem.pace, result.fitted))
    if by_rates and not is_short(pace):
        yield (
            f"Epochs are not short there, with up to {pace:.3g} time constants of the steepest "
            "direction: the powers that theory gives are for small learning rates, where they have "
            f"at most {SHORT_EPOCH:g}."
        )
    if len(found) < len(result.slopes):
        missing = [WORDS[slope.order] for slope in result.slopes if slope.slope is None]
        yield f"No power is fitted {', '.join(missing)}: fewer than two learning rates have floors."


def _on_repeats_and_misses(result: OrdersResult) -> Iterator[str]:
    rate, problem = result.approach_rate, result.problem
    if rate is None:
        yield "No learning rate that slopes are fitted to has a floor in every order."
        return
    both, misses, neither = (
        _floor(result, order, rate)
        for order in ("with_replacement", "fresh_subset", "shuffle_each_epoch")
    )
    theory = [
        expected_floor(order, problem, rate) or math.nan
        for order in ("fresh_subset", "with_replacement")
    ]
    error = math.hypot(misses.standard_error / misses.value, both.standard_error / both.value)
    ratio = misses.value / both.value
    split = f"misses {_effect(neither, misses)}, repeats {_effect(misses, both)}"
    if not result.tells_misses_from_repeats:
        split = "shares too unlike to tell misses from repeats, which smaller batches would"
    yield (
        f"At learning rate {rate:.3g} the floor is {measured(neither)} shuffled each epoch, "
        f"{measured(misses)} for a fresh subset, whose epochs miss {result.missed_by_subset:.1%} "
        f"of the rows and repeat none, and {measured(both)} with replacement, whose epochs miss "
        f"{result.missed:.1%}: {split}. The subset has {with_error(ratio, ratio * error)} of the "
        f"floor with replacement; theory: {theory[0] / theory[1]:.3g}."
    )


def _floor(result: OrdersResult, order: str, rate: float) -> Mean:
    excess = result.floor(order, rate).excess
    assert excess is not None, f"{order} has diverged at {rate}"
    return excess


def _effect(without: Mean, with_it: Mean) -> str:
    """What is added, where that is no chance."""
    if not differ(without, with_it):
        return "make no clear difference"
    added = with_it.value - without.value
    error = math.hypot(without.standard_error, with_it.standard_error)
    return f"{'add' if added > 0 else 'take away'} {with_error(abs(added), error)}"


def _answer(own: OwnTraining, missed: float) -> str:
    """In relation to what the config's own training leaves above the minimum of its objective."""
    train = own.train
    question = f"Does it matter that with replacement an epoch misses {missed:.0%} of the rows?"
    what = f"this config's own training, {train.epochs} epochs at learning rate "
    what += setting(train.learning_rate)
    if own.with_replacement is None or own.shuffled is None or own.interval is None:
        return f"{question} It cannot be told here: {what}, diverges."
    if own.excess is None:
        return f"{question} It cannot be told here: its minimum cannot be solved for."
    if not any(mean.value for mean in own.excess):
        return (
            f"{question} Here not: {what}, ends at the minimum of its objective in either order, "
            "but for rounding."
        )
    left = [measured(mean) if mean.value else "nothing but rounding" for mean in own.excess]
    verdict = {"yes": "Here yes", "hardly": "Here hardly"}.get(own.verdict or "", "")
    verdict = verdict or f"It cannot be told from {own.replicates} trainings of each kind"
    low, high = own.interval
    small = SMALL_DIFFERENCE * (own.left or 0.0)
    return (
        f"{question} {verdict}: {what}, leaves {left[0]} above the minimum of its objective with "
        f"replacement and {left[1]} shuffled each epoch. Repeats and misses together change that "
        f"by {low:+.2g} to {high:+.2g} (95 % interval); less than a tenth, {small:.2g}, hardly "
        "matters."
    )
