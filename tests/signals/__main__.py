"""Interrupts every command that takes long, at several moments.

    python -m tests.signals [--moments 0.5,1,2,4,8] [--only orders]

Each time is to be below two seconds, the process must die of the signal, and no traceback must be
seen. It ends with exit code 1 where that is not so. All of it takes about a quarter of an hour.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.signals.commands import COMMANDS, write_inputs
from tests.signals.judge import ORDERS_OF_SIGNALS, interrupt


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.signals", description=__doc__)
    parser.add_argument("--moments", default="0.5,1,2,4,8", help="seconds after the command")
    parser.add_argument("--only", default="", help="commands whose names begin with this")
    options = parser.parse_args()
    moments = [float(moment) for moment in options.moments.split(",")]
    n_wrong = 0
    with tempfile.TemporaryDirectory(prefix="sgdlab-") as name:
        folder = Path(name)
        write_inputs(folder)
        for what, command in COMMANDS.items():
            if what.startswith(options.only):
                n_wrong += _try(what, command, folder, moments)
    sys.exit(n_wrong > 0)


def _try(what: str, command: str, folder: Path, moments: list[float]) -> int:
    """Interrupt a command at all moments; how often something was wrong."""
    n_wrong = 0
    for names, signals in ORDERS_OF_SIGNALS.items():
        longest, found = 0.0, []
        for moment in moments:
            ending = interrupt(command, folder, moment, signals)
            longest = max(longest, ending.took_s or 0.0)
            found += [f"after {moment:g} s: {wrong}" for wrong in ending.complaints(signals)]
        print(f"{what}, {names}: {longest:.2f} s at most", *found, sep="; ", flush=True)
        n_wrong += bool(found)
    return n_wrong


if __name__ == "__main__":
    main()
