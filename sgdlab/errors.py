"""Every error a user can cause, and the exit code each one ends the program with.

::

    SgdlabError
    ├── UsageError             2   a wrong argument
    ├── ConfigError            2   a config with mistakes, all of them at once
    ├── DataError              3   arrays that are missing, broken or do not fit together
    ├── StorageError           4   a run that cannot be written, read or locked; too little memory
    │   └── UnreadableError    4   what the system cannot read now, whatever it holds
    └── NothingToSelectError   5   every cell diverged

An error is about a place, says what was found there and what was expected, and what to do. A
parameter of the function that was called stands in backticks, with its value where that matters:
```cell=7```; whoever shows the error may name it otherwise, as the command line does with
its options. This module imports nothing of the package, so that it can be imported from anywhere.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass

_PARAMETER = re.compile(r"`([a-z][a-z0-9_]*)(?:=([^`]*))?`")

NameParameter = Callable[[str, str | None], str]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes
    ----------
    place
        What it is about: a file, with line and column where it has them; a key; a parameter.
    found
        What is there; empty where the place says it.
    expected
        What should be there; empty where nothing can be said.
    hint
        What to do about it; empty where that is plain.
    """

    place: str
    found: str
    expected: str = ""
    hint: str = ""

    def __str__(self) -> str:
        return line(self)


def as_python(name: str, value: str | None) -> str:
    """A parameter as a Python user knows it."""
    return name if value is None else f"{name}={value}"


def line(problem: Problem, name_parameter: NameParameter = as_python) -> str:
    """``place: found; expected ... (hint)``, with parameters named as the reader knows them."""
    expected = f"expected {problem.expected}" if problem.expected else ""
    what = "; ".join(part for part in (problem.found, expected) if part)
    hint = f" ({problem.hint})" if problem.hint else ""
    text = f"{problem.place}: {what}{hint}"
    return _PARAMETER.sub(lambda found: name_parameter(found[1], found[2]), text)


class SgdlabError(Exception):
    """Base of all errors that are reported in one line for each problem, without a traceback.

    Parameters
    ----------
    place, found, expected, hint
        See :class:`Problem`.
    more
        Further problems.
    """

    exit_code = 70

    def __init__(
        self, place: object, found: str, expected: str = "", hint: str = "", *more: Problem
    ) -> None:
        super().__init__(str(place), found, expected, hint, *more)
        self.problems = (Problem(str(place), found, expected, hint), *more)

    @property
    def place(self) -> str:
        """What the first problem is about."""
        return self.problems[0].place

    @property
    def found(self) -> str:
        return self.problems[0].found

    @property
    def expected(self) -> str:
        return self.problems[0].expected

    @property
    def hint(self) -> str:
        return self.problems[0].hint

    def __str__(self) -> str:
        return "\n".join(map(line, self.problems))


class UsageError(SgdlabError):
    """A command was called with arguments that make no sense."""

    exit_code = 2


class ConfigError(SgdlabError):
    """A config has mistakes."""

    exit_code = 2

    @classmethod
    def of(cls, problems: Sequence[Problem]) -> "ConfigError":
        """One error for all mistakes of a config, of which there is at least one."""
        return cls(*astuple(problems[0]), *problems[1:])


class DataError(SgdlabError):
    """An array file is missing, unreadable, or not what the other files need."""

    exit_code = 3


class StorageError(SgdlabError):
    """A run directory cannot be written, read or locked, or the memory is too small."""

    exit_code = 4


class UnreadableError(StorageError):
    """The system cannot read something now: it may be there, and whole."""


class NothingToSelectError(SgdlabError):
    """No cell has a finite validation loss."""

    exit_code = 5


def reason(error: Exception) -> str:
    """Why something failed, in the words of whoever refused it, in lower case."""
    return (getattr(error, "strerror", None) or str(error)).lower()
