"""How single values look in tables, and results as plain documents for JSON."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgdlab.uncertainty.means import Mean

ABSENT = "-"


def number(value: float | None) -> str:
    """Five significant digits with trailing zeros: losses and errors."""
    return ABSENT if value is None or math.isnan(value) else f"{value:#.5g}"


def plain(value: float) -> str:
    """Five significant digits without trailing zeros: biases, ranges."""
    return ABSENT if math.isnan(value) else f"{value:.5g}"


def setting(value: object) -> str:
    """A hyperparameter as one would write it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def measured(mean: Mean, sign: str = "") -> str:
    """A mean and its standard error as :func:`with_error` writes them."""
    return with_error(mean.value, mean.standard_error, sign)


def length(vector: NDArray[Any]) -> float:
    """The Euclidean norm, also where squares leave float64: in a unit that is a power of two."""
    unit = np.frexp(np.max(np.abs(vector), initial=0.0))[1]
    with np.errstate(over="ignore"):
        return float(np.ldexp(np.linalg.norm(np.ldexp(vector, -unit)), unit))


def with_error(value: float, error: float, sign: str = "") -> str:
    """With one digit of the standard error, and as many places of the value; sign may be "+"."""
    places = math.ceil(-math.log10(error)) if 1e-5 <= error < 1 else None
    if places is None:
        return f"{value:{sign}.3g} ±{error:.1g}"
    return f"{value:{sign}.{places}f} ±{error:.{places}f}"


def finite(value: float) -> float | None:
    """None for what is not finite, as CSV and JSON write it."""
    return value if math.isfinite(value) else None


def n_bytes(value: float) -> str:
    """With a decimal unit: 58.9 MB."""
    return _scaled(value, ("B", "kB", "MB", "GB", "TB"))


def seconds(value: float) -> str:
    """With two digits, or with minutes and hours: 3.1 s, 12 min 30 s, 5 h 20 min."""
    if value < 99.5:
        return f"{value:.2g} s"
    minutes = round(value / 60)
    if value < 5970:
        return f"{round(value) // 60} min {round(value) % 60} s"
    return f"{minutes // 60} h {minutes % 60} min"


def n_operations(value: float) -> str:
    """Floating-point operations: 139 Gflop."""
    return _scaled(value, ("flop", "kflop", "Mflop", "Gflop", "Tflop", "Pflop"))


def _scaled(value: float, units: tuple[str, ...]) -> str:
    for unit in units[:-1]:
        if value < 999.5:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} {units[-1]}"
