"""``orders``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from sgdlab.cli.lists import positive_numbers
from sgdlab.cli.options import ConfigFile, FormatOption, OneCell, Overrides, PartsDir, Quiet
from sgdlab.cli.output import observer, show_with


def orders(
    config: ConfigFile,
    overrides: Overrides = None,
    cell: OneCell = None,
    learning_rates: Annotated[
        Sequence[float] | None,
        typer.Option(
            parser=positive_numbers,
            metavar="LR,LR,...",
            help="By default from the curvature.",
        ),
    ] = None,
    replicates: Annotated[int, typer.Option(min=2, max=1000, help="Of every training.")] = 10,
    rows: Annotated[int, typer.Option(min=2, help="Training rows, the first, at most.")] = 512,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="By default the config's, or a 16th of the rows.")
    ] = None,
    l2: Annotated[
        float | None, typer.Option(help="By default so large that every direction settles.")
    ] = None,
    runs_dir: PartsDir = Path("runs"),
    format: FormatOption = "table",
    quiet: Quiet = False,
) -> None:
    """With replacement, shuffled once, reshuffled: does missing 37 % of the rows matter?"""
    from sgdlab import workflows
    from sgdlab.lab.orders import report
    from sgdlab.runs.parts import kept_until_shown

    rates = None if learning_rates is None else tuple(learning_rates)
    options = workflows.OrdersOptions(rates, replicates, rows, batch_size, l2)
    about = (config, overrides or (), cell)
    with kept_until_shown():
        result = workflows.orders(*about, options, observer(quiet), runs_dir)
        show_with(format, report, result)
