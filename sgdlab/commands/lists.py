"""Options that take several numbers, separated by commas."""

import math

from sgdlab.errors import UsageError


def whole_numbers(option: str, text: str) -> tuple[int, ...]:
    """``1,2,4``: each from 1 to 2147483647."""
    values = positive_numbers(option, text, "whole numbers from 1 to 2147483647")
    if any(value != int(value) or value >= 2**31 for value in values):
        raise _not(option, text, "whole numbers from 1 to 2147483647")
    return tuple(int(value) for value in values)


def positive_numbers(
    option: str, text: str, expected: str = "positive numbers"
) -> tuple[float, ...]:
    """``0.1,1e-3``: each finite and above 0.

    Raises
    ------
    UsageError
        If that is not so.
    """
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise _not(option, text, expected) from None
    if not all(math.isfinite(value) and value > 0 for value in values):
        raise _not(option, text, expected)
    return values


def _not(option: str, text: str, expected: str) -> UsageError:
    return UsageError(f"{option} {text!r}: expected {expected}, separated by commas")
