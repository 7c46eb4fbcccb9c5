"""``solve``."""

from typing import Annotated, Literal

import typer

from sgdlab.commands.options import (
    ConfigFile,
    Extent,
    FormatOption,
    OneCell,
    Overrides,
    Quiet,
)
from sgdlab.commands.output import observer, show_with
from sgdlab.errors import UsageError

MAX_L2 = 1e100  # whose products with rows do not overflow


def solve(
    config: ConfigFile,
    overrides: Overrides = None,
    cell: OneCell = None,
    bias: Annotated[
        Literal["free", "config", "none"],
        typer.Option(help="Fitted, held at train.initial_bias, or left out."),
    ] = "free",
    l2: Annotated[
        str | None,
        typer.Option(metavar="L2,L2,...", help="Of the ridge path; by default a log grid."),
    ] = None,
    test_losses: Annotated[
        Extent, typer.Option(help="Of which L2 of the path; never used to select.")
    ] = "best",
    format: FormatOption = "table",
    quiet: Quiet = False,
) -> None:
    """Solve for the maximum-likelihood weights, and for ridge regression, in closed form."""
    from sgdlab import workflows
    from sgdlab.report import solve as report

    path = None if l2 is None else _penalties(l2)
    answer = workflows.solve(
        config, overrides or (), cell, bias, path, test_losses, observer(quiet)
    )
    show_with(format, report, answer)


def _penalties(text: str) -> list[float]:
    """Numbers that are separated by commas."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if values and all(0 <= value <= MAX_L2 for value in values):
        return values
    found = f"--l2 {text!r}: not a list of numbers from 0 to {MAX_L2:g}"
    raise UsageError(f"{found}; expected for example 0.001,0.01,0.1")
