"""``scaling-rule``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from sgdlab.cli.lists import whole_numbers
from sgdlab.cli.options import ConfigFile, FormatOption, OneCell, Overrides, PartsDir, Quiet
from sgdlab.cli.output import observer, show_with


def scaling_rule(
    config: ConfigFile,
    overrides: Overrides = None,
    cell: OneCell = None,
    factors: Annotated[
        Sequence[int] | None,
        typer.Option(
            parser=whole_numbers,
            metavar="K,K,...",
            help="Values of k, from 1 upwards; by default 1,2,4,8.",
        ),
    ] = None,
    replicates: Annotated[
        int, typer.Option(min=4, max=10_000, help="Of every training; a verdict needs 10.")
    ] = 30,
    margin: Annotated[
        float, typer.Option(help="Of the spread at k = 1: a smaller difference does not matter.")
    ] = 0.1,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="At k = 1; by default the largest is the config's.")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="At k = 1; by default small beside the limit.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="At k = 1; by default 4 to 16.")
    ] = None,
    runs_dir: PartsDir = Path("runs"),
    format: FormatOption = "table",
    quiet: Quiet = False,
) -> None:
    """Batch size times k: is the learning rate to be multiplied by k, by sqrt k, or not at all?"""
    from sgdlab import workflows
    from sgdlab.lab.scaling_rule import report
    from sgdlab.runs.parts import kept_until_shown

    k = workflows.ScalingOptions.factors if factors is None else tuple(factors)
    options = workflows.ScalingOptions(k, replicates, epochs, batch_size, learning_rate, margin)
    about = (config, overrides or (), cell)
    with kept_until_shown():
        result = workflows.scaling_rule(*about, options, observer(quiet), runs_dir)
        show_with(format, report, result)
