"""Where a command's result, progress and notes go."""

import os
import sys
from collections.abc import Callable
from typing import Any, Literal

from sgdlab.commands.options import Format
from sgdlab.errors import StorageError


def observer(is_quiet: bool) -> Any:
    """Tells of progress and notes on stderr."""
    from sgdlab.report.progress import make_observer

    return make_observer(console(sys.stderr), is_quiet)


def console(stream: Any) -> Any:
    """A console that prints text as it stands; NO_COLOR leaves no styles at all."""
    from rich.console import Console

    colors: Literal["auto"] | None = None if os.environ.get("NO_COLOR") else "auto"
    return Console(file=stream, color_system=colors, markup=False, highlight=False, emoji=False)


def show(
    format: Format,
    table: Callable[[], Any],
    document: Callable[[], dict[str, Any]],
    rows: Callable[[], list[dict[str, Any]]],
) -> None:
    """Print a result on stdout, in the format asked for."""
    from sgdlab import results, strict_json

    try:
        if format == "table":
            console(sys.stdout).print(table())
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


def show_with(format: Format, report: Any, result: Any) -> None:
    """Print a result as a module of :mod:`sgdlab.report` shows it."""
    show(
        format,
        lambda: report.table(result),
        lambda: report.document(result),
        lambda: report.rows(result),
    )
