"""Array files that are refused, each with one line: broken, hostile, or no files at all."""

import errno
import io
import os
import re
import threading
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib import format as npy_format

from sgdlab.data import npy
from sgdlab.data.npy import NpyFile
from sgdlab.errors import DataError
from tests.data.npy_files import (
    checked_complaint,
    complaint,
    complaint_about,
    header_of,
    needs_fifo,
    needs_linux,
    npy_bytes,
    random_array,
    same_bits,
    with_header,
)

# Broken files


def test_file_cut_at_any_byte_is_refused(tmp_path):
    content = npy_bytes(np.arange(6.0).reshape(3, 2))
    for length in range(len(content)):
        assert complaint_about(content[:length], tmp_path)


def test_size_must_be_what_the_header_says(tmp_path):
    content = npy_bytes(np.zeros((3, 2)))
    expected = "expected 176, as its header says: shape (3, 2), float64 (write the file again)"
    assert complaint_about(content[:-1], tmp_path) == f"175 bytes; {expected}"
    assert complaint_about(content + b"\0", tmp_path) == f"177 bytes; {expected}"


BROKEN = {
    "empty": (b"", "an empty file"),
    "magic only": (b"\x93NUMPY", "EOF"),
    "text": (b"1.0, 2.0\n3.0, 4.0\n", "magic"),
    "version 3": (with_header(header_of((2,)), bytes(16), (3, 0)), "format version 3.0"),
    "version of nobody": (b"\x93NUMPY\x09\x09" + bytes(100), "format version 9.9"),
    "no dictionary": (with_header("[1, 2]"), "not a dictionary"),
    "key missing": (with_header("{'descr': '<f8'}"), "keys"),
    "key too many": (with_header("{'a': 1, " + header_of((2,))[1:], bytes(16)), "keys"),
    "long": (with_header(header_of((2,)) + " " * 20_000, bytes(16), (2, 0)), "is large"),
    "call": (with_header("__import__('os').abort()"), "header cannot be read"),
    "nested": (with_header("(" * 9000), "header cannot be read"),
    "negations": (with_header("-" * 9000 + "1"), "header cannot be read"),
    "not closed": (with_header(header_of((2,))[:-1], bytes(16)), "header cannot be read"),
    "order is a number": (with_header(header_of((2,), fortran_order=1), bytes(16)), "bool"),
    "unknown dtype": (with_header(header_of((2,), "'<q7'"), bytes(16)), "descr"),
    "0-d": (npy_bytes(np.float64(3.0)), "shape ()"),
    "no rows": (npy_bytes(np.zeros((0, 4))), "shape (0, 4)"),
    "no features": (npy_bytes(np.zeros((4, 0))), "shape (4, 0)"),
    "no rows, huge": (with_header(header_of((0, 2**62))), "shape (0, "),
    "negative": (with_header(header_of((-1,))), "shape (-1,)"),
    "twice negative": (with_header(header_of((-1, -2)), bytes(16)), "shape (-1, -2)"),
    "boolean": (with_header(header_of((True, 2)), bytes(16)), "shape (True, 2)"),
    "float": (with_header(header_of((2.0,)), bytes(16)), "shape"),
    "a number": (with_header(header_of("2"), bytes(16)), "shape"),
    "huge": (with_header(header_of((10**12, 10**6))), "expected 8000000000000000"),
    "wraps to 0": (with_header(header_of((2**61, 8))), "expected 14757395258967641"),
    "beyond int64": (with_header(header_of((2**63,))), "beyond 64 bits"),
    "beyond printing": (with_header(header_of("(0x" + "f" * 8000 + ",)")), "beyond 64 bits"),
    "65 axes": (with_header(header_of((1,) * 65), bytes(8)), "65 axes"),
    "65 axes, Fortran": (
        with_header(header_of((1,) * 65, fortran_order=True), bytes(8)),
        "65 axes",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_file_is_refused_before_anything_is_allocated(name, tmp_path):
    content, reason = BROKEN[name]
    tracemalloc.start()
    try:
        assert reason in complaint_about(content, tmp_path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5e6


def test_long_header_is_read_no_further_than_allowed(tmp_path):
    assert complaint_about(with_header(header_of((2,)) + " " * 70_000, bytes(16), (2, 0)), tmp_path)
    assert complaint_about(npy_format.magic(2, 0) + b"\xff\xff\xff\xff" + bytes(100_000), tmp_path)


# Other dtypes

REFUSED = {
    "structured": np.zeros(2, [("a", "f8"), ("b", "i4")]),
    "overlaid": np.zeros(2, "V8"),
    "datetime": np.zeros(2, "M8[ns]"),
    "timedelta": np.zeros(2, "m8[s]"),
    "complex": np.zeros(2, "c8"),
    "complex double": np.zeros(2, "c16"),
    "bytes": np.array([b"one", b"three"]),
    "text": np.array(["one", "three"]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_only_plain_numbers_are_read(name, tmp_path):
    found = complaint_about(npy_bytes(REFUSED[name]), tmp_path)
    assert re.match(r"dtype .*; expected float16, float32, float64, integers or booleans", found)


@pytest.mark.skipif(np.dtype("g").itemsize == 8, reason="long double is float64 here")
def test_long_double_is_refused(tmp_path):
    assert "dtype float128" in complaint_about(npy_bytes(np.zeros(2, "g")), tmp_path)


@pytest.mark.parametrize(
    "descr",
    [
        "('<i4', {'a': ('<i2', 0), 'b': ('<i2', 2)})",  # an int32 with fields
        "('<i4', (1,))",
        "'1i4'",
        "'T'",
        "[('" + "long" * 2000 + "', '<f8')]",
    ],
)
def test_disguised_dtypes_are_refused(descr, tmp_path):
    found = complaint_about(with_header(header_of((2,), descr), bytes(8)), tmp_path)
    assert found.startswith("dtype ")


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def test_pickles_are_refused_and_never_run(tmp_path):
    folder = tmp_path / "sprung"
    trap = np.array([Trap(folder), None], dtype=object)
    content = npy_bytes(trap, allow_pickle=True)
    np.load(io.BytesIO(content), allow_pickle=True)
    folder.rmdir()  # so the trap works
    assert complaint_about(content, tmp_path).startswith("dtype object")
    assert "magic" in complaint_about(trap.dumps(), tmp_path)
    assert not folder.exists()


def test_npz_is_refused(tmp_path):
    np.savez(tmp_path / "arrays.npz", np.zeros(3))
    assert "magic" in complaint(tmp_path / "arrays.npz")


# Not a file to read


def test_missing_file(tmp_path):
    assert complaint(tmp_path / "absent.npy") == ("no such file or directory; expected a .npy file")


def test_directory(tmp_path):
    assert "not a regular file" in complaint(tmp_path)


def test_symlink_loop(tmp_path):
    (tmp_path / "loop.npy").symlink_to("loop.npy")
    assert "symbolic link" in complaint(tmp_path / "loop.npy")


def test_nul_in_the_name(tmp_path):
    assert "null" in complaint(tmp_path / "a\0b.npy")


def test_name_that_is_too_long(tmp_path):
    assert "too long" in complaint(tmp_path / ("a" * 300))


def test_name_that_no_encoding_has(tmp_path):
    assert complaint(tmp_path / "\ud800.npy")


@needs_linux
def test_name_that_is_not_utf8(tmp_path):
    path = tmp_path / os.fsdecode(b"\xff\xfe.npy")
    assert "no such file" in complaint(path)
    path.write_bytes(npy_bytes(np.arange(3)))
    with NpyFile(path) as file:
        assert file.read_rows(slice(None)).ravel().tolist() == [0, 1, 2]


@needs_fifo
def test_fifo_is_refused_without_waiting_for_a_writer(tmp_path):
    path = tmp_path / "fifo.npy"
    os.mkfifo(path)
    found = []
    thread = threading.Thread(target=lambda: found.append(complaint(path)), daemon=True)
    thread.start()
    thread.join(5)
    assert found == ["not a regular file; expected a .npy file"]


@needs_linux
def test_device_is_refused():
    assert "not a regular file" in complaint(Path("/dev/zero"))


@needs_linux
@pytest.mark.parametrize("path", ["/proc/self/mem", "/proc/kmsg", "/proc/version"])
def test_files_of_the_system_itself_are_not_read(path):
    """They are regular and have no size, and some keep whoever reads them waiting."""
    assert complaint(Path(path)) == "an empty file; expected a .npy file"


def test_simulated_disk_error_in_the_header(tmp_path, monkeypatch):
    class BadDisk(io.FileIO):
        def read(self, size=-1):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    np.save(tmp_path / "array.npy", np.zeros((3, 2)))
    monkeypatch.setattr(npy, "open_regular", lambda path, **_: BadDisk(path))
    assert complaint(tmp_path / "array.npy") == "input/output error; expected a readable file"


@pytest.mark.parametrize("read", [lambda file: file.read_rows(slice(1)), lambda file: file.sha256])
def test_disk_error_later(read, tmp_path, monkeypatch):
    class BadDisk(io.RawIOBase):
        """A simulated disk error, which cannot be had on a good disk."""

        def seek(self, *args):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    np.save(tmp_path / "array.npy", np.zeros((3, 2)))
    with NpyFile(tmp_path / "array.npy") as file:
        monkeypatch.setattr(file, "_stream", BadDisk())
        with pytest.raises(DataError) as caught:
            read(file)
        monkeypatch.undo()
    found = checked_complaint(caught.value, tmp_path / "array.npy")
    assert found == "input/output error; expected a readable file"


@pytest.mark.parametrize("number", [errno.EIO, errno.EDQUOT, errno.EINTR])
@pytest.mark.parametrize("is_whole", [True, False])
def test_simulated_file_that_cannot_be_closed_has_been_read(
    is_whole, number, tmp_path, monkeypatch
):
    class BadDisk(io.FileIO):
        def close(self):
            super().close()
            raise OSError(number, os.strerror(number))

    np.save(tmp_path / "array.npy", np.arange(6.0).reshape(3, 2))
    if not is_whole:
        (tmp_path / "array.npy").write_bytes((tmp_path / "array.npy").read_bytes()[:-1])
    monkeypatch.setattr(npy, "open", lambda path, *_, **__: BadDisk(path), raising=False)
    if is_whole:
        with NpyFile(tmp_path / "array.npy") as file:
            found = file.read_rows(slice(3))
        np.testing.assert_array_equal(found, np.arange(6.0).reshape(3, 2))
    else:
        assert "bytes; expected" in complaint(tmp_path / "array.npy")


# Any bytes at all

WHOLE_FILES = [
    npy_bytes(np.asarray(random_array(kind, shape, byte_order), order=order))
    for kind in ("f4", "i8", "b1")
    for shape in [(3,), (3, 2), (2, 3, 2)]
    for byte_order, order in [("<", "C"), (">", "F")]
]
SENSIBLE = {
    "descr": ["'<f8'", "'>i2'", "'|b1'", "'float16'"],
    "fortran_order": ["True", "False"],
    "shape": ["(4,)", "(2, 2)", "(1, 2, 2)", "(4, 0)", "(2, 4611686018427387904)"],
}
HOSTILE = ["'O'", "None", "-1", "2**70", "1e400", "9" * 4999, "()", "[]", "'|V0'", "True", "\n"]


@st.composite
def mutated_files(draw):
    """A whole file with some bytes overwritten, most of them in the payload, and its end moved."""
    content = bytearray(draw(st.sampled_from(WHOLE_FILES)))
    places = st.integers(128, len(content) - 1) | st.integers(0, len(content) - 1)
    for place in draw(st.lists(places, max_size=3)):
        content[place] = draw(st.integers(0, 255))
    end = draw(st.sampled_from([0, 0, -1, 1]))
    return bytes(content[:end] if end < 0 else content + bytes(end))


@st.composite
def odd_headers(draw):
    """A header with at most one senseless value, and a payload that may fit it."""
    values = {key: draw(st.sampled_from(choices)) for key, choices in SENSIBLE.items()}
    if draw(st.booleans()):
        values[draw(st.sampled_from(list(values)))] = draw(st.sampled_from(HOSTILE))
    return with_header(header_of(**values), bytes(draw(st.sampled_from([4, 8, 32, 0]))))


@settings(max_examples=500, derandomize=True, deadline=None)
@given(content=st.binary(max_size=200) | mutated_files() | odd_headers())
def test_any_bytes_are_an_array_as_numpy_reads_it_or_one_line(content, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "any.npy"
    path.write_bytes(content)
    try:
        with NpyFile(path) as file:
            found = file.read_rows(slice(None))
    except DataError as error:
        checked_complaint(error, path)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of headers that Python 2 might have written
        expected = np.load(path, allow_pickle=False)
    assert same_bits(found, expected.reshape(len(expected), -1))
