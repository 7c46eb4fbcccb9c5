"""A run that was executed again, as tables and documents."""

from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from sgdlab.report.layout import new_table
from sgdlab.search.verification.closeness import RELATIVE
from sgdlab.search.verification.result import Mismatch, Sample, Value, Verification
from sgdlab.system.safe_text import printable

FLOATS = ("float64", "float32")
SHOWN = 10  # cells of a sample that are named


def table(result: Verification) -> RenderableType:
    """How many numbers were compared, with what, in which way, and what came of it."""
    counts = new_table("numbers in", "compared", "different")
    for tally in result.tallies:
        counts.add_row(tally.file, str(tally.n_compared), str(tally.n_different))
    title = Text(printable(f"{result.directory.name}: executed again"), style="bold")
    if result.is_synthetic:
        title.append(" on a synthetic stand-in", style="not bold yellow")
    told = [_scope(result), _way(result)]
    notes = [Text(printable(f"{remark}."), style="yellow") for remark in result.remarks]
    return Group(title, counts, Text(), *map(Text, map(printable, told)), *notes, _verdict(result))


def _scope(result: Verification) -> str:
    sample = result.sample
    if sample is None:
        return f"Executed again: all of the run, {_counted(result.n_cells)}."
    drawn = f"the blocks of {_named(sample)}, drawn with seed {sample.seed}"
    trained = f"{sample.n_executed} of {_counted(result.n_cells)}"
    return f"Executed again: {drawn}; they train {trained}."


def _named(sample: Sample) -> str:
    """``cells 0003, 0017 and 0060 (the best)``, of which at most some."""
    names = [f"{name} (the best)" if name == sample.best else name for name in sample.drawn]
    if len(names) == 1:
        return f"cell {names[0]}"
    shown = (
        names if len(names) <= SHOWN else [*names[: SHOWN - 1], f"{len(names) - SHOWN + 1} more"]
    )
    return f"cells {', '.join(shown[:-1])} and {shown[-1]}"


def _counted(n_cells: int) -> str:
    return f"{n_cells} cells" if n_cells != 1 else "1 cell"


def _way(result: Verification) -> str:
    """How numbers were compared, and why so."""
    if result.is_exact:
        same = ", ".join(f"{fact.name} {fact.now}" for fact in result.facts)
        return f"Compared byte for byte, in the environment of the run: {same}."
    others = "; ".join(
        f"{fact.name} {fact.then}, now {fact.now}" for fact in result.facts if not fact.is_same
    )
    double, single = (f"{RELATIVE[name]:.0e}".replace("e-0", "e-") for name in FLOATS)
    how = f"to {double} relative ({single} in float32), not byte for byte"
    return f"Compared {how}, since the environment is another: {others}."


def _verdict(result: Verification) -> Text:
    if result.mismatch is None:
        near = "" if result.is_exact else "that near to "
        return Text(f"The same: every number is {near}the one that is stored.", style="bold")
    return Text(printable(f"Not the same, {_sentence(result.mismatch)}."), style="bold yellow")


def _sentence(mismatch: Mismatch) -> str:
    relative = mismatch.relative
    far = "" if relative is None else f" ({relative:.2g} relative)"
    values = f"stored {_value(mismatch.stored)}, recomputed {_value(mismatch.recomputed)}"
    return f"first in {mismatch.place}: {values}{far}"


def _value(value: Value) -> str:
    return "null" if value is None else str(value)


def document(result: Verification) -> dict[str, Any]:
    """The result of ``verify``."""
    mismatch = result.mismatch
    return {
        "run": str(result.directory.path),
        "synthetic": result.is_synthetic,
        "is_same": result.is_same,
        "is_exact": result.is_exact,
        "environment": [asdict(fact) for fact in result.facts],
        "n_cells": result.n_cells,
        "sample": None if result.sample is None else asdict(result.sample),
        "compared": rows(result),
        "first_difference": None if mismatch is None else _document(mismatch),
        "remarks": result.remarks,
    }


def _document(mismatch: Mismatch) -> dict[str, Any]:
    values = {"stored": mismatch.stored, "recomputed": mismatch.recomputed}
    return asdict(mismatch.place) | values | {"relative": mismatch.relative}


def rows(result: Verification) -> list[dict[str, Any]]:
    """A row for every file, and for every folder of logs."""
    return [asdict(tally) for tally in result.tallies]
