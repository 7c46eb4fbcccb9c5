"""Reads ``.npz`` files of a run without trusting them.

They are what :func:`numpy.savez` writes and nothing else that a zip file may be: members that are
not compressed, so that none is larger than the file, and arrays of plain numbers and short words.
Everything is compared with what the plan leads to expect before an array is made.
"""

import io
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgdlab.data.npy_header import read_header

MOST_MEMBERS = 100_000
MOST_CHARACTERS = 64  # of a word
ENCRYPTED = 1  # a flag of a member

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Expected:
    """What a member may be.

    Attributes
    ----------
    types
        Of which one is its dtype; ``U``: words.
    shape
        Its lengths; a name stands for one that all members with that name have in common.
    """

    types: tuple[str, ...]
    shape: tuple[int | str, ...]

    def check(self, shape: tuple[int, ...], dtype: np.dtype[Any], common: dict[str, int]) -> None:
        """Raise ValueError if a member is anything else; lengths that are named become known."""
        if not any(dtype.kind == "U" if known == "U" else dtype == known for known in self.types):
            raise ValueError(f"dtype {dtype} instead of {' or '.join(self.types)}")
        if len(shape) == len(self.shape):
            for length, found in zip(self.shape, shape, strict=True):
                if isinstance(length, str):
                    common.setdefault(length, found)
        wanted = tuple(common.get(n, n) if isinstance(n, str) else n for n in self.shape)
        if shape != wanted:
            raise ValueError(f"shape {shape} instead of {wanted}")


Form = Mapping[str, Expected]


def arrays_of(content: bytes, form: Form | None = None) -> Arrays:
    """All arrays of a file with this content.

    Parameters
    ----------
    form
        The members that it must have, by name; None: any that are plain.

    Raises
    ------
    ValueError, zipfile.BadZipFile
        If it is anything else. (And whatever else ``zipfile`` raises of broken files.)
    """
    common: dict[str, int] = {}
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        members = file.infolist()
        names = [member.filename.removesuffix(".npy") for member in members]
        _check_names(names, form)
        if sum(member.file_size for member in members) > len(content):
            raise ValueError("members that are larger than the file")
        return {
            name: _array(name, _plain_bytes(file, member), form, common)
            for name, member in zip(names, members, strict=True)
        }


def _check_names(names: list[str], form: Form | None) -> None:
    if len(names) > MOST_MEMBERS or len(set(names)) != len(names):
        raise ValueError(f"{len(names)} members, some of them twice or far too many")
    if form is not None and (different := set(names) ^ form.keys()):
        name = min(different)
        raise ValueError(f"{name[:100]}: {'not there' if name in form else 'unknown'}")


def _plain_bytes(file: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & ENCRYPTED:
        raise ValueError(f"{member.filename[:100]}: compressed or encrypted")
    return file.read(member)


def _array(name: str, content: bytes, form: Form | None, common: dict[str, int]) -> NDArray[Any]:
    stream = io.BytesIO(content)
    try:
        shape, is_fortran, dtype = read_header(stream)
        _check_plain(shape, dtype, len(content) - stream.tell())
        if form is not None:
            form[name].check(shape, dtype, common)
    except ValueError as error:
        raise ValueError(f"{name[:100]}: {error}") from None
    array = np.empty(shape, dtype, order="F" if is_fortran else "C")
    data = np.frombuffer(content, np.uint8)[stream.tell() :]
    array.reshape(-1, order="A").view(np.uint8)[:] = data
    return array


def _check_plain(shape: tuple[int, ...], dtype: np.dtype[Any], n_bytes: int) -> None:
    """Whether it is of plain numbers or short words, and there are as many bytes as it takes."""
    is_word = dtype.kind == "U" and 0 < dtype.itemsize <= 4 * MOST_CHARACTERS
    is_number = dtype.kind in "fiub" and dtype.itemsize <= 8
    if dtype.names or not (is_word or is_number):
        raise ValueError(f"dtype {str(dtype)[:100]}")
    if any(type(length) is not int or length < 0 for length in shape):
        raise ValueError(f"shape {shape}")
    if math.prod(shape) * dtype.itemsize != n_bytes:
        raise ValueError(f"{n_bytes} bytes of shape {shape}, {dtype}")
