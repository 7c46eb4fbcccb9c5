"""Hostile ``.npz`` files: other members, headers and directories than numpy writes."""

import io
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.faults.hostile_runs.documents import one_of

BOMB_BYTES = 10**9
Arrays = dict[str, NDArray[Any]]
Rng = np.random.Generator
SHAPES = (
    "(10000000000,)",
    "(2, 2)",
    "(-1,)",
    "(0,)",
    "(1.5,)",
    "()",
    "(2**40, 2**40)",
    "(1,) * 99",
)
SHAPES += ("(99999999999999999999999999,)", "(True,)", "(4, 1, 9)", "4", "(" * 300 + ")" * 300)
TYPES = (
    "<f8",
    "<f4",
    ">f8",
    "<f2",
    "<c16",
    "|O",
    "|V8",
    "|S9",
    "<U9",
    "<M8[s]",
    "|b1",
    "<i8",
    "<u1",
)
TYPES += ("<f16", "<U2000000000", "|S0", "<i8', 'x': 0, 'y': '", "junk")


class Unpickled:
    """Leaves a file where it is unpickled."""

    def __init__(self, canary: str) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return os.mkdir, (self.canary,)


def npy(array: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, allow_pickle=False)
    return stream.getvalue()


def headed(descr: str, shape: str, data: bytes, version: tuple[int, int] = (1, 0)) -> bytes:
    """An array file with any header at all."""
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    length = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + length + text + data


def archive(members: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as file:
        for name, content in members:
            file.writestr(name, content)
    return stream.getvalue()


def npz(arrays: Arrays) -> bytes:
    return archive([(f"{name}.npy", npy(array)) for name, array in arrays.items()])


def change_values(arrays: Arrays, rng: Rng) -> str:
    """Change arrays as arrays, so that a seal can be made of them."""
    name = one_of(sorted(arrays), rng)
    how = int(rng.integers(8))
    array = arrays[name]
    with np.errstate(all="ignore"):
        if how == 0:
            del arrays[name]
        elif how == 1:
            arrays[name] = array[None]
        elif how == 2:
            arrays[name] = array.reshape(-1)[: max(1, array.size // 2)]
        elif how == 3:
            arrays[name] = np.zeros(
                int(rng.integers(0, 5)), one_of(("f4", "i8", "U9", "c8", "?"), rng)
            )
        elif how == 4 and array.dtype.kind in "fi":
            other = one_of(("<f2", ">f8", "<f4", "<i4", "<c16", "<u8"), rng)
            arrays[name] = array.astype(other)
        elif how == 5 and array.dtype.kind in "fi":
            values = (
                (-1, 10**8, 2**40, 0) if array.dtype.kind == "i" else (np.nan, np.inf, 1e308, -1)
            )
            arrays[name] = np.full_like(array, one_of(values, rng))
        elif how == 6 and array.ndim > 1:
            arrays[name] = np.asfortranarray(array)
        else:
            arrays[f"{name}-2"] = array
    return f"{name} changed in way {how}"


def damaged(arrays: Arrays, rng: Rng, canary: str) -> tuple[bytes, str]:
    """A file of these arrays that numpy would not write."""
    how: Callable[[Arrays, Rng, str], bytes] = one_of(WAYS, rng)
    return how(arrays, rng, canary), how.__name__.strip("_").replace("_", " ")


def _with(arrays: Arrays, rng: Rng, content: bytes) -> bytes:
    """One member is this."""
    chosen = one_of(sorted(arrays), rng)
    return archive([(f"{n}.npy", content if n == chosen else npy(a)) for n, a in arrays.items()])


def _another_header(arrays: Arrays, rng: Rng, canary: str) -> bytes:
    descr, data = f"'{one_of(TYPES, rng)}'", bytes(int(rng.integers(0, 99)))
    version = one_of(((1, 0), (2, 0), (3, 0), (9, 9)), rng)
    return _with(arrays, rng, headed(descr, one_of(SHAPES, rng), data, version))


def _structured(arrays: Arrays, rng: Rng, canary: str) -> bytes:
    return _with(arrays, rng, headed("[('a', '<f8'), ('b', '|O')]", "(4,)", bytes(64)))


def _code_in_header(arrays: Arrays, rng: Rng, canary: str) -> bytes:
    return _with(arrays, rng, headed(f"__import__('os').mkdir({canary!r})", "(4,)", bytes(64)))


def _long_header(arrays: Arrays, rng: Rng, canary: str) -> bytes:
    return _with(arrays, rng, headed("'<f8'" + " " * 60_000, "(4,)", bytes(32)))


def _pickle(arrays: Arrays, rng: Rng, canary: str) -> bytes:
    return _with(arrays, rng, headed("'|O'", "(1,)", pickle.dumps([Unpickled(canary)])))


def _pickle_alone(arrays: Arrays, rng: Rng, canary: str) -> bytes:
    return pickle.dumps([Unpickled(canary)]) if rng.random() < 0.5 else npy(np.zeros(4))


def _compressed(arrays: Arrays, rng: Rng, canary: str) -> bytes:
    method = one_of((zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA), rng)
    return archive([(f"{n}.npy", npy(a)) for n, a in arrays.items()], method)


@cache
def _zeros() -> bytes:
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file,
        file.open("weights.npy", "w") as member,
    ):
        member.write(headed("'<f8'", f"({BOMB_BYTES // 8},)", b""))
        for _ in range(BOMB_BYTES // 10**7):
            member.write(bytes(10**7))
    return stream.getvalue()


def _bomb(arrays: Arrays, rng: Rng, canary: str) -> bytes:
    return _zeros()


def _same_member_many_times(arrays: Arrays, rng: Rng, canary: str) -> bytes:
    name, array = next(iter(arrays.items()))
    return archive([(f"{name}.npy" if n % 2 else f"m{n}.npy", npy(array)) for n in range(2000)])


def _names_that_lead_out(arrays: Arrays, rng: Rng, canary: str) -> bytes:
    return archive([(f"../{name}.npy", npy(array)) for name, array in arrays.items()])


def _lying_directory(arrays: Arrays, rng: Rng, canary: str) -> bytes:
    """A number of the last directory entry is another."""
    content = bytearray(npz(arrays))
    entry = content.rfind(b"PK\x01\x02")
    place, size = one_of(((8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (42, 4)), rng)
    value = int(one_of((0, 1, 8, 9, 2**16 - 1, 2**31, 2**32 - 1), rng)) % 256**size
    content[entry + place : entry + place + size] = value.to_bytes(size, "little")
    return bytes(content)


def _flipped(arrays: Arrays, rng: Rng, canary: str) -> bytes:
    content = bytearray(npz(arrays))
    for _ in range(int(rng.integers(1, 9))):
        content[int(rng.integers(len(content)))] = int(rng.integers(256))
    return bytes(content)


def _cut(arrays: Arrays, rng: Rng, canary: str) -> bytes:
    content = npz(arrays)
    return content[: int(rng.integers(len(content)))]


def _more_data(arrays: Arrays, rng: Rng, canary: str) -> bytes:
    members = [(f"{n}.npy", npy(a) + bytes(int(rng.integers(99)))) for n, a in arrays.items()]
    return archive(members) + bytes(int(rng.integers(9)))


WAYS = (
    _another_header, _another_header, _another_header, _structured, _code_in_header, _long_header,
    _pickle, _pickle_alone, _compressed, _bomb, _same_member_many_times, _names_that_lead_out,
    _lying_directory, _lying_directory, _flipped, _cut, _more_data,
)  # fmt: skip
