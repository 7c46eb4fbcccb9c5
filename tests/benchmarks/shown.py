"""How all benchmarks print what they measured."""

from collections.abc import Iterable, Mapping
from importlib.metadata import version

from rich.console import RenderableType
from threadpoolctl import threadpool_info

from sgdlab.report.layout import new_table
from sgdlab.runs import provenance


def ratio_table(ratios: Mapping[str, float]) -> RenderableType:
    """One ratio a row."""
    table = new_table("ratio of seconds", "")
    for name, ratio in ratios.items():
        table.add_row(name, f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}")
    return table


def seconds_cells(seconds: Iterable[float]) -> list[str]:
    """Seconds as table cells, three digits each."""
    return [f"{each:.2f}" if each < 100 else f"{each:.0f}" for each in seconds]


def machine() -> str:
    """What the figures were measured on; the BLAS is numpy's, whatever others have brought."""
    found = provenance.environment()
    blas = next(
        f"{each['internal_api']} {each['version']} ({each['architecture']})"
        for each in threadpool_info()
        if each["user_api"] == "blas" and "numpy" in each["filepath"]
    )
    processors = f"{found['processor']}, {found['processors']} processors"
    return f"{processors}; Python {found['python']}\nnumpy {found['numpy']}, {blas}"


def versions(*packages: str) -> str:
    """Of what sgdlab was compared with."""
    return ", ".join(f"{name} {version(name)}" for name in packages)
