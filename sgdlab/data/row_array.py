"""A numeric array whose first axis counts rows, wherever it lies."""

import hashlib
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgdlab.errors import DataError

HASHED_WHOLE_BYTES = 10**9  # of more bytes, evenly spread pieces of this size together
HASHED_PIECES = 1000
_READ_BYTES = 1 << 20
_ALLOWED_ITEMSIZES = {"f": (2, 4, 8), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "b": (1,)}

Rows = slice | NDArray[np.int64]
ReadInto = Callable[[int, memoryview], None]  # fills a buffer with the bytes from a place


@dataclass(frozen=True)
class FileStamp:
    """What a file system tells of a file, some of which changes whenever the file does.

    The time of its last modification can be set to anything; that of the last change of its inode,
    ``ctime_ns``, cannot, and a file that is put in its place is another inode.
    """

    n_bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> "FileStamp":
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


class RowArray(ABC):
    """Rows of plain numbers; all axes but the first are flattened to features.

    Attributes
    ----------
    name
        Of the array in messages.
    shape, dtype
        Before axes are flattened.
    is_fortran
        Whether its columns lie together.
    stamp
        Of the file as it was opened; None of an array in memory, of which nobody tells changes.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    is_fortran: bool
    stamp: FileStamp | None

    @property
    def n_rows(self) -> int:
        return self.shape[0]

    @property
    def row_shape(self) -> tuple[int, ...]:
        return self.shape[1:]

    @property
    def n_features(self) -> int:
        return math.prod(self.row_shape)

    @abstractmethod
    def read_rows(self, rows: Rows, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Some rows in the array's own dtype, shape (len(rows), n_features), C order.

        ``rows`` may be in any order and repeat. They are put into ``out`` if that is given: an
        array of just that shape, dtype and order; and never shared with the array itself.
        """

    def announce(self, rows: Rows) -> None:  # noqa: B027 - nothing is to be done for most arrays
        """Make some ascending rows ready, which are read soon."""

    def check_unchanged(self) -> None:  # noqa: B027 - nobody tells of an array in memory
        """Raise DataError if what was read may no longer be what stands there."""

    @property
    @abstractmethod
    def n_bytes(self) -> int:
        """Size of a file of it."""

    @property
    def is_sampled(self) -> bool:
        """Whether it is so large that ``sha256`` is of pieces of it."""
        return self.n_bytes > HASHED_WHOLE_BYTES

    @cached_property
    def sha256(self) -> str:
        """Hash of all bytes of a file of it; beyond 1 GB, of their number and of pieces."""
        return self._hash(_hash_pieces) if self.is_sampled else self.whole_sha256

    @cached_property
    def whole_sha256(self) -> str:
        """Hash of all bytes of a file of it, which takes about a second for 1 to 2 GB."""
        return self._hash(_hash_all)

    @abstractmethod
    def _hash(self, hash_bytes: Callable[[int, ReadInto], str]) -> str:
        """What a function makes of the number of bytes of a file of it, and of these."""

    def error(self, found: str, expected: str = "", hint: str = "") -> DataError:
        """What is wrong with the array, to be raised."""
        return DataError(self.name, found, expected, hint)

    def _check_dtype(self, dtype: np.dtype[Any]) -> None:
        if dtype.itemsize not in _ALLOWED_ITEMSIZES.get(dtype.kind, ()) or dtype.names:
            expected = "float16, float32, float64, integers or booleans"
            raise self.error(f"dtype {str(dtype)[:100]}", expected, "convert it with astype")

    def _check_axes(self) -> None:
        if not self.shape or any(type(length) is not int or length < 0 for length in self.shape):
            raise self.error(f"shape {self.shape}", "a row for each sample")

    def _check_has_values(self) -> None:
        if not math.prod(self.shape):
            raise self.error(f"shape {self.shape}", "at least one row and one value a row")


def _hash_all(n_bytes: int, read_into: ReadInto) -> str:
    starts = range(0, n_bytes, _READ_BYTES)
    return _hex_digest(hashlib.sha256(), n_bytes, _READ_BYTES, starts, read_into)


def _hash_pieces(n_bytes: int, read_into: ReadInto) -> str:
    """The number of bytes and 1000 evenly spread pieces."""
    length = HASHED_WHOLE_BYTES // HASHED_PIECES
    starts = np.linspace(0, n_bytes - length, HASHED_PIECES, dtype=np.int64).tolist()
    return _hex_digest(hashlib.sha256(str(n_bytes).encode()), n_bytes, length, starts, read_into)


def _hex_digest(
    digest: Any, n_bytes: int, length: int, starts: Iterable[int], read_into: ReadInto
) -> str:
    """Add pieces of some length to a digest; the last may be shorter."""
    buffer = memoryview(bytearray(length))
    for start in starts:
        piece = buffer[: min(length, n_bytes - start)]
        read_into(start, piece)
        digest.update(piece)
    found: str = digest.hexdigest()
    return found
