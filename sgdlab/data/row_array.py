"""A numeric array whose first axis counts rows, wherever it lies."""

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgdlab.errors import DataError

HASHED_WHOLE_BYTES = 10**9  # of more bytes, evenly spread pieces of this size together
HASHED_PIECES = 1000
_READ_BYTES = 1 << 20
_ALLOWED_ITEMSIZES = {"f": (2, 4, 8), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "b": (1,)}

Rows = slice | NDArray[np.int64]


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
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    is_fortran: bool

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

    @property
    @abstractmethod
    def sha256(self) -> str:
        """Hash of all bytes of a file of it; beyond 1 GB, of their number and of pieces."""

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


def hash_bytes(n_bytes: int, read_into: Callable[[int, memoryview], None]) -> str:
    """sha256 of so many bytes; beyond 1 GB, of their number and of 1000 evenly spread pieces.

    Parameters
    ----------
    read_into
        Fills a buffer with the bytes from a place.
    """
    digest = hashlib.sha256()
    length, starts = _READ_BYTES, range(0, n_bytes, _READ_BYTES)
    if n_bytes > HASHED_WHOLE_BYTES:
        digest.update(str(n_bytes).encode())
        length = HASHED_WHOLE_BYTES // HASHED_PIECES
        starts = np.linspace(0, n_bytes - length, HASHED_PIECES, dtype=np.int64).tolist()
    buffer = memoryview(bytearray(length))
    for start in starts:
        piece = buffer[: min(length, n_bytes - start)]
        read_into(start, piece)
        digest.update(piece)
    return digest.hexdigest()
