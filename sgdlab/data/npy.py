"""Reads numeric ``.npy`` files row by row, without trusting them.

The header must be sane and agree with the file's size, only plain numbers are read (so nothing is
ever unpickled), and rows are read into buffers: a file that is cut short while it is mapped into
memory kills the process.
"""

import io
import itertools
import math
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sgdlab.data.npy_header import read_header
from sgdlab.data.row_array import FileStamp, ReadInto, RowArray, Rows
from sgdlab.errors import DataError, reason
from sgdlab.system.contents import nothing_now, pieces
from sgdlab.system.regular import open_regular

MAX_HEADER_BYTES = 64 * 1024


class NpyFile(RowArray):
    """One numeric array on disk.

    Parameters
    ----------
    path
        A ``.npy`` file of float16/32/64, integers or booleans, in either byte order, C or Fortran.

    Raises
    ------
    DataError
        If the file is absent, not a regular file, or not exactly what its header says.
    """

    stamp: FileStamp

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, str(path)
        self._stream = _open_regular(path)
        self._lock = threading.Lock()
        try:
            with self._reading():
                self.stamp = FileStamp.of(os.fstat(self._stream.fileno()))
                self.shape, self.is_fortran, self.dtype = self._read_header()
                self._offset = self._stream.tell()
            self._check_shape()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        with suppress(OSError):  # what was read is not less true for it
            self._stream.close()

    @property
    def n_bytes(self) -> int:
        """Size of the whole file."""
        return self.stamp.n_bytes

    def read_rows(self, rows: Rows, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """See :meth:`RowArray.read_rows`; they are read in the order of the file, each once.

        Raises
        ------
        DataError
            If the file can no longer be read or has changed since it was opened.
        """
        if isinstance(rows, slice):
            start, stop, step = rows.indices(self.n_rows)
            rows = slice(start, max(start, stop)) if step == 1 else np.arange(start, stop, step)
        n_rows = rows.stop - rows.start if isinstance(rows, slice) else len(rows)
        values = np.empty((n_rows, self.n_features), self.dtype) if out is None else out
        if not n_rows:
            return values
        if isinstance(rows, slice):
            self._read_ascending(rows, values)
            return values
        distinct, inverse = np.unique(rows, return_inverse=True)
        if np.array_equal(distinct, rows):
            self._read_ascending(distinct, values)
        else:
            found = np.empty((len(distinct), self.n_features), self.dtype)
            self._read_ascending(distinct, found)
            np.take(found, inverse, axis=0, out=values, mode="clip")  # other modes copy once more
        return values

    def announce(self, rows: Rows) -> None:
        """Have the system fetch some ascending rows of a C-ordered file, which are read soon.

        Disks answer many requests at a time sooner than the same ones one after the other.
        """
        if self.is_fortran or not hasattr(os, "posix_fadvise"):  # macOS and Windows have none
            return
        row_bytes = self.n_features * self.dtype.itemsize
        with suppress(OSError):  # it is advice: a fault shows in the read
            for first, places in _runs(rows):
                n_bytes = (places.stop - places.start) * row_bytes
                os.posix_fadvise(
                    self._stream.fileno(),
                    self._offset + first * row_bytes,
                    n_bytes,
                    os.POSIX_FADV_WILLNEED,
                )

    def check_unchanged(self) -> None:
        """Raise DataError if the file was changed, replaced or removed since it was opened.

        All that was read before stood in the file then.
        """
        try:
            now = FileStamp.of(os.stat(self.path))
        except OSError as error:
            raise self.error(f"{reason(error)} while in use", "it to stay") from None
        if now != self.stamp:
            raise self._changed()

    def _hash(self, hash_bytes: Callable[[int, ReadInto], str]) -> str:
        with self._lock:
            found = hash_bytes(self.n_bytes, self._read_into)
            self.check_unchanged()
            return found

    def _read_header(self) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
        """Shape, Fortran order and dtype, by numpy's own reader, fed with bounded bytes."""
        head = io.BytesIO(b"".join(pieces(self._stream, MAX_HEADER_BYTES, MAX_HEADER_BYTES)))
        try:
            shape, is_fortran, dtype = read_header(head)
        except ValueError as error:
            found = f"its header cannot be read ({error})"
            raise self.error(found, "a .npy file") from None
        self._check_dtype(dtype)
        self._stream.seek(head.tell())
        return shape, is_fortran, dtype

    def _check_shape(self) -> None:
        self._check_axes()
        expected = self._offset + math.prod(self.shape) * self.dtype.itemsize
        if expected != self.n_bytes:
            header = f"as its header says: shape {self.shape}, {self.dtype}"
            hint = "write the file again"
            raise self.error(f"{self.n_bytes} bytes", f"{expected}, {header}", hint)
        self._check_has_values()

    def _read_ascending(self, rows: Rows, into: NDArray[Any]) -> None:
        """Distinct rows in ascending order; a slice has a start and a stop."""
        with self._lock:
            read = self._read_columns if self.is_fortran else self._read_runs
            read(rows, into)
            self.check_unchanged()  # afterwards, or it could have changed meanwhile

    def _read_runs(self, rows: Rows, into: NDArray[Any]) -> None:
        """Rows of a C-ordered file; neighbours are read together."""
        row_bytes = self.n_features * self.dtype.itemsize
        for first, places in _runs(rows):
            values = into[places].view(np.uint8).reshape(-1).data
            self._read_into(self._offset + first * row_bytes, values)

    def _read_columns(self, rows: Rows, into: NDArray[Any]) -> None:
        """Rows of a Fortran-ordered file, where every *column* lies in one piece."""
        if isinstance(rows, slice):
            first, stop, chosen = rows.start, rows.stop, slice(None)
        else:
            first, stop, chosen = int(rows[0]), int(rows[-1]) + 1, rows - rows[0]
        column = np.empty(stop - first, self.dtype)
        order = np.arange(self.n_features).reshape(self.shape[1:], order="F").reshape(-1)
        for n, place in enumerate(order.tolist()):
            offset = self._offset + (place * self.n_rows + first) * self.dtype.itemsize
            self._read_into(offset, column.view(np.uint8).data)
            into[:, n] = column[chosen]

    def _read_into(self, offset: int, buffer: memoryview) -> None:
        with self._reading():
            self._stream.seek(offset)
            n_read = 0
            while n_read < len(buffer):
                n_more = self._stream.readinto(buffer[n_read:])
                if n_more is None:
                    raise nothing_now()
                if not n_more:
                    raise self._changed()
                n_read += n_more

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self.error(reason(error), "a readable file") from None

    def _changed(self) -> DataError:
        return self.error("changed while in use", "it to stay", "run the command again")


def _open_regular(path: Path) -> io.FileIO:
    """Open a file for reading; one that would block or has no size is refused."""
    try:
        stream = open_regular(path, follow_links=True)
    except (OSError, ValueError) as error:
        raise DataError(path, reason(error), "a .npy file") from None
    if os.fstat(stream.fileno()).st_size == 0:  # so are the system's own files
        stream.close()
        raise DataError(path, "an empty file", "a .npy file")
    return stream


def _runs(rows: Rows) -> Iterator[tuple[int, slice]]:
    """Neighbours among ascending rows: the first of them, and their places among all."""
    if isinstance(rows, slice):
        yield rows.start, slice(0, rows.stop - rows.start)
        return
    starts = np.flatnonzero(np.diff(rows, prepend=-2) != 1).tolist()
    for start, stop in itertools.pairwise([*starts, len(rows)]):
        yield int(rows[start]), slice(start, stop)
