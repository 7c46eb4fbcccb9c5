"""``data synthesize`` and ``data describe``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sgdlab.cli.options import Format, FormatOption, Prefix, Quiet, Seed, user_path
from sgdlab.cli.output import show_with


def synthesize(
    folder: Annotated[
        Path, typer.Argument(parser=user_path, metavar="[DIR]", help="Where to write.")
    ] = Path("data"),
    prefix: Annotated[str, typer.Option(help="Of the files' names.")] = "age_regression_",
    seed: Seed = 0,
    format: FormatOption = "table",
    quiet: Quiet = False,
) -> None:
    """Write synthetic stand-in arrays: 4000 + 2500 images of 48x48 pixels, with ages."""
    from sgdlab import workflows

    _show_description(format, workflows.synthesize_data(folder, prefix, seed))


def describe(
    folder: Annotated[
        Path, typer.Argument(parser=user_path, metavar="PATH", help="A folder of arrays.")
    ],
    prefix: Prefix = None,
    format: FormatOption = "table",
    quiet: Quiet = False,
) -> None:
    """Show shapes, dtypes, ranges, labels, and whether the files are the published ones."""
    from sgdlab import workflows

    _show_description(format, workflows.describe_data(folder, prefix))


def _show_description(format: Format, description: Any) -> None:
    from sgdlab.lab.describe import report

    show_with(format, report, description)
