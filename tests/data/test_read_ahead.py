"""Rows that are read ahead: the bits of plain chunks, within bounds, and clean ends."""

import contextlib
import threading
import time

import numpy as np
import pytest

from sgdlab.config.model import Data
from sgdlab.data.dataset import open_dataset
from sgdlab.data.npy import NpyFile
from sgdlab.data.read_ahead import ReadAhead
from sgdlab.data.rows import RowSet
from sgdlab.errors import DataError
from sgdlab.words.orders import ShuffleBlocks

N_TRAIN = 104  # of the fixture's 130 rows

ORDERS = {
    "in order": None,
    "shuffled": np.random.default_rng(0).permutation(N_TRAIN),
    "with replacement": np.random.default_rng(1).integers(N_TRAIN, size=N_TRAIN),
    "backwards": np.arange(N_TRAIN)[::-1],
}


@pytest.fixture
def reads(monkeypatch):
    """Bytes of every single read of an array file, in a list that can be cleared."""
    found = []
    original = NpyFile._read_into

    def read(self, offset, buffer):
        found.append(len(buffer))
        original(self, offset, buffer)

    monkeypatch.setattr(NpyFile, "_read_into", read)
    return found


def copied(chunks):
    return [(rows.copy(), targets.copy()) for rows, targets in chunks]


def same_chunks(found, expected):
    assert len(found) == len(expected)
    for (X, y), (X_expected, y_expected) in zip(found, expected, strict=True):
        assert (X.dtype, X.shape) == (X_expected.dtype, X_expected.shape)
        assert X.tobytes() == X_expected.tobytes()
        assert y.tobytes() == y_expected.tobytes()


def own_threads():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("sgdlab-")]


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("preprocess", ["none", "standardize"])
@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("layout", ["C", "F", ">f8", "f4"])
def test_chunks_are_those_of_the_plain_walk(
    layout, precision, preprocess, in_memory, data_dir, arrays, monkeypatch
):
    monkeypatch.setattr(RowSet, "piece_rows", 5)
    X = arrays["Xtr"]
    X = np.asarray(X, order=layout) if layout in "CF" else X.astype(layout)
    np.save(data_dir / "Xtr.npy", X)
    with open_dataset(Data(path=str(data_dir), preprocess=preprocess)) as dataset:
        training, validation = dataset.training(precision), dataset.validation(precision)
        if in_memory:
            training.load()
            validation.load()
        for chunk_rows, n_chunks in [(1, 2), (7, 3), (13, 2), (26, 9), (200, 2)]:
            with ReadAhead(chunk_rows, n_chunks) as ahead:
                for row_set, order in [
                    *((training, order) for order in ORDERS.values()),
                    (validation, None),
                    (training, None),
                ]:
                    found = copied(ahead.chunks(row_set, order))
                    same_chunks(found, list(row_set.chunks(chunk_rows, order)))


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("preprocess", ["none", "center"])
@pytest.mark.parametrize("blocks", [(1, 1), (1, 5), (10, 2), (30, 9)])
@pytest.mark.parametrize("take", ["tail", "random"])
def test_chunks_of_shuffled_blocks_are_those_of_the_plain_walk(
    blocks, preprocess, take, in_memory, data_dir, monkeypatch
):
    monkeypatch.setattr(RowSet, "piece_rows", 4)
    config = Data(path=str(data_dir), preprocess=preprocess, validation={"take": take})
    with open_dataset(config) as dataset:
        training = dataset.training("float64")
        if in_memory:
            training.load()
        for chunk_rows, n_chunks in [(1, 2), (7, 4), (13, 3), (26, 9), (200, 2)]:
            with ReadAhead(chunk_rows, n_chunks) as ahead:
                for epoch in range(3):
                    order, ends = shuffled(blocks, epoch)
                    found = copied(ahead.chunks(training, order, ends))
                    same_chunks(found, list(training.chunks(chunk_rows, order)))


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("n_chunks", [2, 3, 9])
def test_a_walk_may_begin_at_any_chunk(n_chunks, in_memory, data_dir):
    with open_dataset(Data(path=str(data_dir))) as dataset, ReadAhead(10, n_chunks) as ahead:
        training = dataset.training("float64")
        if in_memory:
            training.load()
        for order, ends in [(None, None), (ORDERS["shuffled"], None), shuffled((7, 3))]:
            expected = copied(training.chunks(10, order))
            for first in range(12):
                found = copied(ahead.chunks(training, order, ends, start=10 * first))
                same_chunks(found, expected[first:])


def test_neighbours_may_lie_at_both_ends_of_the_ring(data_dir):
    order, ends = np.arange(N_TRAIN), np.array([*range(7, N_TRAIN, 7), N_TRAIN])
    for preprocess in ("none", "center"):
        config = Data(path=str(data_dir), preprocess=preprocess)
        with open_dataset(config) as dataset, ReadAhead(5, 3) as ahead:
            training = dataset.training("float64")
            found = copied(ahead.chunks(training, order, ends))
            same_chunks(found, list(training.chunks(5, order)))


def shuffled(blocks, epoch=0):
    order = ShuffleBlocks(0, 0, *blocks)
    return order.positions(N_TRAIN, epoch), order.mixture_ends(N_TRAIN, epoch)


@pytest.mark.parametrize("chunk_rows", [4, 7, 20])
def test_every_block_is_read_once_and_in_one_go(chunk_rows, data_dir, reads):
    blocks = (10, 3)
    with (
        open_dataset(Data(path=str(data_dir))) as dataset,
        ReadAhead(chunk_rows, -(-30 // chunk_rows) + 1) as ahead,
    ):
        training = dataset.training("float64")
        for epoch in range(3):
            order, ends = shuffled(blocks, epoch)
            reads.clear()
            for _ in ahead.chunks(training, order, ends):
                pass
            row_bytes = 9 * 8
            assert sum(reads) == N_TRAIN * row_bytes
            # Neighbours among the blocks of a buffer are read together.
            assert {n_bytes // row_bytes for n_bytes in reads} <= {10, 20, 30, 4, 14, 24}
            assert len(reads) <= 11


def test_a_buffer_that_finds_no_room_is_read_chunk_by_chunk(data_dir, reads):
    with open_dataset(Data(path=str(data_dir))) as dataset, ReadAhead(5, 6) as ahead:
        training = dataset.training("float64")
        order, ends = shuffled((10, 3))
        reads.clear()
        same_chunks(copied(ahead.chunks(training, order, ends)), list(training.chunks(5, order)))
        assert len(reads) > 30


def test_the_next_buffer_is_read_while_one_is_used(data_dir, reads):
    with open_dataset(Data(path=str(data_dir))) as dataset, ReadAhead(10, 6) as ahead:
        training = dataset.training("float64")
        order, ends = shuffled((10, 2))
        reads.clear()
        chunks = ahead.chunks(training, order, ends)
        next(chunks)
        assert holds_soon(lambda: sum(reads) >= ends[1] * 9 * 8)
        chunks.close()


def test_each_row_is_read_once_and_in_large_pieces(data_dir, reads):
    with open_dataset(Data(path=str(data_dir))) as dataset, ReadAhead(10, 3) as ahead:
        training = dataset.training("float64")
        reads.clear()
        assert len(list(ahead.chunks(training))) == 11
        assert reads == [10 * 9 * 8] * 10 + [4 * 9 * 8]
        reads.clear()
        list(ahead.chunks(training, ORDERS["shuffled"]))
        assert sum(reads) == N_TRAIN * 9 * 8


def test_rows_that_need_no_change_are_read_where_they_are_used(data_dir, monkeypatch):
    places = []
    original = NpyFile.read_rows

    def read_rows(self, rows, out=None):
        places.append(out)
        return original(self, rows, out)

    with open_dataset(Data(path=str(data_dir))) as dataset, ReadAhead(10, 3) as ahead:
        training = dataset.training("float64")
        monkeypatch.setattr(NpyFile, "read_rows", read_rows)
        for n, (rows, _) in enumerate(ahead.chunks(training)):
            assert np.shares_memory(rows, places[n])


def test_no_more_is_read_ahead_than_there_is_room_for(data_dir, reads):
    with open_dataset(Data(path=str(data_dir))) as dataset, ReadAhead(10, 3) as ahead:
        training = dataset.training("float64")
        reads.clear()
        chunks = ahead.chunks(training)
        for n in range(11):
            next(chunks)
            time.sleep(0.01)
            assert len(reads) <= min(n + 3, 11)
        chunks.close()


def test_rows_are_read_while_others_are_used(data_dir, reads):
    with open_dataset(Data(path=str(data_dir))) as dataset, ReadAhead(10, 3) as ahead:
        training = dataset.training("float64")
        reads.clear()
        chunks = ahead.chunks(training)
        next(chunks)
        assert holds_soon(lambda: len(reads) == 3)
        chunks.close()


def holds_soon(condition, seconds=10):
    """Whether a condition is met before the time is up."""
    deadline = time.monotonic() + seconds
    while not (is_met := condition()) and time.monotonic() < deadline:
        time.sleep(0.001)
    return is_met


def test_a_walk_that_is_broken_off_reads_no_more_and_the_next_one_is_whole(data_dir, reads):
    with open_dataset(Data(path=str(data_dir))) as dataset, ReadAhead(10, 3) as ahead:
        training = dataset.training("float64")
        for order in ORDERS.values():
            with contextlib.closing(ahead.chunks(training, order)) as chunks:
                next(chunks)
            n_reads = len(reads)
            time.sleep(0.01)
            assert len(reads) == n_reads
            same_chunks(copied(ahead.chunks(training, order)), list(training.chunks(10, order)))


@pytest.mark.parametrize("order", ["in order", "shuffled"])
@pytest.mark.parametrize("row", [0, 57, 103])
def test_a_bad_value_is_named_and_leaves_no_thread(row, order, data_dir, arrays):
    X = arrays["Xtr"].copy()
    X[row, 4] = np.nan
    np.save(data_dir / "Xtr.npy", X)
    with (
        open_dataset(Data(path=str(data_dir))) as dataset,
        pytest.raises(DataError, match=f"nan at row {row}, column 4"),
        ReadAhead(10, 3) as ahead,
    ):
        list(ahead.chunks(dataset.training("float64"), ORDERS[order]))
    assert own_threads() == []


@pytest.mark.parametrize("preprocess", ["none", "center"])
@pytest.mark.parametrize("order", ["in order", "shuffled"])
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-8]), "changed while in use"),
        (lambda path: path.unlink(), "no such file or directory while in use"),
        (lambda path: np.save(path, np.zeros((130, 9))), "changed while in use"),
    ],
)
def test_a_file_that_changes_in_the_middle_is_said(damage, said, order, preprocess, data_dir):
    config = Data(path=str(data_dir), preprocess=preprocess)
    with open_dataset(config) as dataset, ReadAhead(5, 3) as ahead:
        chunks = ahead.chunks(dataset.training("float64"), ORDERS[order])
        for _ in range(5):
            next(chunks)
        time.sleep(0.01)  # the modification time has to be another one
        damage(data_dir / "Xtr.npy")
        with pytest.raises(DataError, match=rf"Xtr\.npy: {said}; expected it to stay") as caught:
            list(chunks)
    assert len(str(caught.value).splitlines()) == 1
    assert own_threads() == []


def test_pieces_are_announced_in_the_order_in_which_they_are_read(data_dir, monkeypatch):
    announced, read = [], []
    for name, seen in (("announce", announced), ("read", read)):
        real = getattr(RowSet, name)

        def spy(rows, piece, *rest, seen=seen, real=real):
            seen.append(piece.numbers)
            return real(rows, piece, *rest)

        monkeypatch.setattr(RowSet, name, spy)
    with open_dataset(Data(path=str(data_dir))) as dataset, ReadAhead(5, 3) as ahead:
        list(ahead.chunks(dataset.training("float64")))
    assert announced == read[: len(announced)]  # the last ones may have come too late to matter
    assert announced


def test_a_walk_that_nobody_closed_leaves_no_thread(data_dir):
    with open_dataset(Data(path=str(data_dir))) as dataset, ReadAhead(5, 3) as ahead:
        chunks = ahead.chunks(dataset.training("float64"))
        next(chunks)
        assert own_threads() != []
    assert own_threads() == []
