"""``xor-solve``."""

from pathlib import Path
from typing import Annotated

import typer

from sgdlab.cli.options import FormatOption, PartsDir, Quiet, Seed
from sgdlab.cli.output import observer, show_with


def xor_solve(
    hidden: Annotated[int, typer.Option(help="Hidden units of the networks.")] = 2,
    restarts: Annotated[int, typer.Option(help="Networks, each from a random start.")] = 1000,
    steps: Annotated[int, typer.Option(help="Of gradient descent.")] = 5000,
    learning_rate: Annotated[float, typer.Option(help="Of the networks.")] = 0.1,
    seed: Seed = 0,
    runs_dir: PartsDir = Path("runs"),
    format: FormatOption = "table",
    quiet: Quiet = False,
) -> None:
    """Show that no linear model computes XOR, and how often a small network learns it."""
    from sgdlab import workflows
    from sgdlab.lab.xor import report
    from sgdlab.runs.parts import kept_until_shown

    networks = (hidden, restarts, steps, learning_rate, seed)
    with kept_until_shown():
        result = workflows.xor_solve(*networks, observer(quiet), runs_dir)
        show_with(format, report, result)
