"""The header of a ``.npy`` file, read without trusting it."""

import warnings
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy_format

MAX_AXES = 64  # of a numpy array


def read_header(stream: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, Fortran order and dtype, by numpy's own reader; lengths may be negative.

    Parameters
    ----------
    stream
        Of bounded length; the array's bytes begin where it is left.

    Raises
    ------
    ValueError
        If there is no such header.
    """
    try:
        version = npy_format.read_magic(stream)
        readers = {
            (1, 0): npy_format.read_array_header_1_0,
            (2, 0): npy_format.read_array_header_2_0,
        }
        if version not in readers:
            raise ValueError(f"format version {version[0]}.{version[1]}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers that Python 2 wrote
            shape, is_fortran, dtype = readers[version](stream)
        if len(shape) > MAX_AXES:
            raise ValueError(f"{len(shape)} axes")
        if any(abs(length) >= 2**63 for length in shape):  # too long to print, too
            raise ValueError("a length beyond 64 bits")
    # numpy parses the header as Python source, which can fail in many ways on hostile bytes.
    except Exception as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(why[:100]) from None
    return shape, is_fortran, dtype
