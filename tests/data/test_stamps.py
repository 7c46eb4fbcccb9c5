"""Files that are changed while they are in use, with their old time of change put back."""

import os

import numpy as np
import pytest

from sgdlab.data import row_array
from sgdlab.data.in_memory import MemoryArray
from sgdlab.data.npy import NpyFile
from sgdlab.errors import DataError


def in_place(path):
    """One byte is another, and all times that a program can set are as they were."""
    status = path.stat()
    with open(path, "r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        last = stream.read(1)[0]
        stream.seek(-1, os.SEEK_END)
        stream.write(bytes([last ^ 1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def renamed_over(path):
    """Another file with the same size and times stands in its place."""
    other = path.with_name("other.npy")
    other.write_bytes(path.read_bytes())
    in_place(other)
    status = path.stat()
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.replace(other, path)


CHANGES = [in_place, renamed_over]
READS = {
    "rows": lambda file: file.read_rows(slice(None)),
    "some rows": lambda file: file.read_rows(np.array([3, 1, 1])),
    "hash": lambda file: file.sha256,
    "whole hash": lambda file: file.whole_sha256,
    "closing check": lambda file: file.check_unchanged(),
}


@pytest.fixture(params=["C", "F"])
def path(request, tmp_path):
    """A file that is older than any clock's tick."""
    path = tmp_path / "array.npy"
    np.save(path, np.asarray(np.arange(600.0).reshape(200, 3), order=request.param))
    os.utime(path, ns=(0, 0))
    return path


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_with_the_old_time_is_noticed_at_the_next_read(change, read, path):
    with NpyFile(path) as file:
        file.read_rows(slice(None))
        change(path)
        with pytest.raises(DataError, match="changed while in use") as caught:
            READS[read](file)
        assert caught.value.exit_code == 3


@pytest.mark.parametrize("read", [name for name in READS if name != "closing check"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_during_a_read_is_noticed_by_that_read(change, read, path, monkeypatch):
    original = NpyFile._read_into

    def then_change(self, offset, buffer):
        original(self, offset, buffer)
        monkeypatch.undo()
        change(path)

    with NpyFile(path) as file:
        monkeypatch.setattr(NpyFile, "_read_into", then_change)
        with pytest.raises(DataError, match="changed while in use"):
            READS[read](file)


def test_a_file_that_nobody_touches_may_be_read_for_ever(path):
    with NpyFile(path) as file:
        for read in READS.values():
            read(file)
        assert path.read_bytes()
        os.stat(path)
        for read in READS.values():
            read(file)


# Large files


@pytest.fixture
def small_samples(monkeypatch):
    """Files of more than 1000 bytes count as large: 100 pieces of 10 bytes are hashed."""
    monkeypatch.setattr(row_array, "HASHED_WHOLE_BYTES", 1000)
    monkeypatch.setattr(row_array, "HASHED_PIECES", 100)


@pytest.mark.usefixtures("small_samples")
def test_bytes_between_the_pieces_count_for_the_whole_hash_alone(path):
    array = np.load(path)
    others = array.copy(order="K")
    others[97, 1] += 1
    memory, changed = MemoryArray("memory", array), MemoryArray("memory", others)
    with NpyFile(path) as file:
        assert file.is_sampled
        assert memory.is_sampled
        assert file.n_bytes == memory.n_bytes == path.stat().st_size
        assert file.sha256 == memory.sha256
        assert file.whole_sha256 == memory.whole_sha256
    assert changed.sha256 == memory.sha256
    assert changed.whole_sha256 != memory.whole_sha256


def test_a_small_file_is_hashed_once_for_both(path, monkeypatch):
    with NpyFile(path) as file:
        assert not file.is_sampled
        found = file.sha256
        monkeypatch.setattr(NpyFile, "_read_into", None)  # calling it would fail
        assert file.whole_sha256 == found
