"""``gradient-noise``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from sgdlab.cli.lists import whole_numbers
from sgdlab.cli.options import (
    ConfigFile,
    FormatOption,
    OneCell,
    Overrides,
    PartsDir,
    Quiet,
    Seed,
)
from sgdlab.cli.output import observer, show_with
from sgdlab.errors import UsageError


def gradient_noise(
    config: ConfigFile,
    overrides: Overrides = None,
    cell: OneCell = None,
    at_epoch: Annotated[
        int, typer.Option(min=0, max=10**6, help="Weights after so many epochs; 0: the initial.")
    ] = 1,
    batch_sizes: Annotated[
        Sequence[int] | None,
        typer.Option(
            parser=whole_numbers,
            metavar="M,M,...",
            help="By default powers of two, and all rows.",
        ),
    ] = None,
    trials: Annotated[
        int,
        typer.Option(
            min=2, max=10_000, help="Minibatches of each size and kind; 100 give an interval."
        ),
    ] = 500,
    seed: Seed = 0,
    remedies: Annotated[
        bool, typer.Option("--remedies", help="What each remedy does to the noise of an update.")
    ] = False,
    runs_dir: PartsDir = Path("runs"),
    format: FormatOption = "table",
    quiet: Quiet = False,
) -> None:
    """Measure the variance of minibatch gradients against their size."""
    from sgdlab import workflows
    from sgdlab.lab.gradient_noise import remedies_report
    from sgdlab.lab.gradient_noise import report as noise_report
    from sgdlab.runs.parts import kept_until_shown

    about = (config, overrides or (), cell)
    if remedies:
        if batch_sizes is not None:
            hint = "set train.batch_size"
            raise UsageError("--batch-sizes", "given with --remedies", "one of them", hint)
        table = workflows.noise_remedies(*about, at_epoch, seed, observer(quiet))
        show_with(format, remedies_report, table)
    else:
        sizes = None if batch_sizes is None else tuple(batch_sizes)
        options = workflows.NoiseOptions(at_epoch, sizes, trials, seed)
        with kept_until_shown():
            noise = workflows.gradient_noise(*about, options, observer(quiet), runs_dir)
            show_with(format, noise_report, noise)
