"""The library that multiplies matrices: what it is, and on how many threads."""

from contextlib import AbstractContextManager
from functools import cache
from typing import Any

import numpy  # noqa: F401  # its BLAS has to be loaded before it can be found
from threadpoolctl import ThreadpoolController


def blas_threads(n_threads: int) -> AbstractContextManager[object]:
    """Multiply on at most ``n_threads`` threads meanwhile.

    Without effect on a BLAS that threadpoolctl cannot see, as Apple's.
    """
    limits: AbstractContextManager[object] = _found().limit(limits=n_threads)
    return limits


def describe_blas() -> list[dict[str, Any]]:
    """Name, version and chosen kernel, for a log; empty where threadpoolctl sees no BLAS."""
    keys = ("internal_api", "version", "architecture", "threading_layer", "num_threads")
    return [{key: library.get(key) for key in keys} for library in _found().info()]


@cache
def _found() -> ThreadpoolController:
    """Looking for it takes as long as an epoch of a small training."""
    return ThreadpoolController().select(user_api="blas")
