"""Reads regular files of a sane size, and nothing else that may stand at a path.

Whoever opens a FIFO waits until somebody writes into it, ``/dev/zero`` never ends, a link leads
wherever somebody else wants, and a file may say that it has more bytes than any disk.
"""

import errno
import io
import os
import stat
from pathlib import Path

from sgdlab.system.contents import pieces

# Systems that lack one of them have no such files either.
_FLAGS = ("O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY", "O_NOINHERIT")
IS_LINK = (errno.ELOOP, errno.EMLINK)  # what systems answer to O_NOFOLLOW


class NotRegularError(ValueError):
    """What stands at a path is no regular file."""

    def __init__(self, what: str = "not a regular file") -> None:
        super().__init__(what)


def open_regular(path: Path, follow_links: bool = False) -> io.FileIO:
    """Open a regular file for reading.

    What is opened is looked at once more: something else may have taken its place meanwhile.

    Raises
    ------
    NotRegularError
        If it is none, or a link where those are not followed.
    OSError
        If it is absent, or the system refuses.
    """
    status = os.stat(path) if follow_links else os.lstat(path)
    _check(status)
    opener = _following if follow_links else _not_following
    try:
        stream = open(path, "rb", buffering=0, opener=opener)  # noqa: SIM115 - whoever asks closes it
    except IsADirectoryError:
        raise NotRegularError from None
    try:
        _check(os.fstat(stream.fileno()))
    except BaseException:
        stream.close()
        raise
    return stream


def read_regular(path: Path, most_bytes: int, follow_links: bool = False) -> bytes:
    """The content of a regular file of at most so many bytes.

    Raises
    ------
    ValueError
        If it is larger, or not a regular file.
    OSError
        If it is absent, or the system refuses.
    """
    with open_regular(path, follow_links) as stream:
        check_size(stream, most_bytes)
        content = b"".join(pieces(stream, most=most_bytes + 1))
    if len(content) > most_bytes:  # it has grown
        raise ValueError(_too_large(len(content), most_bytes))
    return content


def check_size(stream: io.FileIO, most_bytes: int) -> None:
    """Raise ValueError if an open file is larger."""
    if (n_bytes := os.fstat(stream.fileno()).st_size) > most_bytes:
        raise ValueError(_too_large(n_bytes, most_bytes))


def _too_large(n_bytes: int, most_bytes: int) -> str:
    return f"{n_bytes} bytes, of at most {most_bytes}"


def _check(status: os.stat_result) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise NotRegularError("a symbolic link")
    if not stat.S_ISREG(status.st_mode):
        raise NotRegularError


def opened(path: str | Path, flags: int, follow_links: bool = False) -> int:
    """A descriptor of what stands at a path; nobody waits for a FIFO's other end.

    Raises
    ------
    NotRegularError
        If it is a link, and those are not followed.
    OSError
        If the system refuses.
    """
    if not follow_links:
        flags |= getattr(os, "O_NOFOLLOW", 0)
    for name in _FLAGS:
        flags |= getattr(os, name, 0)
    try:
        return os.open(path, flags, 0o666)
    except OSError as error:
        if not follow_links and error.errno in IS_LINK:
            raise NotRegularError("a symbolic link") from None
        raise


def _following(path: str, flags: int) -> int:
    return opened(path, flags, follow_links=True)


def _not_following(path: str, flags: int) -> int:
    return opened(path, flags)
