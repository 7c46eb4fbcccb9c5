"""Training rows brought into a form that gives the exact minimiser for any L2."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sgdlab.data.rows import READ_BYTES, RowSet, rows_in
from sgdlab.errors import DataError
from sgdlab.lab.checks import check_memory
from sgdlab.optim.closed_form import (
    TRUSTED_CONDITION,
    Spectrum,
    spectrum_of_moments,
    spectrum_of_triangle,
)
from sgdlab.optim.curvature import largest_eigenvalue
from sgdlab.optim.moments import moments
from sgdlab.optim.triangle import triangle

# Of the targets' variance that the weights explain: a smaller misfit may be a rounding error of
# X.T X, which is at most some 1e-6 of the targets' deviations where X.T X is trusted.
SMALLEST_MISFIT = 1e-10
MATRICES = 8  # as large as X.T X, or as R, at the same time
CHUNKS = 5  # of rows: as they are read, beside their targets, below R, and factorised


@dataclass(frozen=True)
class Factors:
    """A set of rows as a least-squares problem that is solved.

    Attributes
    ----------
    refused_because
        Why X.T X was not trusted; None where it was, or was not formed since there are fewer rows
        than parameters.
    largest_eigenvalue
        Of the Hessian X.T X / n, with the bias if that is trained.
    column_sizes : float64 array, shape (n_features,)
        Root mean squares of the columns of X, not centred.
    """

    spectrum: Spectrum
    refused_because: str | None
    largest_eigenvalue: float
    column_sizes: NDArray[np.float64]


def factorise(rows: RowSet, bias: float | None, train_bias: bool) -> Factors:
    """One pass that sums X.T X, and where that is not to be trusted, one that factorises the rows.

    Parameters
    ----------
    rows
        In float64.
    bias
        Holds b at this value; None fits it.
    train_bias
        Whether the Hessian whose largest eigenvalue is given has a row for the bias.

    Raises
    ------
    DataError
        If squares of the values are out of the range of float64.
    StorageError
        If the matrices are larger than the machine's memory.
    """
    n_numbers = float(min(rows.n_rows, rows.n_features)) * rows.n_features
    what = f"solving for {rows.n_features} weights"
    n_bytes = MATRICES * 8 * n_numbers + CHUNKS * min(READ_BYTES, rows.n_bytes)
    check_memory(what, n_bytes, "take fewer columns")
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            factors = _factorise(rows, bias, train_bias)
            if np.isfinite(factors.spectrum.total_squares):
                return factors
    except np.linalg.LinAlgError:  # of what is not finite
        pass
    found = "values whose squares do not fit float64"
    raise DataError("X, y", found, "moderate ones", "see data.divide_by")


def _factorise(rows: RowSet, bias: float | None, train_bias: bool) -> Factors:
    chunk_rows = rows_in(READ_BYTES, rows.n_features)
    refused = None
    if rows.n_rows >= rows.n_features + (bias is None):
        sums = moments(rows.chunks(chunk_rows))
        spectrum = spectrum_of_moments(sums, bias)
        refused = _why_refused(spectrum)
        if refused is None:
            sizes = np.sqrt(np.diag(sums.gram) / rows.n_rows)
            return Factors(spectrum, None, largest_eigenvalue(sums, train_bias), sizes)
    whole = triangle(rows.chunks(max(chunk_rows, rows.n_features)))
    spectrum = spectrum_of_triangle(whole, bias)
    sizes = np.linalg.norm(whole.factor[:, 1:-1], axis=0) / math.sqrt(rows.n_rows)
    return Factors(spectrum, refused, largest_eigenvalue(whole, train_bias), sizes)


def _why_refused(spectrum: Spectrum) -> str | None:
    """What X.T X does not tell of rows and targets, if anything."""
    condition = spectrum.condition_number()
    if math.isinf(condition):
        return "it is singular in float64"
    if condition > TRUSTED_CONDITION:
        return f"its condition number, {condition:.1e}, leaves too few digits"
    if spectrum.misfit <= SMALLEST_MISFIT * np.sum(np.square(spectrum.coordinates)):
        return "it does not tell a misfit so small from rounding"
    return None
