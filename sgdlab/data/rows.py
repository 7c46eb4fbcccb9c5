"""Rows of an array file as the arithmetic wants them, from memory or from disk with equal bits."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sgdlab.data.row_array import RowArray, Rows

READ_BYTES = 32 * 2**20  # of rows handed out together when a whole file is walked through
PIECE_BYTES = 2 * 2**20  # read at a time: large for the disk, small for the processor's cache
FORTRAN_PIECE_BYTES = 32 * 2**20

Chunk = tuple[NDArray[Any], NDArray[Any]]


@dataclass(frozen=True)
class Transform:
    """``(x / divide_by - mean) / scale``; ``mean`` and ``scale`` have shape (n_features,)."""

    divide_by: float = 1.0
    mean: NDArray[np.float64] | None = None
    scale: NDArray[np.float64] | None = None

    def apply(self, raw: NDArray[Any], out: NDArray[Any]) -> None:
        """Put transformed rows into ``out``, every step in its dtype; it may be ``raw`` itself."""
        if raw is not out:
            np.copyto(out, raw, casting="unsafe")
        if self.divide_by != 1:
            out /= out.dtype.type(self.divide_by)
        if self.mean is not None:
            out -= self.mean.astype(out.dtype)
        if self.scale is not None:
            out /= self.scale.astype(out.dtype)


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
        In the same order, and in the dtype in which the rows are handed out.
    """

    def __init__(
        self,
        file: RowArray,
        numbers: NDArray[np.int64],
        targets: NDArray[Any],
        transform: Transform,
    ) -> None:
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
    def dtype(self) -> np.dtype[Any]:
        return self.targets.dtype

    @property
    def n_rows(self) -> int:
        return len(self._numbers)

    @property
    def n_features(self) -> int:
        return self._file.n_features

    @property
    def n_bytes(self) -> int:
        """Of the rows, if they were held in memory."""
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

    def chunks(self, chunk_rows: int, order: NDArray[np.int64] | None = None) -> Iterator[Chunk]:
        """Rows and targets, ``chunk_rows`` at a time, in this set's order or at given positions."""
        n_rows = self.n_rows if order is None else len(order)
        for start in range(0, n_rows, chunk_rows):
            piece = slice(start, min(start + chunk_rows, n_rows))
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


def check_finite(file: RowArray, values: NDArray[Any], numbers: Rows) -> None:
    """Raise DataError with the first row (of the file) and column that is NaN or infinite."""
    if values.dtype.kind != "f" or np.isfinite(values).all():
        return
    if isinstance(numbers, slice):
        numbers = np.arange(numbers.start, numbers.stop)
    first = np.argmin(np.where(np.isfinite(values).all(axis=1), np.iinfo(np.int64).max, numbers))
    column = np.argmin(np.isfinite(values[first]))
    found = f"{values[first, column]} at row {numbers[first]}, column {column}"
    raise file.error(f"{found} (from 0); expected finite numbers")


def column_statistics(
    file: RowArray,
    numbers: NDArray[np.int64],
    divide_by: float,
    with_scale: bool,
    held_out: NDArray[np.int64] | None = None,
) -> list[tuple[NDArray[np.float64], NDArray[np.float64] | None]]:
    """Mean and population standard deviation of the columns of ``x / divide_by``.

    The deviation of a constant column is given as 1, so that dividing by it changes nothing.
    Shapes (n_features,); two walks through the rows, the second only ``with_scale``.

    Parameters
    ----------
    numbers
        Of the rows, each once.
    held_out : int64 array
        For every row of the file the fold that holds it out. Then there are statistics of each
        fold, of the rows that it does not hold out.
    """
    walk = _Walk(file, np.sort(numbers), divide_by, held_out)
    # Relative to the first row, so that a constant column deviates by exactly 0.
    firsts = [walk.read(walk.numbers[is_in][:1])[0] for is_in in walk.members(walk.numbers)]
    deviations = walk.means(firsts, square=False)
    means = [first + deviation for first, deviation in zip(firsts, deviations, strict=True)]
    if not with_scale:
        return [(mean, None) for mean in means]
    scales = [np.sqrt(each) for each in walk.means(means, square=True)]
    for scale in scales:
        scale[scale == 0] = 1.0
    return list(zip(means, scales, strict=True))


@dataclass(frozen=True)
class _Walk:
    """Through some rows of a file, in its order; for all folds at a time, if there are folds."""

    file: RowArray
    numbers: NDArray[np.int64]
    divide_by: float
    held_out: NDArray[np.int64] | None

    def members(self, numbers: NDArray[np.int64]) -> Iterator[NDArray[np.bool_]]:
        """Which of some rows belong to each fold, or to all that is walked through."""
        if self.held_out is None:
            yield np.ones(len(numbers), dtype=bool)
            return
        for fold in range(self.held_out.max() + 1):
            yield self.held_out[numbers] != fold

    def means(
        self, centres: Sequence[NDArray[np.float64]], square: bool
    ) -> list[NDArray[np.float64]]:
        """Of the deviations of each fold's rows from its centre, or of their squares."""
        totals = [np.zeros(self.file.n_features) for _ in centres]
        counts = [0] * len(centres)
        step = rows_in(READ_BYTES, self.file.n_features)
        for start in range(0, len(self.numbers), step):
            piece = self.numbers[start : start + step]
            rows = self.read(piece)
            for n, (is_in, centre) in enumerate(zip(self.members(piece), centres, strict=True)):
                chosen = rows[is_in]
                with _no_overflow(self.file, np.float64):
                    chosen -= centre
                    totals[n] += (np.square(chosen, out=chosen) if square else chosen).sum(axis=0)
                counts[n] += len(chosen)
            del rows, chosen  # before the next are read
        return [total / count for total, count in zip(totals, counts, strict=True)]

    def read(self, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
        raw = self.file.read_rows(numbers)
        check_finite(self.file, raw, numbers)
        rows = raw if raw.dtype == np.float64 else np.empty(raw.shape)
        transform_rows(self.file, raw, Transform(self.divide_by), rows)
        return rows


def transform_rows(
    file: RowArray, raw: NDArray[Any], transform: Transform, out: NDArray[Any]
) -> None:
    """Put rows of a file transformed into ``out``, which may be ``raw`` itself.

    Raises
    ------
    DataError
        If they are too large for that.
    """
    with _no_overflow(file, out.dtype):
        transform.apply(raw, out)


@contextmanager
def _no_overflow(file: RowArray, dtype: DTypeLike) -> Iterator[None]:
    """Finite values that do not stay finite in ``dtype`` are an error, not an infinity."""
    try:
        with np.errstate(over="raise", divide="raise", invalid="raise"):
            yield
    except FloatingPointError as error:
        found = f"values out of the range of {np.dtype(dtype)} ({error})"
        hint = "see data.divide_by and train.precision"
        raise file.error(f"{found}; expected moderate ones ({hint})") from None
