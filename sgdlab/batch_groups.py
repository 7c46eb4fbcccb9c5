"""Which batch sizes share blocks: a trade of fewer readings of the rows for shorter tiles."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# A block's epoch in multiply-adds, fitted to measurements at 2304 features: loading a row costs as
# much as the arithmetic of 8 cells, updating the weights as much as 8 rows, and the calls that one
# tile takes as much as 300,000 multiply-adds.
CELLS_A_ROW_COSTS = 8
ROWS_AN_UPDATE_COSTS = 8
OPERATIONS_A_TILE_COSTS = 300_000
MAX_COUNTED_ROWS = 10_000  # the tiles of more rows repeat those of these
MAX_COMPARED_SIZES = 250


def group_batch_sizes(
    counts: dict[int, int], n_rows: int, n_features: int, largest: int
) -> list[tuple[int, ...]]:
    """Put batch sizes together as long as that makes an epoch cheaper.

    Together, cells share the reading of rows; but the rows are cut wherever a batch of any of them
    ends, and short tiles are slow. So multiples go together, and a batch size of 1 stays alone.
    Of very many batch sizes only neighbours are compared.

    Parameters
    ----------
    counts
        Trajectories of each batch size.
    largest
        Trajectories in a block, at most.
    """
    sizes = sorted(counts)
    n_rows = min(n_rows, MAX_COUNTED_ROWS)
    groups: list[tuple[int, ...]] = []
    for first in range(0, len(sizes), MAX_COMPARED_SIZES):
        compared = sizes[first : first + MAX_COMPARED_SIZES]
        groups += _joined(compared, counts, _Cost(n_rows, n_features, largest))
    return sorted(groups)


@dataclass(frozen=True)
class _Cost:
    """Time of an epoch of all blocks of a group, in multiply-adds."""

    n_rows: int
    n_features: int
    largest: int

    def __call__(self, n_cells: Any, ends: NDArray[np.uint64]) -> Any:
        n_blocks = np.ceil(n_cells / self.largest)
        n_tiles = np.bitwise_count(ends).sum(axis=-1) + 1
        rows = self.n_rows + ROWS_AN_UPDATE_COSTS * n_tiles
        n_products = (n_cells + n_blocks * CELLS_A_ROW_COSTS) * rows
        return n_products * self.n_features + n_blocks * n_tiles * OPERATIONS_A_TILE_COSTS


def _joined(sizes: Sequence[int], counts: dict[int, int], cost: _Cost) -> list[tuple[int, ...]]:
    """Join the two groups that save the most by it, until none do."""
    groups = [(size,) for size in sizes]
    n_cells = np.array([counts[size] for size in sizes], dtype=float)
    ends = np.stack([_ends(size, cost.n_rows) for size in sizes])
    saved = np.array([_saved(a, n_cells, ends, cost) for a in range(len(sizes))])
    while (best := saved.max()) > 0:
        a, b = np.argwhere(saved == best)[0]
        groups[a] += groups.pop(b)
        n_cells[a] += n_cells[b]
        ends[a] |= ends[b]
        n_cells, ends = np.delete(n_cells, b), np.delete(ends, b, axis=0)
        saved = np.delete(np.delete(saved, b, axis=0), b, axis=1)
        saved[a] = saved[:, a] = _saved(a, n_cells, ends, cost)
    return [tuple(sorted(group)) for group in groups]


def _saved(a: int, n_cells: Any, ends: NDArray[np.uint64], cost: _Cost) -> Any:
    """What joining group ``a`` with each group saves."""
    apart = cost(n_cells[a], ends[a]) + cost(n_cells, ends)
    saved = apart - cost(n_cells[a] + n_cells, ends[a] | ends)
    saved[a] = -np.inf
    return saved


def _ends(batch_size: int, n_rows: int) -> NDArray[np.uint64]:
    """As bits: after which rows a batch ends, the last row aside."""
    bits = np.zeros(math.ceil(n_rows / 64) * 64, dtype=bool)
    bits[batch_size:n_rows:batch_size] = True
    return np.packbits(bits).view(np.uint64)
