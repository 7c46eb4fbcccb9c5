"""The library that multiplies matrices: what it is, and on how many threads."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np  # its BLAS has to be loaded before it can be found
from threadpoolctl import ThreadpoolController

from sgdlab.errors import StorageError
from sgdlab.system import limits

BUFFER_BYTES = 40 * 2**20  # that OpenBLAS takes for every caller at a time, and a little more
SIZE = 768  # of matrices whose product takes long enough to meet others
MEETINGS = 10  # in one of which at least all callers multiply, on a machine that is busy
MEETING_S = 5.0


def blas_threads(n_threads: int) -> AbstractContextManager[object]:
    """Multiply on at most ``n_threads`` threads meanwhile.

    Without effect on a BLAS that threadpoolctl cannot see, as Apple's.

    Raises
    ------
    StorageError
        If ``ulimit -v`` leaves no room for so many callers of it.
    """
    if limits.address_limit() is not None:
        _take_buffers(n_threads)
    limited: AbstractContextManager[object] = _found().limit(limits=n_threads)
    return limited


def describe_blas() -> list[dict[str, Any]]:
    """Name, version and chosen kernel, for a log; empty where threadpoolctl sees no BLAS."""
    keys = ("internal_api", "version", "architecture", "threading_layer", "num_threads")
    return [{key: library.get(key) for key in keys} for library in _found().info()]


def kernels_of_numpy() -> list[str]:
    """Which kernels numpy multiplies with, by its BLAS's name and version.

    Other packages may have loaded a BLAS of their own. All are told where numpy's is not known, as
    where it is the system's.
    """
    found = _found().info()
    own = [library for library in found if {"numpy", "numpy.libs"} & {*_parts(library)}]
    keys = ("internal_api", "version", "architecture", "threading_layer")
    return sorted({" ".join(str(library.get(key)) for key in keys) for library in own or found})


def _parts(library: dict[str, Any]) -> tuple[str, ...]:
    return Path(library["filepath"]).parts


@cache
def _take_buffers(n_callers: int) -> None:
    """Have the BLAS take its buffers while there is room: it ends the process where there is none.

    They stay its own when they are free again, and whatever else takes memory comes later and is
    told if there is none.
    """
    meeting, matrix = Barrier(n_callers), np.ones((SIZE, SIZE))

    def multiply(_caller: int) -> None:
        for _ in range(MEETINGS):
            meeting.wait(MEETING_S)
            matrix @ matrix

    try:
        np.empty(n_callers * BUFFER_BYTES, np.uint8)
        with ThreadPoolExecutor(n_callers) as pool:
            list(pool.map(multiply, range(n_callers)))
    except (MemoryError, RuntimeError):
        found = f"no room for the buffers of {n_callers} threads"
        expected = f"{n_callers * BUFFER_BYTES / 1e6:.0f} MB of address space"
        hint = "lower run.threads, or raise the limit that ulimit -v shows"
        raise StorageError("memory", found, expected, hint) from None


@cache
def _found() -> ThreadpoolController:
    """Looking for it takes as long as an epoch of a small training."""
    return ThreadpoolController().select(user_api="blas")
