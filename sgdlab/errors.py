"""Every error a user can cause, and the exit code each one ends the program with.

::

    SgdlabError
    ├── UsageError             2   a wrong argument
    ├── ConfigError            2   a config file with mistakes, all of them at once
    ├── DataError              3   arrays that are missing, broken or do not fit together
    ├── StorageError           4   a run that cannot be written, read or locked
    └── NothingToSelectError   5   every cell diverged

Messages read ``place: what was found; what was expected (what to do)``.
This module imports nothing, so that it can be imported from anywhere.
"""


class SgdlabError(Exception):
    """Base of all errors that are reported in one line each, without a traceback."""

    exit_code = 70

    def __init__(self, *messages: str) -> None:
        super().__init__(*messages)
        self.messages = messages

    def __str__(self) -> str:
        return "\n".join(self.messages)


class UsageError(SgdlabError):
    """A command was called with arguments that make no sense."""

    exit_code = 2


class ConfigError(SgdlabError):
    """A config has mistakes; one message for each."""

    exit_code = 2


class DataError(SgdlabError):
    """An array file is missing, unreadable, or not what the other files need."""

    exit_code = 3


class StorageError(SgdlabError):
    """A run directory cannot be written, read or locked."""

    exit_code = 4


class NothingToSelectError(SgdlabError):
    """No cell has a finite validation loss."""

    exit_code = 5


def reason(error: Exception) -> str:
    """Why something failed, in the words of whoever refused it, in lower case."""
    return (getattr(error, "strerror", None) or str(error)).lower()
