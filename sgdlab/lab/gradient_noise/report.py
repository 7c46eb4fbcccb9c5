"""The result of ``gradient-noise`` for the terminal, JSON and CSV."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sgdlab.lab.gradient_noise.frozen import AtEpoch
from sgdlab.lab.gradient_noise.measure import GradientNoise, Sampling, Variance
from sgdlab.lab.gradient_noise.noise_scale import PopulationScale
from sgdlab.lab.gradient_noise.power_law import LARGEST_ERROR, Growth, Slope
from sgdlab.lab.subject import About, Answer
from sgdlab.report.layout import new_table, new_title
from sgdlab.report.numbers import ABSENT

CAVEAT = "the interval trusts that rows not seen are like those seen"
MOST_GROWTHS = 3
KINDS = {"with replacement": "independent", "without replacement": "distinct"}


def table(answer: Answer[AtEpoch[GradientNoise]]) -> RenderableType:
    """Measured and exact variance of every size, and what follows from them."""
    noise = answer.result.found
    title = new_title(heading(answer.about, answer.result.epoch), answer.about.is_synthetic)
    title.append(
        f"\n{noise.n_rows} rows, {noise.n_parameters} parameters, "
        f"{noise.n_trials} minibatches of each size and kind",
        style="not bold",
    )
    parts: list[RenderableType] = [title, _variances(noise), Text(), _slopes(noise)]
    parts += [Text(note, style="dim") for note in _notes(noise)]
    if noise.independent.growths:
        parts += [Text(), _growths(noise.independent.growths)]
    parts += [Text(), _scales(noise)]
    populations = noise.scales.simple_of_population, noise.scales.curved_of_population
    if any(scale is not None and scale.low is not None for scale in populations):
        parts.append(Text(CAVEAT, style="dim"))
    return Group(*parts, Text(f"{_sentence(noise.scales.verdict)}."))


def heading(about: About, epoch: int) -> str:
    """What was measured where."""
    where = f"after {epoch} epoch{'' if epoch == 1 else 's'}" if epoch else "at the start"
    return f"{about.name}: gradients at the weights of cell {about.cell} {where}"


def document(answer: Answer[AtEpoch[GradientNoise]]) -> dict[str, Any]:
    """Everything the table shows, in full precision."""
    noise = answer.result.found
    return {
        "name": answer.about.name,
        "synthetic": answer.about.is_synthetic,
        "cell": answer.about.cell,
        "at_epoch": answer.result.epoch,
        "n_rows": noise.n_rows,
        "n_parameters": noise.n_parameters,
        "n_trials": noise.n_trials,
        "trace": noise.trace,
        "slope_with_replacement": _slope_document(noise.independent.slope),
        "slope_without_replacement": _slope_document(noise.distinct.slope),
        **asdict(noise.scales),
        "growths": [asdict(growth) for growth in noise.independent.growths],
        "variances": rows(answer),
    }


def rows(answer: Answer[AtEpoch[GradientNoise]]) -> list[dict[str, Any]]:
    """A row for each kind of sampling and batch size."""
    return [
        {
            "sampling": kind.replace(" ", "_"),
            **asdict(variance),
            "ratio": variance.ratio,
            "ratio_standard_error": variance.ratio_standard_error,
        }
        for kind, attribute in KINDS.items()
        for variance in getattr(answer.result.found, attribute).variances
    ]


def _slope_document(slope: Slope | None) -> dict[str, Any] | None:
    return None if slope is None else asdict(slope)


def _notes(noise: GradientNoise) -> Iterator[str]:
    """Which sizes a slope is fitted to, if not to all, and why it has no interval."""
    kinds: dict[str, list[str]] = {}
    for kind, attribute in KINDS.items():
        for note in _notes_on(getattr(noise, attribute), noise.n_trials):
            kinds.setdefault(note, []).append(kind)
    for note, of_kinds in kinds.items():
        yield note if len(of_kinds) == len(KINDS) else f"{', '.join(of_kinds)}: {note}"


def _notes_on(sampling: Sampling, n_trials: int) -> Iterator[str]:
    if (slope := sampling.slope) is None:
        return
    if slope.no_interval_because is not None:
        yield slope.no_interval_because
    sizes = [variance.batch_size for variance in sampling.variances if variance.exact > 0]
    if omitted := [str(size) for size in sizes if size not in slope.batch_sizes]:
        yield (
            f"not fitted to m = {', '.join(omitted)}, where squared distances vary so much that a "
            f"mean of {n_trials} is off by more than {LARGEST_ERROR:.0%}"
        )


def _variances(noise: GradientNoise) -> Table:
    table = new_table(
        "batch\nsize",
        "with repl.\nmeasured",
        "tr(Sigma)\n/ m",
        "measured\n/ exact",
        "without\nmeasured",
        "x (n - m)\n/ (n - 1)",
        "measured\n/ exact",
    )
    pairs = zip(noise.independent.variances, noise.distinct.variances, strict=True)
    for independent, distinct in pairs:
        values = (*_values(independent), *_values(distinct))
        table.add_row(str(independent.batch_size), *values)
    return table


def _values(variance: Variance) -> Iterator[str]:
    yield _four_digits(variance.measured)
    yield _four_digits(variance.exact)
    if variance.ratio is None:
        yield ABSENT
    else:
        yield f"{variance.ratio:.3f} ±{variance.ratio_standard_error:.3f}"


def _slopes(noise: GradientNoise) -> Table:
    table = new_table(
        "log-log slope of the variance against", "\nslope", "95 %\ninterval", "errors\nfrom -1"
    )
    table.add_row("with replacement: m", *_slope_values(noise.independent.slope))
    without = "without: m(n - 1)/(n - m), m < n"
    table.add_row(without, *_slope_values(noise.distinct.slope))
    return table


def _slope_values(slope: Slope | None) -> Iterator[str]:
    if slope is None:
        yield from (ABSENT, ABSENT, ABSENT)
    else:
        yield f"{slope.value:.3f} ±{slope.standard_error:.3f}"
        if slope.low is None:
            yield from ("none", ABSENT)
        else:
            yield f"{slope.low:.3f} .. {slope.high:.3f}"
            yield f"{(slope.value + 1) / slope.standard_error:+.1f}"


def _growths(growths: Sequence[Growth]) -> Table:
    """What multiplying m by k does, for the k that most pairs of sizes show."""
    shown = sorted(growths, key=lambda growth: (-growth.n_pairs, growth.factor))[:MOST_GROWTHS]
    table = new_table("m times k, k =", *(str(growth.factor) for growth in shown))
    table.add_row(
        "measured variance times",
        *(f"{growth.ratio:.3g} ±{growth.standard_error:.1g}" for growth in shown),
    )
    table.add_row("1/k", *(f"{1 / growth.factor:.4g}" for growth in shown))
    return table


def _scales(noise: GradientNoise) -> Table:
    scales = noise.scales
    table = new_table(
        "\nat these weights", "of these\nrows, exactly", "of their\npopulation", "95 %\ninterval"
    )
    norm = f"{scales.gradient_norm:.4g} ±{scales.standard_error:.4g}"
    table.add_row("|G|, ± sqrt(tr(Sigma)/(n - 1))", norm, "", "")
    table.add_row("tr(Sigma)", _four_digits(noise.trace), "", "")
    simple = _four_digits(scales.simple), *_population(scales.simple_of_population)
    curved = _four_digits(scales.curved), *_population(scales.curved_of_population)
    table.add_row("noise scale tr(Sigma) / G.G", *simple)
    table.add_row("noise scale tr(H Sigma) / G.H G", *curved)
    return table


def _population(scale: PopulationScale | None) -> tuple[str, str]:
    """A noise scale of the population, and its interval."""
    if scale is None or scale.value is None:
        return ABSENT, ABSENT
    if scale.low is None:
        return _four_digits(scale.value), ABSENT
    high = ", or more" if scale.high is None else f" .. {scale.high:.3g}"
    return _four_digits(scale.value), f"{scale.low:.3g}{high}"


def _four_digits(value: float | None) -> str:
    if value is None:
        return ABSENT
    return f"{value:#.4g}".removesuffix(".") if value else "0"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}"
