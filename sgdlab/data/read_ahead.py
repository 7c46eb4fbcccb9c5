"""Rows are made ready while others are worked on.

One thread tells the system what will be read, one reads, and one prepares what was read.

The rows of a walk lie in a ring: position ``p`` in row ``p % len(ring)``. Chunks are slices of it
that are filled in place, so rows of a file that need no change are never copied, and the ring is
nearly all that is held of a file.
"""

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sgdlab.data.row_array import Rows
from sgdlab.data.rows import Chunk, Piece, RowSet

RAW_PIECES = 3  # beside the ring: one is read, one waits, one is prepared


@dataclass(frozen=True)
class _Task:
    """Something that is done to the ring; ``start`` is the first position that waits for it."""

    start: int
    futures: tuple[Future[Any], ...]


class ReadAhead:
    """Hands out chunks of rows; of those that are not used yet, as many are read as have room.

    Parameters
    ----------
    chunk_rows
        Rows of a chunk; the last of a walk may be shorter.
    n_chunks
        For which the ring has room; at least 2, the one in use and the next.
    """

    def __init__(self, chunk_rows: int, n_chunks: int) -> None:
        self._chunk_rows = chunk_rows
        self._ring_rows = max(2, n_chunks) * chunk_rows
        self._ring: NDArray[Any] = np.empty((0, 0))
        self._changed: NDArray[Any] = np.empty((0, 0))
        self._raw: list[NDArray[Any]] = [np.empty((0, 0))] * RAW_PIECES
        self._raw_users: deque[Future[Any]] = deque(maxlen=RAW_PIECES)
        self._n_raw = 0
        self._announcer = ThreadPoolExecutor(1, "sgdlab-announcer")
        self._reader = ThreadPoolExecutor(1, "sgdlab-reader")
        self._preparer = ThreadPoolExecutor(1, "sgdlab-preparer")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._announcer.shutdown(cancel_futures=True)
        self._reader.shutdown(cancel_futures=True)
        self._preparer.shutdown(cancel_futures=True)

    def chunks(
        self,
        row_set: RowSet,
        order: NDArray[np.int64] | None = None,
        ends: NDArray[np.int64] | None = None,
        start: int = 0,
    ) -> Generator[Chunk, None, None]:
        """What ``row_set.chunks`` gives, bit for bit; one walk at a time.

        The rows of a chunk are overwritten once the next one is asked for. A generator that is not
        used up has to be closed, so that nothing is read any more.

        Parameters
        ----------
        ends
            Where parts of the order end that are read as a whole, in the order of the file, if the
            ring has room for the longest of them and a chunk. Otherwise, chunks are.
        start
            The position of the first chunk that is handed out.
        """
        if row_set.is_loaded and order is None:
            yield from row_set.chunks(self._chunk_rows, start=start)
            return
        self._make_room(row_set)
        n_rows = row_set.n_rows if order is None else len(order)
        read_whole = self._spans_read(n_rows, None if row_set.is_loaded else ends)
        spans = deque(span for span in read_whole if span.stop > start)
        tasks: deque[_Task] = deque()
        try:
            for chunk in _spans(n_rows, self._chunk_rows, start):
                while spans and spans[0].stop <= chunk.start + self._ring_rows:
                    tasks.extend(self._fill(row_set, order, spans.popleft()))
                while tasks and tasks[0].start < chunk.stop:
                    tasks[0].futures[-1].result()
                    tasks.popleft()
                targets = row_set.targets[chunk if order is None else order[chunk]]
                yield self._ring[self._in_ring(chunk)], targets
        finally:
            left = [future for task in tasks for future in task.futures]
            wait([future for future in left if not future.cancel()])

    def _spans_read(self, n_rows: int, ends: NDArray[np.int64] | None) -> Iterator[slice]:
        """Parts of a walk that are read as a whole."""
        if ends is None or np.diff(ends, prepend=0).max() + self._chunk_rows > self._ring_rows:
            return _spans(n_rows, self._chunk_rows)
        return map(slice, [0, *ends.tolist()], ends.tolist())

    def _make_room(self, row_set: RowSet) -> None:
        """The ring, and buffers for pieces that are not read into it."""
        self._ring = _array(self._ring, self._ring_rows, row_set.n_features, row_set.dtype)
        if not row_set.is_loaded:
            n_rows, n_features = min(row_set.piece_rows, self._ring_rows), row_set.n_features
            self._changed = _array(self._changed, n_rows, n_features, row_set.dtype)
            self._raw = [_array(raw, n_rows, n_features, row_set.file_dtype) for raw in self._raw]
            self._raw_users.clear()

    def _fill(
        self, row_set: RowSet, order: NDArray[np.int64] | None, span: slice
    ) -> Iterator[_Task]:
        """Have the rows at some positions of a walk put into the ring."""
        if row_set.is_loaded:
            assert order is not None
            out = self._ring[self._in_ring(span)]
            gathered = self._preparer.submit(row_set.gather, order[span], out)
            yield _Task(span.start, (gathered,))
            return
        for piece in row_set.pieces(span if order is None else order[span]):
            yield _Task(span.start, self._read_and_prepare(row_set, piece, span.start))

    def _read_and_prepare(
        self, row_set: RowSet, piece: Piece, start: int
    ) -> tuple[Future[Any], Future[None]]:
        """Both steps for a piece whose places count from a position of the walk."""
        places = self._places(piece, start)
        out = self._ring[places] if isinstance(places, slice) else None
        self._announcer.submit(row_set.announce, piece)
        is_direct = out is not None and row_set.is_raw
        if is_direct:
            raw = self._reader.submit(row_set.read, piece, out)
        else:
            raw = self._read_apart(row_set, piece)
        done = self._preparer.submit(self._prepare, row_set, piece, raw, out, places)
        if not is_direct:
            self._raw_users.append(done)
        return raw, done

    def _places(self, piece: Piece, start: int) -> Rows:
        """Where rows of a piece are in the ring; a slice unless they are apart or at both ends."""
        if isinstance(piece.places, slice):
            places = self._in_ring(slice(start + piece.places.start, start + piece.places.stop))
            if places.stop <= self._ring_rows:
                return places
            return np.arange(places.start, places.stop) % self._ring_rows
        return (start + piece.places) % self._ring_rows

    def _read_apart(self, row_set: RowSet, piece: Piece) -> Future[NDArray[Any]]:
        """Read a piece into a buffer of its own, once that has been prepared which was there."""
        buffer = self._raw[self._n_raw % RAW_PIECES]
        self._n_raw += 1
        is_used = len(self._raw_users) == RAW_PIECES
        user = self._raw_users[0] if is_used else None
        return self._reader.submit(_read_after, user, row_set, piece, buffer)

    def _prepare(
        self,
        row_set: RowSet,
        piece: Piece,
        raw: Future[NDArray[Any]],
        out: NDArray[Any] | None,
        places: Rows,
    ) -> None:
        """Into ``out``, or else into places of the ring that are apart."""
        rows = raw.result()
        if out is not None:
            row_set.prepare(rows, piece, out)
        else:
            changed = rows if row_set.is_raw else self._changed[: piece.n_rows]
            self._ring[places] = row_set.prepare(rows, piece, changed)

    def _in_ring(self, span: slice) -> slice:
        start = span.start % self._ring_rows
        return slice(start, start + span.stop - span.start)


def _spans(n_rows: int, length: int, first: int = 0) -> Iterator[slice]:
    for start in range(first, n_rows, length):
        yield slice(start, min(start + length, n_rows))


def _array(old: NDArray[Any], n_rows: int, n_features: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """The old array if it is as wanted, or else a new one."""
    if old.shape == (n_rows, n_features) and old.dtype == dtype:
        return old
    return np.empty((n_rows, n_features), dtype)


def _read_after(
    user: Future[Any] | None, row_set: RowSet, piece: Piece, buffer: NDArray[Any]
) -> NDArray[Any]:
    if user is not None:
        user.result()
    return row_set.read(piece, buffer[: piece.n_rows])
