"""Rows of an array file as the arithmetic wants them, from memory or from disk with equal bits."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sgdlab.data.row_array import RowArray, Rows
from sgdlab.data.transform import Transform, check_finite, transform_rows

READ_BYTES = 32 * 2**20  # of rows handed out together when a whole file is walked through
PIECE_BYTES = 2 * 2**20  # read at a time: large for the disk, small for the processor's cache
FORTRAN_PIECE_BYTES = 32 * 2**20

Chunk = tuple[NDArray[Any], NDArray[Any]]


@dataclass(frozen=True)
class Piece:
    """Rows that are read together.

    Attributes
    ----------
    numbers
        In the file, ascending; they may repeat.
    places
        Which of the rows that were asked for these are.
    """

    numbers: Rows
    places: Rows

    @property
    def n_rows(self) -> int:
        if isinstance(self.numbers, slice):
            return int(self.numbers.stop - self.numbers.start)
        return len(self.numbers)


class RowSet:
    """Some rows of a file with their targets, transformed.

    Parameters
    ----------
    file
        Holds the rows.
    numbers : int64 array, shape (n_rows,)
        Which rows of the file, in the order in which position 0, 1, ... of this set stand.
    targets : float array, shape (n_rows,)
        In the same order.
    dtype
        In which the rows are handed out; by default that of the targets.
    """

    def __init__(
        self,
        file: RowArray,
        numbers: NDArray[np.int64],
        targets: NDArray[Any],
        transform: Transform,
        dtype: DTypeLike | None = None,
    ) -> None:
        self.dtype = targets.dtype if dtype is None else np.dtype(dtype)
        self._file = file
        self._numbers = numbers
        self._transform = transform
        self._rows: NDArray[Any] | None = None
        self.targets = targets

    @property
    def numbers(self) -> NDArray[np.int64]:
        """Which rows of the file these are."""
        return self._numbers

    @property
    def n_rows(self) -> int:
        return len(self._numbers)

    @property
    def n_features(self) -> int:
        return self._file.n_features

    @property
    def n_bytes(self) -> int:
        """Size of the rows, if they were held in memory."""
        return self.n_rows * self.n_features * self.dtype.itemsize

    @property
    def file_dtype(self) -> np.dtype[Any]:
        return self._file.dtype

    @property
    def piece_rows(self) -> int:
        """Rows that are read together, at most."""
        return piece_rows(self.n_features, self._file.dtype.itemsize, self._file.is_fortran)

    @property
    def is_raw(self) -> bool:
        """Whether rows of the file are of the dtype in which they are handed out."""
        return self._file.dtype == self.dtype

    @property
    def is_loaded(self) -> bool:
        """Whether the rows are held in memory."""
        return self._rows is not None

    def load(self) -> None:
        """Hold the rows in memory from now on; the file is read once, from its start to its end."""
        self._rows = self._from_file(slice(0, self.n_rows))

    def chunks(
        self, chunk_rows: int, order: NDArray[np.int64] | None = None, start: int = 0
    ) -> Iterator[Chunk]:
        """Rows and targets, ``chunk_rows`` at a time, in this set's order or at given positions.

        ``start`` is where the first chunk begins.
        """
        n_rows = self.n_rows if order is None else len(order)
        for first in range(start, n_rows, chunk_rows):
            piece = slice(first, min(first + chunk_rows, n_rows))
            positions = piece if order is None else order[piece]
            if self._rows is None:
                yield self._from_file(positions), self.targets[positions]
            else:
                yield self._rows[positions], self.targets[positions]

    def walk(self) -> Iterator[Chunk]:
        """All rows and targets once, in chunks that are large for the disk."""
        return self.chunks(rows_in(READ_BYTES, self.n_features))

    def gather(self, positions: NDArray[np.int64], out: NDArray[Any]) -> None:
        """Copy rows that are held in memory into ``out``, shape (len(positions), n_features)."""
        assert self._rows is not None
        np.take(self._rows, positions, axis=0, out=out, mode="clip")  # other modes copy once more

    def pieces(self, positions: Rows) -> Iterator[Piece]:
        """The rows at some positions as pieces of the file, in its order; a slice has no step."""
        numbers = self._numbers[positions]
        n_rows = len(numbers)
        is_run = numbers[-1] - numbers[0] == n_rows - 1 and bool((np.diff(numbers) == 1).all())
        ascending = None if is_run else np.argsort(numbers, kind="stable")
        for start in range(0, n_rows, self.piece_rows):
            piece = slice(start, min(start + self.piece_rows, n_rows))
            if ascending is None:
                first = int(numbers[0])
                yield Piece(slice(first + piece.start, first + piece.stop), piece)
            else:
                yield Piece(numbers[ascending[piece]], ascending[piece])

    def announce(self, piece: Piece) -> None:
        """Have the system fetch the rows of a piece, which is read soon."""
        self._file.announce(piece.numbers)

    def read(self, piece: Piece, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """The rows of a piece as they stand in the file, put into ``out`` if that is given."""
        return self._file.read_rows(piece.numbers, out)

    def prepare(self, raw: NDArray[Any], piece: Piece, out: NDArray[Any]) -> NDArray[Any]:
        """Check the rows of a piece and transform them into ``out``, or into ``raw`` itself."""
        check_finite(self._file, raw, piece.numbers)
        transform_rows(self._file, raw, self._transform, out)
        return out

    def _from_file(self, positions: Rows) -> NDArray[Any]:
        rows = np.empty((len(self._numbers[positions]), self.n_features), self.dtype)
        # Used for all pieces: the system takes longer to hand out new memory than to fill it.
        n_rows = min(self.piece_rows, len(rows))
        raw = np.empty((n_rows, self.n_features), self.file_dtype)
        changed = raw if self.is_raw else np.empty(raw.shape, self.dtype)
        for piece in self.pieces(positions):
            if isinstance(piece.places, slice):
                out = rows[piece.places]
                into = out if self.is_raw else raw[: piece.n_rows]
                self.prepare(self.read(piece, into), piece, out)
            else:
                read = self.read(piece, raw[: piece.n_rows])
                rows[piece.places] = self.prepare(read, piece, changed[: piece.n_rows])
        return rows


def rows_in(n_bytes: int, n_features: int) -> int:
    """How many float64 rows take about ``n_bytes``; at least one."""
    return max(1, n_bytes // (8 * n_features))


def piece_rows(n_features: int, itemsize: int, is_fortran: bool) -> int:
    """Rows that are read together; more of a Fortran-ordered file, column by column."""
    n_bytes = FORTRAN_PIECE_BYTES if is_fortran else PIECE_BYTES
    return max(1, n_bytes // (n_features * itemsize))
