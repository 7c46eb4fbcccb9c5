"""Arguments and options that several commands take."""

import os
from pathlib import Path
from typing import Annotated, Literal

import typer


def user_path(text: str) -> Path:
    """A path in which ``~`` is a home, also where no shell has put it there (``--runs-dir=~/r``).

    Raises
    ------
    typer.BadParameter
        If it is empty, or there is no such home; Typer adds which option it is.
    """
    if not text:
        raise typer.BadParameter("an empty path; expected a folder or a file, '.' for this one")
    path = os.path.expanduser(text)
    if path.startswith("~"):
        raise typer.BadParameter(f"{text!r}; no such home (./{text} is a folder of this name)")
    return Path(path)


RUN_HELP = (
    "A run's path, its name, or latest: the run that a command last finished or found finished."
)
Format = Literal["table", "json", "csv"]
Extent = Literal["best", "all"]
ConfigFile = Annotated[
    Path, typer.Argument(parser=user_path, metavar="CONFIG", help="A YAML file.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("-S", "--set", metavar="KEY=VALUE", help="Replace a value of the config."),
]
FormatOption = Annotated[Format, typer.Option("--format", help="Of the result on stdout.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No progress and no notes.")]
RunsDir = Annotated[
    Path,
    typer.Option(
        parser=user_path, envvar="SGDLAB_RUNS", metavar="DIR", help="Where runs are kept."
    ),
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
PartsDir = Annotated[
    Path,
    typer.Option(
        "--runs-dir",
        parser=user_path,
        envvar="SGDLAB_RUNS",
        metavar="DIR",
        help="Where finished parts are kept until the end.",
    ),
]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of the random numbers.")]
