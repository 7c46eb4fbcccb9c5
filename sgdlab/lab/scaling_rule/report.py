"""What ``scaling-rule`` shows."""

import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sgdlab.lab.scaling_rule.design import BUDGETS, RULES
from sgdlab.lab.scaling_rule.measure import Scaled, ScalingRule
from sgdlab.lab.scaling_rule.tuning import TunedRate, Tuning
from sgdlab.lab.subject import Answer
from sgdlab.report.layout import new_table, new_title
from sgdlab.report.numbers import ABSENT, finite, measured, number

CLAIM = "x k"  # the homework's: "when the minibatch size is multiplied by k, multiply ..."
IN_WORDS = {"x k": "times k", "x sqrt k": "times sqrt k", "x 1": "unchanged"}


def table(answer: Answer[ScalingRule]) -> RenderableType:
    """Every rule against k = 1 under both budgets, tuned learning rates, and what they mean."""
    result = answer.result
    notes = (
        "valid. loss: minus that of k = 1, paired by replicate, ± standard error",
        "apart: weights from those of k = 1; 1 is the distance of two replicates of k = 1",
        "* the closest to k = 1",
    )
    return Group(
        _title(answer),
        _rules_table(result),
        *(Text(note, style="dim") for note in notes),
        Text("\nThe learning rate tuned for each batch size", style="bold"),
        _tuned_table(result),
        Text("of a grid in steps of a third of a doubling; < its smallest rate", style="dim"),
        Text(),
        *(Text(sentence) for sentence in sentences(result)),
    )


def document(answer: Answer[ScalingRule]) -> dict[str, Any]:
    """Everything, in full precision."""
    result, base = answer.result, answer.result.base
    return {
        "name": answer.about.name,
        "cell": answer.about.cell,
        "synthetic": answer.about.is_synthetic,
        "base": base.train.model_dump(mode="json"),
        "n_rows": base.n_rows,
        "n_rows_left_out": base.n_left_out,
        "largest_eigenvalue": base.eigenvalue,
        "limit": base.limit,
        "breaks_beyond": {rule: base.breaks_beyond(rule) for rule in RULES},
        "closest": {
            budget: {str(k): rule for k, rule in result.closest_rules(budget).items()}
            for budget in BUDGETS
        },
        "scaled": rows(answer),
        "tunings": [asdict(tuning) for tuning in result.tunings],
        "conclusions": list(sentences(result)),
    }


def rows(answer: Answer[ScalingRule]) -> list[dict[str, Any]]:
    """A row for each budget, k and rule."""
    return [
        {name: value for name, value in vars(scaled).items() if name != "difference"}
        | {
            "validation_loss_difference": finite(scaled.difference.value),
            "standard_error": finite(scaled.difference.standard_error),
            "distance": finite(scaled.distance),
        }
        for scaled in answer.result.scaled
    ]


def _title(answer: Answer[ScalingRule]) -> Text:
    about, base, train = answer.about, answer.result.base, answer.result.base.train
    title = new_title(f"{about.name}: batch size and learning rate times k", about.is_synthetic)
    n_steps = train.epochs * base.n_rows // train.batch_size
    left_out = (
        f", the last {base.n_left_out} left out: every batch size divides the rest"
        if base.n_left_out
        else ""
    )
    title.append(
        f"\nk = 1: batch size {train.batch_size}, learning rate {train.learning_rate:.3g}, "
        f"{train.epochs} epochs, {n_steps} steps, {train.replicates} replicates"
        f"\n{base.n_rows} rows to train{left_out}"
        f"\nlimit of the learning rate: 2 / (lambda_max + l2) = {base.limit:.4g}",
        style="not bold",
    )
    return title


def _rules_table(result: ScalingRule) -> Table:
    table = new_table(
        "\nk", "batch\nsize", "rate\nrule", "learning\nrate", "of the\nlimit",
        *(text for budget in BUDGETS for text in (f"equal {budget}:\nvalid. loss", "\napart")),
        optional=("of the\nlimit", "learning\nrate"),
    )  # fmt: skip
    by_row: dict[tuple[int, str], list[Scaled]] = {}
    for scaled in result.scaled:
        by_row.setdefault((scaled.factor, scaled.rule), []).append(scaled)
    for (factor, rule), budgets in by_row.items():
        first = budgets[0]
        shown = (str(factor), str(first.batch_size)) if rule == CLAIM else ("", "")
        rate = f"{first.learning_rate:.3g}"
        cells = (cell for scaled in budgets for cell in _compared(result, scaled))
        table.add_row(*shown, rule, rate, f"{first.share_of_limit:.3f}", *cells)
    return table


def _compared(result: ScalingRule, scaled: Scaled) -> tuple[str, str]:
    if scaled.diverged_epoch is not None:
        return "diverged", ABSENT
    mark = "*" if scaled is result.closest(scaled.budget, scaled.factor) else " "
    return measured(scaled.difference, sign="+"), f"{scaled.distance:.3g}{mark}"


def _tuned_table(result: ScalingRule) -> Table:
    table = new_table(
        "\nk", "batch\nsize",
        *(
            text
            for budget in BUDGETS
            for text in (f"equal {budget}:\nbest rate", "of the\nlimit", "valid.\nloss")
        ),
        "diverged\nfrom",
        optional=("of the\nlimit",),
    )  # fmt: skip
    for rates in zip(*(tuning.rates for tuning in result.tunings), strict=True):
        cells = (cell for rate in rates for cell in _tuned(rate))
        diverged = [rate.diverged_from for rate in rates if rate.diverged_from is not None]
        limit = result.base.limit
        breaks = f"{min(diverged) / limit:.2g} limit" if diverged else ABSENT
        table.add_row(str(rates[0].factor), str(rates[0].batch_size), *cells, breaks)
    return table


def _tuned(rate: TunedRate) -> tuple[str, str, str]:
    edge = "<" if rate.is_on_edge else ""
    return (
        f"{edge}{rate.learning_rate:.3g}",
        f"{rate.share_of_limit:.2f}",
        number(rate.validation_loss.value),
    )


def sentences(result: ScalingRule) -> Iterator[str]:
    """What the figures say about the claim, in plain words."""
    for budget in BUDGETS:
        yield _verdict(result, budget)
    yield _stability(result)
    yield _tuned_sentence(result.tunings)


def _verdict(result: ScalingRule, budget: str) -> str:
    closest = result.closest_rules(budget)
    largest = max(closest)
    claim = f"At equal {budget} the claim 'batch size times k, so learning rate times k'"
    if set(closest.values()) == {CLAIM}:
        best = result.closest(budget, largest)
        return f"{claim} holds here: up to k = {largest} it stays closest to k = 1{_figures(best)}."
    others = [k for k, rule in closest.items() if rule != CLAIM]
    best = result.closest(budget, others[-1])
    if best is None:
        return f"{claim} cannot be judged: all diverged at k = {others[-1]}."
    where = "" if len(others) == len(closest) else f" at k = {', '.join(map(str, others))}"
    rule = IN_WORDS[best.rule]
    return f"{claim} fails here{where}: {rule} stays closest to k = 1{_figures(best)}."


def _figures(best: Scaled | None) -> str:
    if best is None:
        return ""
    difference = measured(best.difference, sign="+")
    return (
        f" (k = {best.factor}: validation loss {difference}, weights "
        f"{best.distance:.2g} replicates apart)"
    )


def _stability(result: ScalingRule) -> str:
    limits = [
        f"{IN_WORDS[rule]} must diverge beyond k = {_count(beyond)}"
        for rule in RULES
        if math.isfinite(beyond := result.base.breaks_beyond(rule))
    ]
    diverged = dict.fromkeys(
        f"{IN_WORDS[scaled.rule]} at k = {scaled.factor}"
        for scaled in result.scaled
        if scaled.diverged_epoch
    )
    return f"By the limit, {', '.join(limits)}; diverged here: {', '.join(diverged) or 'none'}."


def _count(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _tuned_sentence(tunings: tuple[Tuning, ...]) -> str:
    return (
        "Tuned, the learning rate follows a power of the batch size: "
        f"{' and '.join(map(_power, tunings))}; "
        "95 % intervals from resampled replicates and the grid's steps; the claim's power is 1."
    )


def _power(tuning: Tuning) -> str:
    if math.isnan(tuning.exponent):
        return f"not known at equal {tuning.budget}, as a best rate lies on the edge of the grid"
    interval = f"{tuning.low:.2f} to {tuning.high:.2f}"
    return f"{tuning.exponent:.2f} at equal {tuning.budget} ({interval})"
