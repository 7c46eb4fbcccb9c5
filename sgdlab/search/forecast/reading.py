"""Times reads of an array file as it lies there, be it on the disk or in the system's memory."""

import time

import numpy as np

from sgdlab.data.npy import NpyFile

BUDGET_S = 0.3
REGION_BYTES = 32 * 2**20


def seconds_a_row(file: NpyFile, n_chunks: int, is_kept: bool) -> float:
    """How long it takes to read a row, in ``n_chunks`` walks that take random rows on their way.

    One walk reads all rows in their order. Of many, the later ones find in the system's memory what
    it has read around earlier rows, if the file ``is_kept`` there; else only first ones are timed.

    Random regions of the file are read instead of all of it, each for the first time.
    """
    region_rows = max(1, min(REGION_BYTES // (file.n_features * file.dtype.itemsize), file.n_rows))
    n_chunks = min(n_chunks, region_rows)
    rng = np.random.default_rng(0)
    n_rows, start = 0, time.perf_counter()
    for first in rng.permutation(np.arange(0, file.n_rows - region_rows + 1, region_rows)):
        order = rng.permutation(region_rows) if n_chunks > 1 else np.arange(region_rows)
        for chunk in np.array_split(order, n_chunks)[: None if is_kept else 1]:
            file.read_rows(first + np.sort(chunk))
            n_rows += len(chunk)
            elapsed_s = time.perf_counter() - start
            if elapsed_s > BUDGET_S:
                return elapsed_s / n_rows
    return elapsed_s / n_rows
