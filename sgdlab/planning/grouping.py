"""Which batch sizes share blocks, and which kernel suits them, by costs weighed beforehand."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# A block's epoch in multiply-adds, fitted to measurements at 2304 features. The direct kernel:
# loading a row costs as much as the arithmetic of 4 trajectories, updating the weights as much as 8
# rows, and the calls that one tile takes as much as 300,000 multiply-adds.
DIRECT_ROW_COST = 4  # this and the other costs of rows count trajectories
ROWS_AN_UPDATE_COSTS = 8
OPERATIONS_A_TILE_COSTS = 300_000
# The windowed kernel: loading a row costs as much as the arithmetic of 18 trajectories, the calls
# of one batch as much as 80,000 multiply-adds. Where rows come in another order in every epoch, so
# that their products cannot be kept, a row costs 37 more, and 1/7 for every row of its window.
WINDOWED_ROW_COST = 18
OPERATIONS_A_BATCH_COSTS = 80_000
NEW_ROW_COST = 37
NEW_WINDOW_ROW_COST = 1 / 7
# Rows of a window, about: more make fewer updates of the weights, but more products of rows.
WINDOW_ROWS = 128
REPEATED_WINDOW_ROWS = 256
MAX_WINDOW_ROWS = 512

Floats = NDArray[np.float64]

MAX_COUNTED_ROWS = 10_000  # the tiles of more rows repeat those of these
MAX_COMPARED_SIZES = 250


@dataclass(frozen=True)
class Largest:
    """Trajectories in a block of each kernel, at most."""

    direct: int
    windowed: int


@dataclass(frozen=True)
class Group:
    """Batch sizes that share blocks; ``window_rows`` of the windowed kernel, None for direct."""

    sizes: tuple[int, ...]
    window_rows: int | None


def group_batch_sizes(
    counts: dict[int, int],
    n_rows: int,
    n_features: int,
    largest: Largest,
    is_plain: bool,
    repeats: bool,
) -> list[Group]:
    """Put batch sizes together as long as that makes an epoch cheaper.

    Together, trajectories share the reading of rows; but with the direct kernel the rows are cut
    wherever a batch of any of them ends, and short tiles are slow. So multiples go together, and
    small sizes get the windowed kernel. Of very many batch sizes only neighbours are compared.

    Parameters
    ----------
    counts
        Trajectories by batch size.
    largest
        Trajectories in a block.
    is_plain
        Whether the optimizer is one that the windowed kernel knows.
    repeats
        Whether every epoch has the same rows in the same order.
    """
    sizes = sorted(counts)
    cost = _Cost(min(n_rows, MAX_COUNTED_ROWS), n_features, largest, is_plain, repeats)
    groups: list[Group] = []
    for first in range(0, len(sizes), MAX_COMPARED_SIZES):
        groups += _joined(sizes[first : first + MAX_COMPARED_SIZES], counts, cost)
    return sorted(groups, key=lambda group: group.sizes)


def window_rows(together: int, repeats: bool) -> int:
    """Rows of a window for batches that end together after so many rows."""
    wanted = REPEATED_WINDOW_ROWS if repeats else WINDOW_ROWS
    return max(wanted - wanted % together, together)


@dataclass(frozen=True)
class _Cost:
    """Time of an epoch of all blocks of some groups, in multiply-adds.

    ``totals`` (..., 3) are trajectories, batches of all sizes, and after how many rows batches of
    all sizes end together, or 1 more than there may be in a window; ``ends`` are bits: after which
    rows a batch of any size ends, the last row aside.
    """

    n_rows: int
    n_features: int
    largest: Largest
    is_plain: bool
    repeats: bool

    def __call__(self, totals: Floats, ends: NDArray[np.uint64]) -> Any:
        direct = self.direct(totals, ends)
        return np.minimum(direct, self.windowed(totals)) if self.is_plain else direct

    def direct(self, totals: Floats, ends: NDArray[np.uint64]) -> Any:
        n_trajectories = totals[..., 0]
        n_blocks = np.ceil(n_trajectories / self.largest.direct)
        n_tiles = np.bitwise_count(ends).sum(axis=-1) + 1
        rows = self.n_rows + ROWS_AN_UPDATE_COSTS * n_tiles
        n_products = (n_trajectories + n_blocks * DIRECT_ROW_COST) * rows
        return n_products * self.n_features + n_blocks * n_tiles * OPERATIONS_A_TILE_COSTS

    def windowed(self, totals: Floats) -> Any:
        n_trajectories, n_batches, together = np.moveaxis(totals, -1, 0)
        n_blocks = np.ceil(n_trajectories / self.largest.windowed)
        a_row = float(WINDOWED_ROW_COST)
        if not self.repeats:
            a_row += NEW_ROW_COST + NEW_WINDOW_ROW_COST * WINDOW_ROWS
        n_products = (n_trajectories + n_blocks * a_row) * self.n_rows
        cost = n_products * self.n_features + n_blocks * n_batches * OPERATIONS_A_BATCH_COSTS
        return np.where(together <= MAX_WINDOW_ROWS, cost, np.inf)


def _joined(sizes: Sequence[int], counts: dict[int, int], cost: _Cost) -> list[Group]:
    """Join the two groups that save the most by it, until none do."""
    groups = [(size,) for size in sizes]
    totals = np.array([_totals(size, counts[size], cost.n_rows) for size in sizes])
    ends = np.stack([_ends(size, cost.n_rows) for size in sizes])
    saved = np.array([_saved(a, totals, ends, cost) for a in range(len(sizes))])
    while (best := saved.max()) > 0:
        a, b = np.argwhere(saved == best)[0]
        groups[a] += groups.pop(b)
        totals[a] = _sum(totals[a], totals[b])
        ends[a] |= ends[b]
        totals, ends = np.delete(totals, b, axis=0), np.delete(ends, b, axis=0)
        saved = np.delete(np.delete(saved, b, axis=0), b, axis=1)
        saved[a] = saved[:, a] = _saved(a, totals, ends, cost)
    is_windowed = cost(totals, ends) < cost.direct(totals, ends)
    return [
        Group(tuple(sorted(group)), window_rows(int(total[2]), cost.repeats) if windowed else None)
        for group, total, windowed in zip(groups, totals, is_windowed, strict=True)
    ]


def _saved(a: int, totals: Floats, ends: NDArray[np.uint64], cost: _Cost) -> Any:
    """What joining group ``a`` saves, by the group that it is joined with."""
    apart = cost(totals[a], ends[a]) + cost(totals, ends)
    saved = apart - cost(_sum(totals[a], totals), ends[a] | ends)
    saved[a] = -np.inf
    return saved


def _totals(batch_size: int, n_trajectories: int, n_rows: int) -> tuple[float, float, float]:
    return n_trajectories, math.ceil(n_rows / batch_size), min(batch_size, MAX_WINDOW_ROWS + 1)


def _sum(a: Floats, b: Floats) -> Floats:
    """Totals of groups ``a`` and ``b`` together."""
    total = a + b
    together = np.lcm(a[..., 2].astype(np.int64), b[..., 2].astype(np.int64))
    total[..., 2] = np.minimum(together, MAX_WINDOW_ROWS + 1)
    return total


def _ends(batch_size: int, n_rows: int) -> NDArray[np.uint64]:
    bits = np.zeros(math.ceil(n_rows / 64) * 64, dtype=bool)
    bits[batch_size:n_rows:batch_size] = True
    return np.packbits(bits).view(np.uint64)
