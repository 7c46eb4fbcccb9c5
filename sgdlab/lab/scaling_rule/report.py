"""What ``scaling-rule`` shows."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sgdlab.lab.scaling_rule.comparison import Exactly, Law
from sgdlab.lab.scaling_rule.conclusions import CLAIM, between, sentences
from sgdlab.lab.scaling_rule.design import BUDGETS, RULES
from sgdlab.lab.scaling_rule.measure import Scaled, ScalingRule
from sgdlab.lab.scaling_rule.tuning import TunedRate
from sgdlab.lab.subject import Answer
from sgdlab.report.layout import new_table, new_title
from sgdlab.report.numbers import ABSENT, finite, measured, number


def table(answer: Answer[ScalingRule]) -> RenderableType:
    """Every rule against k = 1 under both budgets, tuned learning rates, and what they mean."""
    result = answer.result
    return Group(
        _title(answer),
        *(part for budget in BUDGETS for part in _compared(result, budget)),
        *(Text(note, style="dim") for note in _notes(result)),
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
        "breaks_beyond": {rule: finite(base.breaks_beyond(rule)) for rule in RULES},
        "margin": result.margin,
        "spread": result.spread,
        "verdicts": {
            budget: {
                rule: {str(k): verdict for k, verdict in result.verdicts(budget, rule).items()}
                for rule in RULES
            }
            for budget in BUDGETS
        },
        "scaled": rows(answer),
        "tunings": [asdict(tuning) for tuning in result.tunings],
        "conclusions": list(sentences(result)),
    }


def rows(answer: Answer[ScalingRule]) -> list[dict[str, Any]]:
    """A row for each budget, k and rule."""
    return [_row(scaled, answer.result.margin) for scaled in answer.result.scaled]


def _row(scaled: Scaled, margin: float) -> dict[str, Any]:
    plain = {
        name: value
        for name, value in vars(scaled).items()
        if name not in ("difference", "against_one")
    }
    difference, found = scaled.difference, scaled.against_one
    plain["validation_loss_difference"] = difference.value if difference else None
    plain["standard_error"] = difference.standard_error if difference else None
    law = found if isinstance(found, Law) else None
    for name in ("distance", "mean", "spread"):
        estimate = law.estimates[name] if law else None
        plain[name] = estimate.value if estimate else None
        plain[f"{name}_low"] = estimate.low if estimate else None
        plain[f"{name}_high"] = estimate.high if estimate else None
    plain["p"] = law.p if law else None
    unclear = law if scaled.verdict == "unclear" else None
    plain["replicates_to_tell"] = unclear.replicates_to_tell(margin) if unclear else None
    plain["apart"] = found.apart if isinstance(found, Exactly) else None
    return plain


def _title(answer: Answer[ScalingRule]) -> Text:
    about, base, train = answer.about, answer.result.base, answer.result.base.train
    title = new_title(f"{about.name}: batch size and learning rate times k", about.is_synthetic)
    left_out = (
        f", the last {base.n_left_out} left out: every batch size divides the rest"
        if base.n_left_out
        else ""
    )
    title.append(
        f"\nk = 1: batch size {train.batch_size}, learning rate {train.learning_rate:.3g}, "
        f"{train.epochs} epochs, {base.n_steps} steps, {train.replicates} replicates"
        f"\n{base.n_rows} rows to train{left_out}"
        f"\nlimit of the learning rate: 2 / (lambda_max + l2) = {base.limit:.4g}",
        style="not bold",
    )
    return title


def _notes(result: ScalingRule) -> Iterator[str]:
    yield "valid. loss: minus that of k = 1, paired by replicate, ± standard error"
    if result.spread == 0:
        yield "apart: the farthest from k = 1, as a share of how far that got from its start"
        yield "nothing is random at k = 1: compared exactly, but for rounding"
        return
    yield "between 95 % bounds, in spreads: mean distances of two replicates of k = 1"
    yield "distance: energy distance of weights and bias from k = 1, independent replicates"
    yield "means: how far apart they are; spread: its change; both from paired replicates"
    yield "p: of equal laws, by relabelling replicates, for all rows together (Holm)"
    yield f"holds: all bounds within {result.margin:g}; fails: p < 0.05, and one beyond"


def _compared(result: ScalingRule, budget: str) -> tuple[Text, Table]:
    compared = ("\napart",) if result.spread == 0 else ("\ndistance", "\nmeans", "\nspread", "\np")
    table = new_table(
        "\nk", "batch\nsize", "rate\nrule", "learning\nrate", "of the\nlimit", "\nvalid. loss",
        *compared, "\nverdict", optional=("of the\nlimit", "learning\nrate", "batch\nsize", "\np"),
    )  # fmt: skip
    for scaled in result.scaled:
        if scaled.budget == budget:
            size = (
                (str(scaled.factor), str(scaled.batch_size)) if scaled.rule == CLAIM else ("", "")
            )
            rate = (f"{scaled.learning_rate:.3g}", f"{scaled.share_of_limit:.3f}")
            figures = _figures(scaled, len(compared))
            table.add_row(*size, scaled.rule, *rate, *figures, scaled.verdict)
    return Text(f"\nAfter equally many {budget}", style="bold"), table


def _figures(scaled: Scaled, n_columns: int) -> tuple[str, ...]:
    difference = measured(scaled.difference, sign="+") if scaled.difference else ABSENT
    match scaled.against_one:
        case None:
            return (difference, *[ABSENT] * n_columns)
        case Exactly(apart=apart):
            return difference, f"{apart:.2g}"
        case law:
            return (difference, *map(between, law.estimates.values()), f"{law.p:.2g}")


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
    if rate.learning_rate is None or rate.validation_loss is None:
        return "diverged", ABSENT, ABSENT
    if rate.fits_with_others:
        return "several", ABSENT, number(rate.validation_loss.value)
    edge = "<" if rate.is_on_edge else ""
    return (
        f"{edge}{rate.learning_rate:.3g}",
        f"{rate.share_of_limit:.2f}",
        number(rate.validation_loss.value),
    )
