"""``verify``."""

import os
from pathlib import Path
from typing import Annotated

import typer

from sgdlab.cli.options import RUN_HELP, FormatOption, Prefix, Quiet, RunsDir, Seed, user_path
from sgdlab.cli.output import observer, show_with


def verify(
    run: Annotated[str, typer.Argument(metavar="RUN", help=RUN_HELP)],
    sample: Annotated[
        int | None, typer.Option(min=1, help="The blocks of so many cells; by default all.")
    ] = None,
    seed: Seed = 0,
    data: Annotated[
        Path | None,
        typer.Option(parser=user_path, metavar="DIR", help="Where the run's own arrays are now."),
    ] = None,
    prefix: Prefix = None,
    runs_dir: RunsDir = Path("runs"),
    format: FormatOption = "table",
    quiet: Quiet = False,
) -> None:
    """Execute a finished run again and compare every number; exit code 1 if one is another."""
    from sgdlab import workflows
    from sgdlab.report import verification

    options = workflows.VerifyOptions(sample, seed, data, prefix)
    result = workflows.verify(os.path.expanduser(run), runs_dir, options, observer(quiet))
    show_with(format, verification, result)
    if not result.is_same:
        raise typer.Exit(1)
