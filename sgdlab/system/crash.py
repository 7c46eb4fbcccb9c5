"""What is left of an exception that nobody expected: a file that holds its traceback.

Imports nothing but Python's own modules before it is needed, since what failed may be an import.
"""

import contextlib
import os
import platform
import sys
import tempfile
import traceback
from datetime import UTC, datetime

from sgdlab.system.safe_text import printable, printable_lines, shortened

PREFIX = "sgdlab-crash-"


def told(error: BaseException) -> str:
    """A line that names the file of an exception; without such a file, the traceback before it."""
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    line = f"this is a bug in sgdlab ({printable(shortened(what, 200))})"
    report = _report(error)
    if (path := _written(report)) is None:
        return f"{printable_lines(report)}sgdlab: error: {line}; please report it with these lines"
    return f"sgdlab: error: {line}; please report it with {printable(path)}, its traceback"


def _report(error: BaseException) -> str:
    from sgdlab import __version__

    facts = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "sgdlab": __version__,
        "python": sys.version,
        "platform": platform.platform(),
        "command": ascii(sys.argv),
    }
    lines = [f"{name}: {fact}\n" for name, fact in facts.items()]
    return "".join([*lines, "\n", *traceback.format_exception(error)])


def _written(report: str) -> str | None:
    """The file of a report, among the system's temporary ones; None if there can be none."""
    with contextlib.suppress(OSError):
        descriptor, path = tempfile.mkstemp(".txt", PREFIX)  # for its owner alone
        try:
            with open(descriptor, "w", encoding="utf-8", errors="backslashreplace") as stream:
                stream.write(report)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(path)
            raise
        return path
    return None
