"""Array files: every value as numpy reads it, files that change, and hashes."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from sgdlab.data import row_array
from sgdlab.data.npy import NpyFile
from sgdlab.errors import DataError
from tests.data.npy_files import (
    KINDS,
    SHAPES,
    checked_complaint,
    header_of,
    npy_bytes,
    random_array,
    same_bits,
    with_header,
)

ROWS = {
    "all": slice(None),
    "middle": slice(2, 7),
    "from the end": slice(-3, None),
    "backwards": slice(7, 1, -2),
    "beyond the end": slice(5, 99),
    "none": slice(4, 4),
    "no numbers": [],
    "unsorted": [8, 0, 3, 4, 5, 1],
    "repeated": [2, 2, 0, 8, 2, 0],
    "random": np.random.default_rng(0).integers(9, size=40),
}


# Reading


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize("kind", KINDS)
def test_reads_the_bits_that_numpy_wrote(kind, byte_order, order, tmp_path):
    path = tmp_path / "array.npy"
    for shape in SHAPES:
        array = random_array(kind, shape, byte_order)
        np.save(path, np.asarray(array, order=order))
        flat = array.reshape(9, -1)
        with NpyFile(path) as file:
            assert (file.shape, file.n_rows, file.n_features) == (shape, 9, flat.shape[1])
            for name, rows in ROWS.items():
                rows = rows if isinstance(rows, slice) else np.array(rows, dtype=np.int64)
                found = file.read_rows(rows)
                assert same_bits(found, flat[rows]), (shape, name)
                assert found.flags.c_contiguous


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_both_versions_of_the_header(version, tmp_path):
    path = tmp_path / "array.npy"
    path.write_bytes(with_header(header_of((2, 1)), np.array([1.5, -2.0]).tobytes(), version))
    with NpyFile(path) as file:
        assert file.read_rows(slice(None)).tolist() == [[1.5], [-2.0]]


def test_header_of_python_2(tmp_path):
    path = tmp_path / "array.npy"
    path.write_bytes(with_header(header_of("(2L,)", "'|u1'"), bytes([3, 255])))
    with NpyFile(path) as file:
        assert file.read_rows(slice(None)).tolist() == [[3], [255]]


def test_threads_share_a_file(tmp_path):
    array = np.arange(9000.0).reshape(3000, 3)
    np.save(tmp_path / "array.npy", array)
    rng = np.random.default_rng(0)
    orders = [rng.permutation(3000)[:1000] for _ in range(40)]
    with NpyFile(tmp_path / "array.npy") as file, ThreadPoolExecutor(4) as pool:
        for order, found in zip(orders, pool.map(file.read_rows, orders), strict=True):
            assert same_bits(found, array[order])


# Files that change


def replaced(path):
    """Another file with the same size, content and time of change."""
    status = path.stat()
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(path)


CHANGES = {
    "truncated": lambda path: os.truncate(path, 140),
    "longer": lambda path: path.write_bytes(path.read_bytes() + bytes(48)),
    "overwritten": lambda path: path.write_bytes(npy_bytes(np.ones((3, 2)))),
    "replaced": replaced,
    "touched": lambda path: os.utime(path, ns=(0, 1)),
    "removed": os.unlink,
}


@pytest.mark.parametrize("read", [lambda file: file.read_rows(slice(1)), lambda file: file.sha256])
@pytest.mark.parametrize("change", CHANGES)
def test_change_after_opening_is_noticed_at_the_next_read(change, read, tmp_path):
    path = tmp_path / "array.npy"
    np.save(path, np.zeros((3, 2)))
    os.utime(path, ns=(0, 0))  # so that even a coarse clock shows a change
    with NpyFile(path) as file:
        file.read_rows(slice(None))
        CHANGES[change](path)
        with pytest.raises(DataError) as caught:
            read(file)
    found = checked_complaint(caught.value, path)
    assert "expected it to stay" in found
    assert ("no such file" in found) == (change == "removed")


@pytest.mark.parametrize("order", ["C", "F"])
def test_file_that_is_cut_before_a_read_kills_nothing(order, tmp_path, monkeypatch):
    path = tmp_path / "array.npy"
    np.save(path, np.zeros((5000, 3), order=order))
    with NpyFile(path) as file:
        monkeypatch.setattr(file, "check_unchanged", lambda: None)
        os.truncate(path, 5000)
        with pytest.raises(DataError) as caught:
            file.read_rows(slice(None))
    assert "changed while in use" in checked_complaint(caught.value, path)


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="this system takes no such advice")
@pytest.mark.parametrize(
    ("rows", "extents"),
    [
        (slice(2, 5), [(2, 3)]),
        (np.array([0, 1, 4, 7, 8]), [(0, 2), (4, 1), (7, 2)]),
        (np.array([3, 3, 4]), [(3, 1), (3, 2)]),
    ],
)
def test_rows_that_are_announced_are_asked_for_by_their_bytes(rows, extents, tmp_path, monkeypatch):
    path = tmp_path / "array.npy"
    np.save(path, np.zeros((9, 5)))
    asked = []
    monkeypatch.setattr(os, "posix_fadvise", lambda _, *extent: asked.append(extent))
    with NpyFile(path) as file:
        file.announce(rows)
    expected = [(128 + 40 * first, 40 * n_rows) for first, n_rows in extents]
    assert asked == [(*extent, os.POSIX_FADV_WILLNEED) for extent in expected]


def test_announcing_never_fails(tmp_path, monkeypatch):
    path = tmp_path / "array.npy"
    np.save(path, np.zeros((9, 5)))
    with NpyFile(path) as file:
        path.unlink()
        file.announce(slice(0, 9))
        monkeypatch.delattr(os, "posix_fadvise", raising=False)
        file.announce(slice(0, 9))
    np.save(path, np.zeros((9, 5), order="F"))
    with NpyFile(path) as file:
        file.announce(slice(0, 9))
        assert file.read_rows(slice(0, 9)).shape == (9, 5)


# Hashes


@pytest.mark.parametrize("n_rows", [1, 400_000])
def test_hash_is_of_all_bytes(n_rows, tmp_path):
    path = tmp_path / "array.npy"
    np.save(path, np.random.default_rng(0).standard_normal(n_rows))
    with NpyFile(path) as file:
        file.read_rows(np.array([n_rows - 1]))
        assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def sampled_hash(array, tmp_path):
    np.save(tmp_path / "array.npy", array)
    with NpyFile(tmp_path / "array.npy") as file:
        return file.sha256


@pytest.fixture
def small_samples(monkeypatch):
    """Files of more than 1000 bytes count as too large to hash: 10 pieces of 100 bytes are."""
    monkeypatch.setattr(row_array, "HASHED_WHOLE_BYTES", 1000)
    monkeypatch.setattr(row_array, "HASHED_PIECES", 10)


@pytest.mark.usefixtures("small_samples")
def test_hash_of_a_large_file_is_of_its_size_and_of_pieces(tmp_path):
    array = np.random.default_rng(0).standard_normal(1000)
    found = sampled_hash(array, tmp_path)
    content = (tmp_path / "array.npy").read_bytes()
    assert len(content) == 8128
    starts = [0, 892, 1784, 2676, 3568, 4460, 5352, 6244, 7136, 8028]  # 8028 / 9 apart
    pieces = b"".join(content[start : start + 100] for start in starts)
    assert found == hashlib.sha256(b"8128" + pieces).hexdigest()


@pytest.mark.usefixtures("small_samples")
def test_hash_of_a_large_file_is_stable_and_notices_its_size_and_ends(tmp_path):
    array = np.zeros(1000, np.uint8)
    found = sampled_hash(array, tmp_path)
    assert found == sampled_hash(array, tmp_path)
    assert found != sampled_hash(np.zeros(1001, np.uint8), tmp_path)
    for position in (0, -1):
        changed = array.copy()
        changed[position] = 1
        assert found != sampled_hash(changed, tmp_path)


@pytest.mark.usefixtures("small_samples")
def test_file_at_the_limit_is_hashed_whole(tmp_path):
    found = sampled_hash(np.zeros(872, np.uint8), tmp_path)
    assert found == hashlib.sha256((tmp_path / "array.npy").read_bytes()).hexdigest()
