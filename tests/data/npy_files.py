"""Array files for the tests: their bytes, good or bad, and what is said of them."""

import io
import os
import struct
import sys

import numpy as np
import pytest
from numpy.lib import format as npy_format

from sgdlab.data.npy import NpyFile
from sgdlab.errors import DataError

KINDS = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"]
SHAPES = [(9,), (9, 3), (9, 2, 3), (9, 2, 3, 2)]
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux file names and devices")
needs_fifo = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")


def random_array(kind, shape, byte_order="<", seed=0):
    """Values over the whole range of a dtype, both ends included."""
    rng = np.random.default_rng(seed)
    dtype = np.dtype(byte_order + kind)
    if dtype.kind == "b":
        return rng.integers(2, size=shape).astype(dtype)
    if dtype.kind == "f":
        ends = [np.finfo(dtype).max, -np.finfo(dtype).max, np.finfo(dtype).smallest_subnormal, -0.0]
        array = rng.standard_normal(shape).astype(dtype)
    else:
        info = np.iinfo(dtype)
        ends = [info.min, info.max]
        array = rng.integers(info.min, info.max, shape, dtype.newbyteorder("="), endpoint=True)
        array = array.astype(dtype)
    array.flat[: len(ends)] = ends
    return array


def npy_bytes(array, **options):
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def with_header(header, payload=b"", version=(1, 0)):
    """The bytes of a file whose header is this text."""
    text = header.encode("latin1")
    length = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return npy_format.magic(*version) + length + text + payload


def header_of(shape, descr="'<f8'", fortran_order=False):
    return f"{{'descr': {descr}, 'fortran_order': {fortran_order}, 'shape': {shape}}}"


def complaint(path):
    """What is said about a file that cannot be opened, behind its name."""
    with pytest.raises(DataError) as caught:
        NpyFile(path)
    return checked_complaint(caught.value, path)


def checked_complaint(error, path):
    """The message of an error: one line, the file, what was found, what was expected."""
    message = str(error)
    assert len(message.splitlines()) == 1
    assert message.startswith(f"{path}: ")
    assert "; expected " in message
    assert len(message) < len(str(path)) + 400
    return message.removeprefix(f"{path}: ")


def complaint_about(content, tmp_path):
    path = tmp_path / "broken.npy"
    path.write_bytes(content)
    return complaint(path)


def same_bits(found, expected):
    return found.dtype == expected.dtype and found.tobytes() == expected.tobytes()
