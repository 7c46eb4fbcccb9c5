"""Arguments and options that several commands take."""

from pathlib import Path
from typing import Annotated, Literal

import typer

Format = Literal["table", "json", "csv"]
Extent = Literal["best", "all"]
ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="A YAML file.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("-S", "--set", metavar="KEY=VALUE", help="Replace a value of the config."),
]
FormatOption = Annotated[Format, typer.Option("--format", help="Of the result on stdout.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No progress and no notes.")]
RunsDir = Annotated[
    Path, typer.Option(envvar="SGDLAB_RUNS", metavar="DIR", help="Where runs are kept.")
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Start over, beside the run that is there.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan; train and write nothing.")]
Measure = Annotated[
    bool, typer.Option("--measure", help="First measure this machine and forecast the time.")
]
KeepWeights = Annotated[Extent, typer.Option(help="Of which cells the run keeps the weights.")]
Prefix = Annotated[str | None, typer.Option(help="Of the files' names.")]
OneCell = Annotated[
    int | None, typer.Option("--cell", help="Of a config with several cells; counts from 0.")
]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of the random numbers.")]
