"""Arrays that a caller holds in memory, in place of files."""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from sgdlab.data.row_array import ReadInto, RowArray, Rows
from sgdlab.errors import DataError


class MemoryArray(RowArray):
    """An array in memory, with all properties of the file that ``numpy.save`` would make of it.

    Parameters
    ----------
    name
        In messages.
    array
        Of float16/32/64, integers or booleans, in either byte order, C or Fortran; one that is
        neither is copied. It must not change while in use.

    Raises
    ------
    DataError
        If it is no such array, or has no rows or no values.
    """

    def __init__(self, name: str, array: NDArray[Any]) -> None:
        self.name, self.stamp = name, None
        if not isinstance(array, np.ndarray) or isinstance(array, np.ma.MaskedArray):
            raise self.error(type(array).__name__, "a numpy array", "numpy.asarray makes one")
        self._check_dtype(array.dtype)
        self.dtype, self.shape = np.dtype(array.dtype.str), array.shape
        self._check_axes()
        self._check_has_values()
        array = np.asarray(array)
        self._array = array if array.flags.forc else np.ascontiguousarray(array)
        self.is_fortran = self._array.flags.fnc

    def read_rows(self, rows: Rows, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """See :meth:`RowArray.read_rows`."""
        chosen = self._array[rows]
        values = np.empty((len(chosen), self.n_features), self.dtype) if out is None else out
        values[...] = chosen.reshape(values.shape)
        return values

    @property
    def n_bytes(self) -> int:
        """Size of the file that ``numpy.save`` would make of it."""
        return len(self._head) + self._array.nbytes

    @property
    def _head(self) -> bytes:
        stream = io.BytesIO()
        header = npy_format.header_data_from_array_1_0(self._array)
        npy_format.write_array_header_1_0(stream, header)
        return stream.getvalue()

    def _hash(self, hash_bytes: Callable[[int, ReadInto], str]) -> str:
        """That of the file that ``numpy.save`` would make of it."""
        array = self._array.T if self.is_fortran else self._array
        numbers, head = array.reshape(-1).view(np.uint8), self._head

        def read_into(offset: int, buffer: memoryview) -> None:
            n_of_head = max(0, min(len(buffer), len(head) - offset))
            buffer[:n_of_head] = head[offset : offset + n_of_head]
            start = offset + n_of_head - len(head)
            buffer[n_of_head:] = numbers[start : start + len(buffer) - n_of_head].data

        return hash_bytes(self.n_bytes, read_into)


def in_memory(arrays: Mapping[str, NDArray[Any]], parts: Sequence[str]) -> dict[str, RowArray]:
    """Arrays that a caller gives by the names of parts of a data set, all of which are there.

    Raises
    ------
    DataError
        If one is missing, there are others, or one is no array of rows.
    """
    if set(arrays) != set(parts):
        found = ", ".join(map(str, arrays)) or "none"
        raise DataError("`arrays`", found, ", ".join(parts))
    return {part: MemoryArray(part, arrays[part]) for part in parts}
