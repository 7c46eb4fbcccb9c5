"""``solve``."""

import math
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
    """Numbers from 0 on, separated by commas."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if values and all(0 <= value < math.inf for value in values):
        return values
    found = f"--l2 {text!r}: not a list of finite numbers from 0 on"
    raise UsageError(f"{found}; expected for example 0.001,0.01,0.1")
