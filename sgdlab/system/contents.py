"""What is in a file: a system that has nothing to give now has not come to the file's end."""

import errno
import io
import os
from collections.abc import Iterator

PIECE_BYTES = 1 << 20


def pieces(
    stream: io.FileIO, piece_bytes: int = PIECE_BYTES, most: int | None = None
) -> Iterator[bytes]:
    """What is left of a file, or so many bytes of it at most, piece by piece.

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
