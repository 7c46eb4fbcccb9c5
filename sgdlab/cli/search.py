"""``train``, ``grid-search``, ``evaluate`` and ``schema``."""

import os
from pathlib import Path
from typing import Annotated

import typer

from sgdlab.cli.options import (
    RUN_HELP,
    ConfigFile,
    DryRun,
    Extent,
    FormatOption,
    Fresh,
    KeepWeights,
    Measure,
    Overrides,
    Prefix,
    Quiet,
    RunsDir,
    user_path,
)
from sgdlab.cli.output import observer, show_with, write_document


def train(
    config: ConfigFile,
    overrides: Overrides = None,
    measure: Measure = False,
    runs_dir: RunsDir = Path("runs"),
    fresh: Fresh = False,
    format: FormatOption = "table",
    quiet: Quiet = False,
) -> None:
    """Train one model: the config has one value for every hyperparameter."""
    from sgdlab import workflows
    from sgdlab.report import training

    options = workflows.SearchOptions(runs_dir, fresh, measure)
    result = workflows.train(config, overrides or (), options, observer(quiet))
    show_with(format, training, result)


def grid_search(
    config: ConfigFile,
    overrides: Overrides = None,
    top: Annotated[
        int | None,
        typer.Option(min=1, help="How many of the best cells; by default 10 in a table, or all."),
    ] = None,
    dry_run: DryRun = False,
    measure: Measure = False,
    test_losses: Annotated[
        Extent, typer.Option(help="Of which cells; never used to select.")
    ] = "best",
    keep_weights: KeepWeights = "best",
    runs_dir: RunsDir = Path("runs"),
    fresh: Fresh = False,
    format: FormatOption = "table",
    quiet: Quiet = False,
) -> None:
    """Train every cell of a grid in one pass over the data an epoch, and select the best."""
    from sgdlab import workflows
    from sgdlab.report import plan, search

    if dry_run:
        planned = workflows.plan_search(config, overrides or (), measure, runs_dir)
        show_with(format, plan, planned)
        return
    options = workflows.SearchOptions(runs_dir, fresh, measure, test_losses, keep_weights)
    result = workflows.grid_search(config, overrides or (), options, observer(quiet))
    show_with(format, search, result, top)


def evaluate(
    run: Annotated[str, typer.Argument(metavar="RUN", help=RUN_HELP)],
    cell: Annotated[int | None, typer.Option(help="By default the best.")] = None,
    data: Annotated[
        Path | None, typer.Option(parser=user_path, metavar="DIR", help="Other arrays.")
    ] = None,
    prefix: Prefix = None,
    mae_step: Annotated[
        float | None,
        typer.Option(metavar="LR", help="Also show one step on the mean absolute error."),
    ] = None,
    runs_dir: RunsDir = Path("runs"),
    format: FormatOption = "table",
    quiet: Quiet = False,
) -> None:
    """Load a run's weights and evaluate them, on its own arrays or on others."""
    from sgdlab import workflows
    from sgdlab.report import evaluation

    result = workflows.evaluate(os.path.expanduser(run), runs_dir, cell, data, prefix, mae_step)
    show_with(format, evaluation, result)


def schema(quiet: Quiet = False) -> None:
    """Print the JSON Schema of a config file."""
    from sgdlab import workflows

    write_document(workflows.schema())
