"""The result of ``gradient-noise --remedies`` for the terminal, JSON and CSV."""

import math
from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from sgdlab.lab.gradient_noise.frozen import AtEpoch
from sgdlab.lab.gradient_noise.remedies import Remedies, Remedy
from sgdlab.lab.gradient_noise.report import heading
from sgdlab.lab.gradient_noise.update_noise import Estimate, NoiseFactors
from sgdlab.lab.subject import Answer
from sgdlab.report.layout import new_table, new_title
from sgdlab.report.numbers import ABSENT, setting


def table(answer: Answer[AtEpoch[Remedies]]) -> RenderableType:
    """Every remedy's noise relative to the plain step, and why it is so."""
    found = answer.result.found
    title = new_title(heading(answer.about, answer.result.epoch), answer.about.is_synthetic)
    noise = found.learning_rate * found.learning_rate * found.plain_noise
    size = f"{noise:.4g}" if math.isfinite(noise) else "more than float64 holds"
    plain = f"lr {setting(found.learning_rate)}, m {found.batch_size}: {size}"
    title.append(f"\nnoise of the plain step, lr^2 tr(Sigma)/m, at {plain}", style="not bold")
    figures = new_table(
        "noise of an update over\nthat of the plain step",
        "same lr\nexact",
        "same lr\nmeasured",
        "same step\nexact",
        "same step\nmeasured",
    )
    for remedy in found.remedies:
        name = f"{remedy.name}: {remedy.setting}" if remedy.setting else remedy.name
        figures.add_row(name, *_values(remedy))
    legend = "same step: with lr changed until the mean update is as long as the plain one"
    notes = (Text(note) for note in (*_verdicts(found), *_reasons(found)))
    return Group(title, figures, Text(legend, style="dim"), Text(), *notes)


def _verdicts(found: Remedies) -> Iterator[str]:
    """Which remedies lower and which raise the noise."""
    for factor, condition in (("noise", "learning rate"), ("same_step", "mean step")):
        lower, higher = (
            ", ".join(remedy.name for remedy in found.remedies if remedy.change(factor) == sign)
            for sign in (-1, 1)
        )
        yield f"At the same {condition}, lower: {lower or 'none'}; higher: {higher or 'none'}."


def _reasons(found: Remedies) -> Iterator[str]:
    """One sentence for all remedies that share it."""
    names: dict[str, list[str]] = {}
    for remedy in found.remedies[1:]:
        names.setdefault(remedy.reason, []).append(remedy.name)
    yield from (f"- {', '.join(of_reason)}: {reason}." for reason, of_reason in names.items())


def document(answer: Answer[AtEpoch[Remedies]]) -> dict[str, Any]:
    """Everything the table shows, in full precision."""
    found = answer.result.found
    return {
        "name": answer.about.name,
        "synthetic": answer.about.is_synthetic,
        "cell": answer.about.cell,
        "at_epoch": answer.result.epoch,
        "n_rows": found.n_rows,
        "batch_size": found.batch_size,
        "learning_rate": found.learning_rate,
        "gradient_noise": found.plain_noise,
        "gradient_squared_norm": found.plain_signal,
        "remedies": rows(answer),
    }


def rows(answer: Answer[AtEpoch[Remedies]]) -> list[dict[str, Any]]:
    """A row for each remedy."""
    return [
        {
            "remedy": remedy.name,
            "setting": remedy.setting,
            **_flat("exact", remedy.exact),
            **_flat("measured", remedy.measured),
            "reason": remedy.reason,
        }
        for remedy in answer.result.found.remedies
    ]


def _flat(source: str, factors: NoiseFactors | None) -> dict[str, float | None]:
    values: dict[str, float | None] = {}
    for name in ("noise", "same_step"):
        estimate = getattr(factors, name, None)
        values[f"{source}_{name}"] = estimate.value if estimate else None
        if source == "measured":
            values[f"{source}_{name}_standard_error"] = (
                estimate.standard_error if estimate else None
            )
    return values


def _values(remedy: Remedy) -> Iterator[str]:
    for name in ("noise", "same_step"):
        yield _number(getattr(remedy.exact, name, None))
        yield _number(getattr(remedy.measured, name))


def _number(estimate: Estimate | None) -> str:
    if estimate is None:
        return ABSENT
    error = f" ±{estimate.standard_error:.1g}" if estimate.standard_error else ""
    return f"{estimate.value:.3g}{error}"
