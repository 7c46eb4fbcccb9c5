"""``simulate-sampling``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from sgdlab.cli.lists import whole_numbers
from sgdlab.cli.options import FormatOption, PartsDir, Quiet, Seed
from sgdlab.cli.output import observer, show_with
from sgdlab.errors import UsageError


def simulate_sampling(
    n: Annotated[int, typer.Option(help="Rows to draw from, up to 100000000.")] = 20,
    epochs: Annotated[int, typer.Option(help="Of n draws each.")] = 1,
    trials: Annotated[int, typer.Option(help="Up to 1e11 draws in all.")] = 1000,
    seed: Seed = 0,
    sweep: Annotated[
        Sequence[int] | None,
        typer.Option(
            parser=whole_numbers,
            metavar="N,N,...",
            help="Several values of n, such as 20,100,1e6.",
        ),
    ] = None,
    without_replacement: Annotated[
        bool, typer.Option("--without-replacement", help="Shuffle the rows in each epoch.")
    ] = False,
    batch_size: Annotated[
        int, typer.Option(help="Rows distinct within a batch; it must divide n times epochs.")
    ] = 1,
    runs_dir: PartsDir = Path("runs"),
    format: FormatOption = "table",
    quiet: Quiet = False,
) -> None:
    """Count the rows that an epoch of random draws never sees: about 37 %."""
    from sgdlab import workflows
    from sgdlab.lab.sampling import report
    from sgdlab.runs.parts import kept_until_shown

    if without_replacement and batch_size != 1:
        raise UsageError("--without-replacement", "has no batches", "no --batch-size")
    n_rows = [n] if sweep is None else sweep
    drawn = (n_rows, epochs, trials, seed, batch_size, without_replacement)
    with kept_until_shown():
        result = workflows.simulate_sampling(*drawn, observer(quiet), runs_dir)
        show_with(format, report, result)
