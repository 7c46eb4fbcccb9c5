"""``solve``."""

from collections.abc import Sequence
from typing import Annotated, Literal

import typer

from sgdlab.cli.lists import numbers
from sgdlab.cli.options import ConfigFile, Extent, FormatOption, OneCell, Overrides, Quiet
from sgdlab.cli.output import observer, show_with


def solve(
    config: ConfigFile,
    overrides: Overrides = None,
    cell: OneCell = None,
    bias: Annotated[
        Literal["free", "config", "none"],
        typer.Option(help="Fitted, held at train.initial_bias, or left out."),
    ] = "free",
    l2: Annotated[
        Sequence[float] | None,
        typer.Option(
            parser=numbers, metavar="L2,L2,...", help="Of the ridge path; by default a log grid."
        ),
    ] = None,
    test_losses: Annotated[
        Extent, typer.Option(help="Of which L2 of the path; never used to select.")
    ] = "best",
    format: FormatOption = "table",
    quiet: Quiet = False,
) -> None:
    """Solve for the maximum-likelihood weights, and for ridge regression, in closed form."""
    from sgdlab import workflows
    from sgdlab.lab.solve import report

    answer = workflows.solve(config, overrides or (), cell, bias, l2, test_losses, observer(quiet))
    show_with(format, report, answer)
