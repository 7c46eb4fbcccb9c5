"""A plan and what it costs, as tables and documents."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from sgdlab.planning.cost import Shortage, random_reads_warning
from sgdlab.report.layout import new_table, new_title
from sgdlab.report.numbers import n_bytes, n_operations, seconds
from sgdlab.search.planned import PlannedSearch

MOST_SIZES = 6


def table(planned: PlannedSearch) -> RenderableType:
    """What ``--dry-run`` shows."""
    cost = planned.cost
    title = new_title(f"{planned.name}: the plan", planned.is_synthetic)
    warning = random_reads_warning(cost.n_random_reads, cost.random_read_bytes)
    notes = [Text(warning, style="yellow")] if warning else []
    if planned.shortage is not None:
        notes.insert(0, Text(f"too large: {_in_words(planned.shortage)}", style="red"))
    if _is_folded(planned):
        notes.append(Text("in the end the selected cell is trained on all rows", style="dim"))
    notes.append(Text("nothing was trained or written"))
    return Group(title, _totals(planned), Text(), _blocks(planned), *notes)


def _in_words(short: Shortage) -> str:
    return f"{short.found}, and {short.free_bytes / 1e9:.3g} GB are free: {short.hint}"


def _is_folded(planned: PlannedSearch) -> bool:
    return any(one_pass.is_folded for one_pass in planned.plan.passes)


def _totals(planned: PlannedSearch) -> RenderableType:
    """The size and the cost of the whole plan, a line each, and its forecast."""
    cost, forecast = planned.cost, planned.forecast
    where = "held in memory" if cost.in_memory else "streamed from the files"
    figures = {
        "cells": str(cost.n_cells),
        "trajectories": str(cost.n_trajectories),
        "blocks": str(cost.n_blocks),
        "passes": str(cost.n_passes),
        "epochs of all passes": str(cost.n_epochs),
        "rows of a pass, each epoch": f"{n_bytes(cost.row_bytes)}, {where}",
        "arithmetic": n_operations(cost.flops),
        "memory": n_bytes(cost.memory_bytes),
    }
    if forecast is not None:
        figures["predicted time"] = seconds(forecast.elapsed_s)
        if (peak := forecast.peak_memory_bytes) is not None:
            figures["predicted peak memory of the process"] = n_bytes(peak)
    totals = new_table("", "", show_header=False)
    for name, value in figures.items():
        totals.add_row(name, value)
    return totals


def _blocks(planned: PlannedSearch) -> RenderableType:
    """What is trained side by side, and how."""
    is_folded = _is_folded(planned)
    fold = ["\nfold"] if is_folded else []
    blocks = new_table(
        "\nblock", *fold, "trajec-\ntories", "batch\nsizes", "\nepochs", "kernel,\nwindow",
        "\nthreads", "\norder", "preci-\nsion",
    )  # fmt: skip
    for one_pass in planned.plan.passes:
        for block in one_pass.blocks:
            window = block.window_rows
            blocks.add_row(
                str(block.index),
                *([str(block.fold)] if is_folded else []),
                str(len(block.trajectories)),
                _sizes(block.batch_sizes),
                str(block.epochs),
                "direct" if window is None else f"windowed, {window}",
                str(one_pass.blas_threads),
                one_pass.train.order,
                one_pass.train.precision,
            )
    return blocks


def _sizes(batch_sizes: Sequence[int]) -> str:
    if len(batch_sizes) > MOST_SIZES:
        return f"{len(batch_sizes)} from {batch_sizes[0]} to {batch_sizes[-1]}"
    return ", ".join(map(str, batch_sizes))


def document(planned: PlannedSearch) -> dict[str, Any]:
    """The result of ``--dry-run``."""
    about: dict[str, Any] = {"name": planned.name, "synthetic": planned.is_synthetic}
    about["shortage"] = None if planned.shortage is None else asdict(planned.shortage)
    if planned.forecast is not None:
        about["forecast"] = asdict(planned.forecast)
    return {**about, **asdict(planned.cost), "passes": planned.plan.to_log()}


def rows(planned: PlannedSearch) -> list[dict[str, Any]]:
    """The same as one row, without the blocks."""
    forecast = {} if planned.forecast is None else asdict(planned.forecast)
    row = asdict(planned.cost) | {"is_too_large": planned.shortage is not None}
    return [row | {f"forecast_{name}": forecast[name] for name in forecast}]
