"""How ``simulate-sampling`` shows its result."""

import math
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from sgdlab.lab.sampling.measure import SamplingResult
from sgdlab.lab.sampling.theory import Sampling
from sgdlab.report.layout import new_table
from sgdlab.report.numbers import ABSENT, finite, number


def table(results: list[SamplingResult]) -> RenderableType:
    """A row for each number of rows, their limit, and what the columns are."""
    widest = _widest(results)
    body = new_table(
        "\nn", "one\ntrial", "mean of\nall trials", f"exact\n{_formula(widest.sampling)}", "\nz",
        "variance\nof number", "exact\nvariance",
    )  # fmt: skip
    for result in results:
        body.add_row(*_values(result))
    if widest.limit_share:
        body.add_section()
        body.add_row("limit", "", "", number(widest.limit_share))
    title = Text("Share of rows never sampled", style="bold")
    notes = (Text(note, style="dim") for note in _notes(widest))
    return Group(title, Text(_how(widest)), body, *notes)


def _widest(results: list[SamplingResult]) -> SamplingResult:
    """The one whose formula is that of all: a single row is sampled alike in every way."""
    return max(results, key=lambda result: result.sampling.n_rows)


def _values(result: SamplingResult) -> tuple[str, ...]:
    error = result.standard_error
    spread = "" if math.isnan(error) else f" ±{error:.2g}"
    z_score = result.z_score
    return (
        f"{result.sampling.n_rows}",
        f"{result.first_share:.4g}",
        number(result.mean_share) + spread,
        number(result.exact_share),
        ABSENT if math.isnan(z_score) else f"{z_score:+.2f}",
        _variance(result.variance),
        _variance(result.exact_variance),
    )


def _variance(value: float) -> str:
    return f"{value:.0f}" if value >= 1e4 else number(value)


def _how(result: SamplingResult) -> str:
    sampling = result.sampling
    epochs = "1 epoch" if sampling.epochs == 1 else f"{sampling.epochs} epochs"
    trials = "1 trial" if result.n_trials == 1 else f"{result.n_trials} trials"
    return f"{epochs} {_drawn(sampling)}, {trials}, seed {result.seed}"


def _drawn(sampling: Sampling) -> str:
    if sampling.is_complete and sampling.n_rows > 1:
        return "without replacement"
    if sampling.batch_size > 1:
        return f"in batches of {sampling.batch_size} distinct rows"
    return "of n draws with replacement"


def _formula(sampling: Sampling) -> str:
    if sampling.is_complete and sampling.n_rows > 1:
        return "0"
    n_draws = "n" if sampling.epochs == 1 else f"{sampling.epochs}n"
    if sampling.batch_size > 1:
        return f"(1-{sampling.batch_size}/n)^({n_draws}/{sampling.batch_size})"
    return f"(1-1/n)^({n_draws})" if sampling.epochs > 1 else "(1-1/n)^n"


def _notes(result: SamplingResult) -> list[str]:
    notes = ["± standard error; z: mean minus exact, in units of its exact standard error"]
    if result.limit_share:
        power = "" if result.sampling.epochs == 1 else f"^{result.sampling.epochs}"
        notes.append(f"limit: 1/e{power}, for many rows")
    # The scatter of a variance is known where the number is nearly normal.
    if result.n_trials >= 100 and result.exact_variance > 1:
        scatter = 100 * math.sqrt(2 / (result.n_trials - 1))
        n_trials = f"{result.n_trials} trials"
        notes.append(
            f"variance of number: over {n_trials} it is uncertain by about {scatter:.2g} %"
        )
    return notes


def document(results: list[SamplingResult]) -> dict[str, Any]:
    """Everything in full precision; ``z_score`` is null where the share cannot vary."""
    widest = _widest(results)
    return {
        "epochs": widest.sampling.epochs,
        "trials": widest.n_trials,
        "seed": widest.seed,
        "formula": _formula(widest.sampling),
        "results": rows(results),
    }


def rows(results: list[SamplingResult]) -> list[dict[str, Any]]:
    """A row for each number of rows."""
    return [
        {
            "n": result.sampling.n_rows,
            "epochs": result.sampling.epochs,
            "batch_size": result.sampling.batch_size,
            "draws": result.sampling.n_draws,
            "trials": result.n_trials,
            "first_count": result.first_count,
            "first_share": result.first_share,
            "mean_share": result.mean_share,
            "standard_error": finite(result.standard_error),
            "exact_share": result.exact_share,
            "limit_share": result.limit_share,
            "z_score": finite(result.z_score),
            "mean_count": result.mean_count,
            "variance": finite(result.variance),
            "exact_variance": result.exact_variance,
        }
        for result in results
    ]
