"""Parsers of options that take several numbers, separated by commas."""

import math

import typer


def whole_numbers(text: str) -> tuple[int, ...]:
    """``1,2,4``: from 1 to 2147483647."""
    expected = "whole numbers from 1 to 2147483647"
    values = positive_numbers(text, expected)
    if any(value != int(value) or value >= 2**31 for value in values):
        raise _not(text, expected)
    return tuple(int(value) for value in values)


def positive_numbers(text: str, expected: str = "positive numbers") -> tuple[float, ...]:
    """``0.1,1e-3``: finite and above 0."""
    values = numbers(text, expected)
    if not all(math.isfinite(value) and value > 0 for value in values):
        raise _not(text, expected)
    return values


def numbers(text: str, expected: str = "numbers") -> tuple[float, ...]:
    """``0,1e-3``: any.

    Raises
    ------
    typer.BadParameter
        If that is not so; Typer adds which option it is.
    """
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise _not(text, expected) from None


def _not(text: str, expected: str) -> typer.BadParameter:
    return typer.BadParameter(f"{text!r}; expected {expected}, separated by commas")
