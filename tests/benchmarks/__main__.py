"""Measures how fast sgdlab is and how often its intervals cover, and prints the README's tables.

    python -m tests.benchmarks [NAME ...] [--write] [--runs N] [--busy]

All ratios are of programs measured in turn. It takes about twenty minutes, on a machine that does
nothing else, and 8 GB of disk. ``--write`` puts each table into the README, between its marks.

Where the variable OPENBLAS_CORETYPE is set, numpy uses other routines than it would choose itself;
the last line of every table names those that it used.
"""

import argparse
import importlib
import re
import sys
from pathlib import Path

from rich.console import Console

from tests.benchmarks import data
from tests.benchmarks.idle import BusyError
from tests.benchmarks.shown import machine
from tests.benchmarks.stopwatch import Stopwatch

PAGE = Path(__file__).with_name("README.md")
BENCHMARKS = (
    "speed",
    "winner",
    "small_batches",
    "growth",
    "threads",
    "precision",
    "folds",
    "streaming",
    "forecast",
    "coverage",
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--write", action="store_true", help="put the tables into the README")
    parser.add_argument("--runs", type=int, default=3, help="of every program (default: 3)")
    parser.add_argument("--busy", action="store_true", help="measure whatever else runs")
    options = parser.parse_args()
    if unknown := set(options.names) - set(BENCHMARKS):
        parser.error(f"no such benchmark: {', '.join(unknown)}; expected {', '.join(BENCHMARKS)}")
    try:
        with data.stand_in() as dataset:
            for name in options.names or BENCHMARKS:
                text = measured(name, dataset, Stopwatch(options.runs, options.busy))
                print(text)
                if options.write:
                    write(name, text)
    except BusyError as error:
        sys.exit(f"not measured: {error}; expected an idle machine (close what else runs)")


def measured(name: str, dataset, stopwatch: Stopwatch) -> str:
    """The tables of one benchmark, 80 columns wide."""
    console = Console(width=80, no_color=True, highlight=False)
    with console.capture() as capture:
        benchmark = importlib.import_module(f"tests.benchmarks.{name}")
        for table in benchmark.tables(dataset, stopwatch):
            console.print(table)
    lines = [line.rstrip() for line in capture.get().splitlines()]
    return "\n".join([*lines, machine(), ""])


def write(name: str, text: str) -> None:
    """Put a text between the marks of its benchmark in the README."""
    mark = f"<!-- benchmark {name} -->"
    block = re.compile(f"{mark}\n```text\n.*?```\n", re.DOTALL)
    old = PAGE.read_text()
    if not block.search(old):
        raise ValueError(f"{PAGE}: no block after {mark}")
    PAGE.write_text(block.sub(lambda _: f"{mark}\n```text\n{text}```\n", old))


if __name__ == "__main__":
    main()
