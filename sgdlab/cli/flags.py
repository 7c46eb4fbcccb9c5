"""What the parameters of the library are called on the command line."""

from sgdlab.errors import Problem, line

_NAMES = {"n_rows": "--n", "overrides": "--set"}


def as_option(name: str, value: str | None = None) -> str:
    """``keep_weights`` and ``all``: ``--keep-weights all``; a switch has no value."""
    option = _NAMES.get(name) or f"--{name.removeprefix('n_').replace('_', '-')}"
    return option if value in (None, "True") else f"{option} {value}"


def shown(problem: Problem) -> str:
    """A problem in one line, for a person who has options and not parameters."""
    return line(problem, as_option)
