"""The command line: parse, call a workflow, print, end with an exit code.

Every import that takes long stands in the command that needs it, so that ``--help`` is fast.
"""

import os
import sys
from typing import Annotated, NoReturn, TextIO, cast

import typer

from sgdlab import __version__
from sgdlab.cli import data, gradient_noise, sampling, search, solve, xor
from sgdlab.cli.flags import shown
from sgdlab.cli.orders import orders
from sgdlab.cli.output import PatientStream, about_no_file, short_of_memory, write
from sgdlab.cli.scaling_rule import scaling_rule
from sgdlab.cli.signals import Signalled, end_of_signals, handle_signals
from sgdlab.cli.verify import verify
from sgdlab.errors import SgdlabError, StorageError, UsageError


def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    if version:
        write(f"sgdlab {__version__}\n")
        raise typer.Exit
    if context.invoked_subcommand is None:
        write(f"{context.get_help()}\n")


def _data_root(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        write(f"{context.get_help()}\n")


def _make_app() -> typer.Typer:
    """Every command by its name, in the order in which --help shows them."""
    app = typer.Typer(
        help="A laboratory for stochastic gradient descent.",
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(invoke_without_command=True)(_root)
    for name, command, summary in (
        ("train", search.train, "Train one model."),
        ("grid-search", search.grid_search, "Train a whole grid in one pass an epoch; the best."),
        ("evaluate", search.evaluate, "A run's weights on its own rows, or on others."),
        ("verify", verify, "A run executed again and compared, byte for byte."),
        ("simulate-sampling", sampling.simulate_sampling, "How many rows does an epoch never see?"),
        ("xor-solve", xor.xor_solve, "XOR: no linear model; a small network, sometimes."),
        ("solve", solve.solve, "The best linear model and ridge, in closed form."),
        ("gradient-noise", gradient_noise.gradient_noise, "Gradient variance against batch size."),
        ("scaling-rule", scaling_rule, "Batch size times k: what of the learning rate?"),
        ("orders", orders, "Noise floors by the order in which rows are seen."),
        ("schema", search.schema, "The JSON Schema of a config file."),
    ):
        app.command(name, short_help=summary)(command)
    app.command("sampling-sim", hidden=True)(sampling.simulate_sampling)
    data_app = typer.Typer(help="The stand-in arrays; what is in a folder of arrays.")
    data_app.command("synthesize")(data.synthesize)
    data_app.command("describe")(data.describe)
    data_app.callback(invoke_without_command=True)(_data_root)
    app.add_typer(data_app, name="data")
    return app


app = _make_app()


def main() -> NoReturn:
    """Run the program; every way in which it can end is here."""
    sys.stderr = cast(TextIO, PatientStream(sys.stderr))
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    handle_signals()
    code = _run()
    end_of_signals()
    sys.exit(code)


def _run() -> int:
    try:
        if sys.stdout is None:
            raise StorageError("stdout", "closed", "a writable stream")
        return app(prog_name="sgdlab", standalone_mode=False) or 0
    except SgdlabError as error:
        return _complain(error.exit_code, *map(shown, error.problems))
    except typer.TyperException as error:
        return _complain(UsageError.exit_code, f"{error.format_message()} (see --help)")
    except Signalled as error:
        error.is_heeded = True
        _die_of(error.number, *getattr(error, "__notes__", ()))
    except BrokenPipeError:
        return _closed_pipe()
    except SystemExit as error:
        # Typer and Rich both turn a closed pipe into exit code 1.
        if isinstance(error.__context__, BrokenPipeError):
            return _closed_pipe()
        raise
    except OSError as error:
        if error.filename or not (known := about_no_file(error)):
            return _bug(error)  # whoever opens files says what is wrong with them
        return _complain(known.exit_code, str(known))
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and str(error) != "can't start new thread":
            return _bug(error)
        return _complain(StorageError.exit_code, str(short_of_memory(error)))
    except Exception as error:
        return _bug(error)


def _bug(error: Exception) -> int:
    from sgdlab.system import crash

    print(crash.told(error), file=sys.stderr)
    return SgdlabError.exit_code


def _complain(code: int, *messages: str) -> int:
    from sgdlab.system.safe_text import printable

    for message in messages:
        print(f"sgdlab: error: {printable(message)}", file=sys.stderr)
    return code


def _closed_pipe() -> int:
    """Nobody reads stdout any more; keep Python from flushing it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141


def _die_of(number: int, *kept: str) -> NoReturn:
    """End by the signal itself, so that shell loops stop too; say what is kept."""
    from sgdlab.system.machine import die_of_signal

    keeps_runs = sys.argv[1:2] in (["train"], ["grid-search"])
    hint = "; type the command again to go on" if kept or keeps_runs else ""
    print(f"sgdlab: interrupted{hint}{''.join(f' ({text})' for text in kept)}", file=sys.stderr)
    die_of_signal(number)
