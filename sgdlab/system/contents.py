"""What is in a file: a system that has nothing to give now has not come to the file's end."""

import errno
import io
import os
from collections.abc import Iterator
from pathlib import Path

PIECE_BYTES = 1 << 20


def content_of(path: Path, most: int | None = None) -> bytes:
    """All bytes of a file, or so many of the first ones.

    Raises
    ------
    OSError
        If the system refuses any of them.
    """
    with open(path, "rb", buffering=0) as stream:
        n_bytes = os.fstat(stream.fileno()).st_size + 1  # with which most files are read at once
        return b"".join(pieces(stream, n_bytes, most))


def pieces(
    stream: io.FileIO, piece_bytes: int = PIECE_BYTES, most: int | None = None
) -> Iterator[bytes]:
    """What is left of a file, piece by piece; see :func:`content_of`.

    Python's own readers end where the system says that it would have to wait, as if the file did.
    """
    n_left = most
    while n_left != 0:
        piece = stream.read(piece_bytes if n_left is None else min(piece_bytes, n_left))
        if piece is None:
            raise nothing_now()
        if not piece:
            return
        yield piece
        n_left = None if n_left is None else n_left - len(piece)


def nothing_now() -> BlockingIOError:
    """What a read without waiting is refused with, which Python tells by None."""
    return BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
