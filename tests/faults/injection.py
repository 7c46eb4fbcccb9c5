"""Makes the system refuse calls: the k-th of a kind on a path of a folder, or all from there."""

import builtins
import io
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from errno import (
    EACCES,
    EDQUOT,
    EINTR,
    EIO,
    EMFILE,
    ENFILE,
    ENOENT,
    ENOMEM,
    ENOSPC,
    EPERM,
    EROFS,
    ESTALE,
    errorcode,
)
from pathlib import Path
from typing import Any
from unittest import mock

_LOOKING = (EACCES, EIO, ENOMEM, ESTALE, EINTR, ENOENT)
_OPENING = (EACCES, EIO, EMFILE, ENFILE, ENOMEM, ESTALE, EINTR, ENOENT)
_CHANGING = (EACCES, EPERM, EIO, ENOSPC, EDQUOT, EROFS, ESTALE, EINTR)
# What disks answer, by the function of `os`; `read` and `write` are calls on open files.
ERRORS = {
    "open": (*_OPENING, ENOSPC, EROFS),
    "os.open": (*_OPENING, ENOSPC, EROFS),
    "read": (EIO, ESTALE, EINTR),
    "write": (EIO, ENOSPC, EDQUOT, EINTR),
    "os.stat": _LOOKING,
    "os.lstat": _LOOKING,
    "os.scandir": _OPENING,
    "os.listdir": _OPENING,
    "os.replace": _CHANGING,
    "os.fsync": (EIO, ENOSPC, EDQUOT, EROFS, EINTR),
    "os.unlink": _CHANGING,
    "os.mkdir": _CHANGING,
    "os.rmdir": _CHANGING,
    "os.utime": _CHANGING,
}
_OF_FILES = ("read", "readinto", "write")
FOR_EVER = 5000  # refusals after which nobody will be content with one


@dataclass(frozen=True)
class Fault:
    """The k-th call of a kind, from 1, and perhaps all that follow, is answered by an error."""

    call: str
    k: int
    number: int
    is_lasting: bool = False

    def __str__(self) -> str:
        since = "from" if self.is_lasting else "at"
        return f"{errorcode[self.number]} {since} call {self.k} of {self.call}"


@dataclass
class Calls:
    """Counts the calls on paths of a folder, and refuses some of them if there is a fault."""

    folder: Path
    fault: Fault | None = None
    counts: Counter[str] = field(default_factory=Counter)
    where: str = ""

    def happens(self, call: str, path: object) -> None:
        self.counts[call] += 1
        fault = self.fault
        if fault is None or call != fault.call:
            return
        n_since = self.counts[call] - fault.k
        assert n_since < FOR_EVER, f"{fault} is met for ever"
        if n_since == 0 or (n_since > 0 and fault.is_lasting):
            self.where = self.where or str(path)
            raise OSError(fault.number, os.strerror(fault.number), str(path))

    def has(self, path: object) -> bool:
        """Whether a path, or an open file, is in the folder."""
        if isinstance(path, int):
            path = os.readlink(f"/proc/self/fd/{path}") if os.path.isdir("/proc") else self.folder
        if not isinstance(path, str | os.PathLike):
            return False
        return Path(os.path.abspath(path)).is_relative_to(self.folder)


class _File:
    """An open file whose reads and writes are counted."""

    def __init__(self, file: Any, path: object, calls: Calls) -> None:
        self._file, self._path, self._calls = file, path, calls

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._file, name)
        if name not in _OF_FILES:
            return found

        def counted(*arguments: Any) -> Any:
            self._calls.happens("write" if name == "write" else "read", self._path)
            return found(*arguments)

        return counted

    def __enter__(self) -> "_File":
        self._file.__enter__()
        return self

    def __exit__(self, *error: Any) -> Any:
        return self._file.__exit__(*error)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._file)


@contextmanager
def counted(folder: Path, fault: Fault | None = None) -> Iterator[Calls]:
    """Count what is called on a folder inside, and have a fault happen."""
    calls = Calls(folder, fault)

    def wrapped(call: str, original: Any) -> Any:
        def wrapper(path: Any = ".", *arguments: Any, **options: Any) -> Any:
            if not calls.has(path):
                return original(path, *arguments, **options)
            calls.happens(call, path)
            result = original(path, *arguments, **options)
            return _File(result, path, calls) if call == "open" else result

        return wrapper

    with ExitStack() as stack:
        for call in ERRORS:
            if call.startswith("os."):
                name = call.removeprefix("os.")
                original = getattr(os, name)
                stack.enter_context(mock.patch.object(os, name, wrapped(call, original)))
        opened = wrapped("open", io.open)
        stack.enter_context(mock.patch.object(io, "open", opened))
        stack.enter_context(mock.patch.object(builtins, "open", opened))
        yield calls
