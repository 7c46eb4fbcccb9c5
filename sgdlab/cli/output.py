"""Where a command's result, progress and notes go."""

import errno
import os
import re
import sys
from contextlib import suppress
from typing import Any, Literal, TextIO

from sgdlab.cli.options import Format
from sgdlab.errors import StorageError, reason

UNLIMITED = 10_000  # columns, where nobody looks at lines
FEWEST = 20  # columns in which a table can be read; whoever says less does not mean it
USUAL = 80
# What a disk, a terminal or a descriptor answers that takes no more output.
REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF, errno.EAGAIN)
LINES = 25  # nothing here is as high as a terminal


class PatientStream:
    """stderr, on which nothing depends: what cannot be written to it is lost, and work goes on."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream if stream is not None else open(os.devnull, "w")  # noqa: SIM115

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            self._stream = open(os.devnull, "w")  # noqa: SIM115 - Python flushes it again at exit

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def observer(is_quiet: bool) -> Any:
    """Tells of progress and notes on stderr."""
    from sgdlab.cli.progress import make_observer

    return make_observer(console(sys.stderr), is_quiet)


def console(stream: Any) -> Any:
    """A console that prints text as it stands; NO_COLOR leaves no styles at all.

    Lines are as long as they need to be where no terminal shows them and COLUMNS is not set.
    """
    from rich.console import Console

    colors: Literal["auto"] | None = None if os.environ.get("NO_COLOR") else "auto"
    return Console(
        file=stream,
        color_system=colors,
        markup=False,
        highlight=False,
        emoji=False,
        width=_columns(stream),
        height=LINES,
    )


def _columns(stream: Any) -> int:
    """What COLUMNS says, or else the terminal if there is one: where either makes sense."""
    asked = os.environ.get("COLUMNS", "")
    columns = int(asked) if re.fullmatch("[0-9]{1,6}", asked) else 0
    if columns < FEWEST and stream.isatty():
        columns = USUAL
        with suppress(OSError, ValueError):
            columns = os.get_terminal_size(stream.fileno()).columns
        columns = columns if columns >= FEWEST else USUAL
    return min(columns, UNLIMITED) if columns >= FEWEST else UNLIMITED


def show_with(format: Format, report: Any, *result: Any) -> None:
    """Print a result on stdout, in the format asked for.

    Parameters
    ----------
    report
        A module with the functions ``table``, ``document`` and ``rows``.
    result
        What these take.
    """
    from sgdlab.search.table import csv_bytes
    from sgdlab.system.safe_text import printable_lines

    match format:
        case "table":
            write(_text(report.table(*result)))
        case "json":
            write_document(report.document(*result))
        case "csv":
            write(printable_lines(csv_bytes(report.rows(*result)).decode()).encode())


def write_document(document: dict[str, Any]) -> None:
    """Print strict JSON on stdout."""
    from sgdlab.system import strict_json
    from sgdlab.system.safe_text import printable_json

    write(printable_json(strict_json.encode(document).decode()).encode())


def _text(renderable: Any) -> str:
    """What a console would print, uncut and without spaces at the ends of lines."""
    from rich.segment import Segment, Segments

    from sgdlab.system.safe_text import printable_lines

    screen = console(sys.stdout)
    # Styles are made of segments below: what a terminal would obey is none of rich's up to here.
    shown = [
        Segment(printable_lines(segment.text), segment.style)
        for segment in screen.render(renderable)
        if not segment.control
    ]
    with screen.capture() as captured:
        screen.print(Segments(shown), crop=False)
    return re.sub(r" +$", "", captured.get(), flags=re.MULTILINE)


def write(content: str | bytes) -> None:
    """Print on stdout; bytes as they stand, whatever the encoding of the terminal."""
    try:
        if isinstance(content, str):
            sys.stdout.write(content)
        else:
            sys.stdout.flush()
            sys.stdout.buffer.write(content)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise refused(error) from None


def about_no_file(error: OSError) -> StorageError | None:
    """What an error that names no file is about: the working directory, or help on stdout.

    None if it is about neither.
    """
    from sgdlab.system.looking import working_directory

    try:
        working_directory()
    except StorageError as gone:
        return gone
    return refused(error) if error.errno in REFUSALS else None


def short_of_memory(error: MemoryError | RuntimeError) -> StorageError:
    """What could not be had, where the library says so, and what needs less."""
    from sgdlab.system.machine import memory_bytes

    found = str(error).partition("\n")[0].lower() or "out of memory"
    expected = f"to do with {memory_bytes() / 1e9:.3g} GB"
    hint = "lower run.memory_budget or run.threads, or take fewer cells or columns"
    return StorageError("memory", found, expected, hint)


def refused(error: OSError) -> StorageError:
    """What a stdout is that takes nothing; it is not tried again when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return StorageError("stdout", reason(error), "a writable stream")
