"""Independent minibatches at fixed weights, drawn while the rows stream by."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sgdlab.data.rows import READ_BYTES, rows_in
from sgdlab.lab.gradient_noise.row_gradients import RowGradients, Vector
from sgdlab.system.interruptible import product

DEVIATION_BYTES = 256 * 2**20  # of minibatch gradients held at once


class IndexSets:
    """Independent random sets of ``batch_size`` rows, with or without replacement inside a set.

    Which of the next rows a set holds is drawn when they come: first how many of them (a binomial
    or a hypergeometric number), then which. That is the exact distribution, and memory is bounded
    by the rows at hand.
    """

    def __init__(
        self,
        n_sets: int,
        batch_size: int,
        with_replacement: bool,
        n_rows: int,
        random: np.random.Generator,
    ) -> None:
        self.n_sets = n_sets
        self.n_rows = n_rows
        self.batch_size = batch_size
        self._with_replacement = with_replacement
        self._rows_left = n_rows
        self._wanted = np.full(n_sets, batch_size)
        self._random = random

    @property
    def name(self) -> str:
        """Of the family among all of an experiment."""
        return f"{'with' if self._with_replacement else 'without'}-replacement/{self.batch_size}"

    def counts(self, n_rows: int) -> NDArray[np.int64]:
        """How often each set holds each of the next rows, shape (n_sets, n_rows)."""
        others = self._rows_left - n_rows
        if self._with_replacement:
            here = self._random.binomial(self._wanted, n_rows / self._rows_left)
            found = self._spread(here, n_rows)
        else:
            here = self._random.hypergeometric(n_rows, others, self._wanted)
            found = self._random.permuted(np.arange(n_rows) < here[:, None], axis=1).astype(int)
        self._rows_left = others
        self._wanted = self._wanted - here
        return found

    def _spread(self, here: NDArray[np.int64], n_rows: int) -> NDArray[np.int64]:
        """``here[s]`` independent draws among some rows for each set s, counted."""
        first = np.repeat(np.arange(self.n_sets) * n_rows, here)
        drawn = first + self._random.integers(n_rows, size=len(first))
        return np.bincount(drawn, minlength=self.n_sets * n_rows).reshape(self.n_sets, n_rows)


def families_a_pass(gradients: RowGradients, n_sets: int) -> int:
    """For how many families of so many sets there is room in one pass over the rows."""
    return max(1, DEVIATION_BYTES // (8 * gradients.n_parameters * n_sets))


def gradient_deviations(gradients: RowGradients, families: Sequence[IndexSets]) -> list[Vector]:
    """Each minibatch's gradient minus the exact one, in one pass over the rows for all families.

    Returns
    -------
    list of float64 arrays, shape (n_sets, n_parameters)
        One for each family. A set that holds every row once deviates by exactly 0.
    """
    totals = [np.zeros((family.n_sets, gradients.n_parameters)) for family in families]
    widest = max(gradients.n_parameters, *(family.n_sets for family in families))
    # Shares add up to 0, so that the mean is nothing but a source of rounding errors.
    for rows in gradients.deviations(rows_in(READ_BYTES, widest)):
        for family, total in zip(families, totals, strict=True):
            shares = family.counts(len(rows)) / family.batch_size - 1 / gradients.n_rows
            total += product(shares, rows)
    return totals
