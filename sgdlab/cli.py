"""The command line: parse, call a workflow, print, end with an exit code.

Every import that takes long stands in the command that needs it, so that ``--help`` is fast.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Literal, NoReturn

import typer

from sgdlab import __version__
from sgdlab.errors import SgdlabError, StorageError, UsageError

app = typer.Typer(
    help="A laboratory for stochastic gradient descent.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_app = typer.Typer(help="The stand-in arrays; what is in a folder of arrays.")
app.add_typer(data_app, name="data", no_args_is_help=True)

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
KeepWeights = Annotated[Extent, typer.Option(help="Of which cells the run keeps the weights.")]
Prefix = Annotated[str | None, typer.Option(help="Of the files' names.")]


class _Signalled(BaseException):
    """SIGINT or SIGTERM arrived."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    if version:
        typer.echo(f"sgdlab {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def train(
    config: ConfigFile,
    overrides: Overrides = None,
    runs_dir: RunsDir = Path("runs"),
    fresh: Fresh = False,
    format: FormatOption = "table",
    quiet: Quiet = False,
) -> None:
    """Train one model: the config has one value for every hyperparameter."""
    from sgdlab import workflows
    from sgdlab.report import formats, tables

    options = workflows.SearchOptions(runs_dir, fresh)
    result = workflows.train(config, overrides or (), options, _observer(quiet))
    _show(
        format,
        lambda: tables.training_table(result),
        lambda: formats.search_document(result, 1),
        lambda: result.rows(1),
    )


@app.command("grid-search")
def grid_search(
    config: ConfigFile,
    overrides: Overrides = None,
    top: Annotated[int, typer.Option(min=1, help="How many of the best cells to show.")] = 10,
    dry_run: DryRun = False,
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
    from sgdlab.report import formats, tables

    if dry_run:
        plan, cost = workflows.plan_search(config, overrides or ())
        _show(
            format,
            lambda: tables.plan_table(plan, cost),
            lambda: formats.plan_document(plan, cost),
            lambda: [vars(cost)],
        )
        return
    options = workflows.SearchOptions(runs_dir, fresh, test_losses, keep_weights)
    result = workflows.grid_search(config, overrides or (), options, _observer(quiet))
    _show(
        format,
        lambda: tables.search_table(result, top),
        lambda: formats.search_document(result, top),
        lambda: result.rows(top),
    )


@app.command()
def evaluate(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's path, its name, or latest.")],
    cell: Annotated[int | None, typer.Option(help="By default the best.")] = None,
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="Other arrays.")] = None,
    prefix: Prefix = None,
    mae_step: Annotated[
        float | None,
        typer.Option(metavar="LR", help="Also show one step on the mean absolute error."),
    ] = None,
    runs_dir: RunsDir = Path("runs"),
    format: FormatOption = "table",
) -> None:
    """Load a run's weights and evaluate them, on its own arrays or on others."""
    from sgdlab import workflows
    from sgdlab.report import formats, tables

    result = workflows.evaluate(run, runs_dir, cell, data, prefix, mae_step)
    _show(
        format,
        lambda: tables.evaluation_table(result),
        lambda: formats.evaluation_document(result),
        lambda: formats.evaluation_rows(result, with_vectors=False),
    )


@app.command()
def schema() -> None:
    """Print the JSON Schema of a config file."""
    from sgdlab import workflows

    document = workflows.schema()
    _show("json", lambda: "", lambda: document, list)


@data_app.command()
def synthesize(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where to write.")] = Path("data"),
    prefix: Annotated[str, typer.Option(help="Of the files' names.")] = "age_regression_",
    seed: Annotated[int, typer.Option(min=0, help="Of the random numbers.")] = 0,
    format: FormatOption = "table",
) -> None:
    """Write synthetic stand-in arrays: 4000 + 2500 images of 48x48 pixels, with ages."""
    from sgdlab import workflows

    _show_description(format, workflows.synthesize_data(folder, prefix, seed))


@data_app.command("describe")
def describe(
    folder: Annotated[Path, typer.Argument(metavar="PATH", help="A folder of arrays.")],
    prefix: Prefix = None,
    format: FormatOption = "table",
) -> None:
    """Show shapes, dtypes, ranges, labels, and whether the files are the published ones."""
    from sgdlab import workflows

    _show_description(format, workflows.describe_data(folder, prefix))


def _show_description(format: Format, description: Any) -> None:
    from sgdlab.report import formats, tables

    _show(
        format,
        lambda: tables.description_table(description),
        lambda: formats.description_document(description),
        lambda: formats.file_rows(description),
    )


def _observer(is_quiet: bool) -> Any:
    from sgdlab.report.progress import make_observer

    return make_observer(_console(sys.stderr), is_quiet)


def _console(stream: Any) -> Any:
    """A console that prints text as it stands; NO_COLOR leaves no styles at all."""
    from rich.console import Console

    colors: Literal["auto"] | None = None if os.environ.get("NO_COLOR") else "auto"
    return Console(file=stream, color_system=colors, markup=False, highlight=False, emoji=False)


def _show(
    format: Format,
    table: Callable[[], Any],
    document: Callable[[], dict[str, Any]],
    rows: Callable[[], list[dict[str, Any]]],
) -> None:
    """Print a result on stdout, in the format asked for."""
    from sgdlab import results, strict_json

    try:
        if format == "table":
            _console(sys.stdout).print(table())
        else:
            content = (
                strict_json.encode(document()) if format == "json" else results.csv_bytes(rows())
            )
            sys.stdout.write(content.decode())
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise StorageError(f"stdout: {error.strerror}; expected a writable stream") from None


def main() -> NoReturn:
    """Run the program; every way in which it can end is here."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _raise_signalled)
    code = _run()
    sys.exit(code)


def _run() -> int:
    try:
        return app(prog_name="sgdlab", standalone_mode=False) or 0
    except SgdlabError as error:
        return _complain(error.exit_code, *error.messages)
    except typer.TyperException as error:
        return _complain(UsageError.exit_code, f"{error.format_message()} (see --help)")
    except _Signalled as error:
        _die_of(error.number)
    except BrokenPipeError:
        return _closed_pipe()
    except SystemExit as error:
        # Typer and Rich both turn a closed pipe into exit code 1.
        if isinstance(error.__context__, BrokenPipeError):
            return _closed_pipe()
        raise
    except Exception:
        import traceback

        traceback.print_exc()
        return _complain(70, "this is a bug in sgdlab; please report it with the lines above")


def _complain(code: int, *messages: str) -> int:
    from sgdlab.safe_text import printable

    for message in messages:
        print(f"sgdlab: error: {printable(message)}", file=sys.stderr)
    return code


def _closed_pipe() -> int:
    """Nobody reads stdout any more; keep Python from flushing it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141


def _raise_signalled(number: int, frame: FrameType | None) -> None:
    """Unwind once, so that the run's log is written; the next signal ends the program at once."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_DFL)
    raise _Signalled(number)


def _die_of(number: int) -> NoReturn:
    """End by the signal itself, so that shell loops stop too."""
    print("sgdlab: interrupted; type the command again to go on", file=sys.stderr)
    os.kill(os.getpid(), number)
    raise SystemExit(128 + number)
