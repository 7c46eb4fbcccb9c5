"""The triangular factor of rows and targets, in one pass over chunks of them."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sgdlab.data.rows import Chunk
from sgdlab.optim.moments import check_range
from sgdlab.system.interruptible import interruptibly


@dataclass(frozen=True)
class Triangle:
    """R of the QR factorisation of ``[1, X, y]``: a column of ones, the rows, the targets.

    Its rows stand for all rows that were seen: any least-squares problem on ``[1, X, y]`` has the
    same solutions and residual norms on R.

    Attributes
    ----------
    n_rows
        That were factorised.
    origin : float64 array, shape (n_features + 1,)
        The first row and target.
    shifted : float64 array, shape (min(n_rows, n_features + 2), n_features + 2)
        R of ``[1, X - x, y - y']``, with the origin x and y' taken away, so that its rounding
        errors are relative to deviations and not to means. Upper triangular, or trapezoidal with
        fewer rows than columns.
    """

    n_rows: int
    origin: NDArray[np.float64]
    shifted: NDArray[np.float64]

    @property
    def factor(self) -> NDArray[np.float64]:
        """R: the column of ones is (+-sqrt(n_rows), 0, ...), and takes the origin back."""
        return self.shifted + np.outer(self.shifted[:, 0], np.append(0.0, self.origin))


def triangle(chunks: Iterable[Chunk]) -> Triangle:
    """Factorise the R so far on top of the next chunk, chunk after chunk, in float64.

    Orthogonal transformations of the rows themselves keep the digits that forming X.T X squares
    away (Golub and Van Loan, Matrix Computations, 4th ed. 2013, section 5.3; Higham, Accuracy and
    Stability of Numerical Algorithms, 2nd ed. 2002, chapter 20). Chunks of about as many rows as
    there are columns are fastest.

    Raises
    ------
    ValueError
        If there are no rows.
    DataError
        If squares of their values do not fit float64.
    """
    n_rows, factor, origin = 0, None, np.zeros(0)
    for rows, targets in chunks:
        check_range(rows, targets)
        table = np.column_stack([np.ones(len(rows)), rows, targets])
        if factor is None:
            origin = table[0, 1:].copy()
        table[:, 1:] -= origin
        stacked = table if factor is None else np.vstack([factor, table])
        factor = _qr(stacked)
        n_rows += len(rows)
    if factor is None:
        raise ValueError("no rows to factorise")
    return Triangle(n_rows, origin, factor)


def _qr(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """R of a table."""
    n_operations = 4.0 * max(table.shape) * min(table.shape) ** 2
    return np.asarray(interruptibly(n_operations, lambda: np.linalg.qr(table, mode="r")))
