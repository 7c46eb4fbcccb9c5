"""The exact minimum of the regularised squared loss of a linear model, for any L2 at once."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sgdlab.data.constant import FEW, is_constant
from sgdlab.optim.decomposition import decompose
from sgdlab.optim.moments import Moments
from sgdlab.optim.triangle import Triangle
from sgdlab.system.interruptible import interruptibly
from sgdlab.uncertainty.rounding import EPSILON

# Solving with X.T X loses about log10(condition number) of float64's 16 digits of the weights
# (Higham 2002, chapter 7). Up to this bound six are left, one more than tables show.
TRUSTED_CONDITION = 1e-6 / EPSILON
EIGH_OPERATIONS = 9  # times the cube of the size (Golub and Van Loan 2013, section 8.3.3)


@dataclass(frozen=True)
class Minimum:
    """Where ``mean((x.w + b - y)**2) / 2 + l2/2 * w.w`` is smallest.

    Attributes
    ----------
    weights : float64 array, shape (n_features,)
        The shortest of all minimisers, where there are several.
    bias
        Fitted, or as it was held.
    objective
        The smallest value, L2 included, in squared target units.
    condition_number
        Of ``X.T X / n + l2 I`` as it was solved (X centred where the bias is free); infinite if
        that is singular.
    is_trusted
        False where X.T X was inverted with a condition number above ``TRUSTED_CONDITION``:
        the weights may then have no correct digit, though the objective is still close.
    """

    weights: NDArray[np.float64]
    bias: float
    objective: float
    condition_number: float
    is_trusted: bool


@dataclass(frozen=True)
class Spectrum:
    """A least-squares problem in the basis of the singular vectors of X = U diag(s) V^T.

    Directions without any variance, as far as float64 can tell, are left out.

    Attributes
    ----------
    n_rows, n_features
        Shape of X.
    singular_values : float64 array, shape (rank,)
        s > 0, of X centred where the bias is free.
    directions : float64 array, shape (n_features, rank)
        V.
    coordinates : float64 array, shape (rank,)
        ``U^T (y - bias)``, of y centred where the bias is free.
    misfit
        Sum of squares of the part of the targets that no weights reach.
    means : float64 array, shape (n_features,)
        That are taken from X: zeros where the bias is held.
    target_mean
        That is taken from y: the bias where that is held.
    from_moments
        Whether X.T X was formed.
    without_l2 : float64 array, shape (n_features,)
        The minimiser where L2 is 0, if the columns' sizes are so unlike that float64 does not see
        all of them in the singular values; else None.
    """

    n_rows: int
    n_features: int
    singular_values: NDArray[np.float64]
    directions: NDArray[np.float64]
    coordinates: NDArray[np.float64]
    misfit: float
    means: NDArray[np.float64]
    target_mean: float
    from_moments: bool
    without_l2: NDArray[np.float64] | None = None

    @property
    def rank(self) -> int:
        return len(self.singular_values)

    @property
    def total_squares(self) -> float:
        """Sum of squares of all of X and y; not finite where the problem could not be solved."""
        squares = np.sum(self.singular_values**2) + np.sum(self.coordinates**2) + self.misfit
        return float(squares)

    def minimum(self, l2: float) -> Minimum:
        """The minimiser for one ``l2``, at least 0."""
        squares, penalty = np.square(self.singular_values), self.n_rows * l2
        if l2 == 0 and self.without_l2 is not None:
            weights = self.without_l2
        else:
            along = self.singular_values * self.coordinates / (squares + penalty)
            weights = self.directions @ along
        shares = penalty / (squares + penalty)  # before it is multiplied: products may overflow
        unfitted = self.misfit + np.sum(self.coordinates**2 * shares)
        condition = self.condition_number(l2)
        return Minimum(
            weights=weights,
            bias=float(self.target_mean - self.means @ weights),
            objective=float(unfitted / (2 * self.n_rows)),
            condition_number=condition,
            is_trusted=not self.from_moments or condition <= TRUSTED_CONDITION,
        )

    def condition_number(self, l2: float = 0.0) -> float:
        """That of ``X.T X / n + l2 I``, infinite if that is singular."""
        largest = np.square(self.singular_values).max(initial=0.0)
        smallest = 0.0 if self.rank < self.n_features else np.square(self.singular_values).min()
        floor = smallest + self.n_rows * l2
        return float((largest + self.n_rows * l2) / floor) if floor > 0 else np.inf

    def effective_parameters(self, l2: float) -> float:
        """Trace of the matrix that turns targets into predictions, without the bias: at most rank.

        Hastie, Tibshirani and Friedman, The Elements of Statistical Learning, 2nd ed. 2009,
        equation 3.50.
        """
        squares = np.square(self.singular_values)
        return float(np.sum(squares / (squares + self.n_rows * l2)))


def spectrum_of_moments(moments: Moments, bias: float | None) -> Spectrum:
    """By the eigenvectors of X.T X: fast, for any number of rows, and half the digits.

    With a free bias (None) everything is centred, and the means do not enter the condition number;
    a column that is constant but for rounding has no weight.
    """
    if bias is None:
        variances = np.diag(moments.scatter) / moments.n_rows
        is_known = ~is_constant(variances, moments.means, moments.n_rows)
        gram = np.where(is_known & is_known[:, None], moments.scatter, 0.0)
        cross = np.where(is_known, moments.cross, 0.0)
        target_squares = moments.target_scatter
        means, target_mean = moments.means, moments.target_mean
    else:
        offset = moments.target_mean - bias
        gram, cross = moments.gram, moments.cross + moments.n_rows * offset * moments.means
        target_squares = moments.target_scatter + moments.n_rows * offset**2
        means, target_mean = np.zeros_like(moments.means), bias
    n_operations = EIGH_OPERATIONS * float(len(gram)) ** 3
    eigenvalues, vectors = interruptibly(n_operations, lambda: np.linalg.eigh(gram))
    kept = eigenvalues > len(gram) * EPSILON * eigenvalues[-1]
    singular_values, directions = np.sqrt(eigenvalues[kept]), vectors[:, kept]
    coordinates = directions.T @ cross / singular_values
    return Spectrum(
        n_rows=moments.n_rows,
        n_features=len(gram),
        singular_values=singular_values,
        directions=directions,
        coordinates=coordinates,
        misfit=max(0.0, float(target_squares - coordinates @ coordinates)),
        means=means,
        target_mean=target_mean,
        from_moments=True,
    )


def spectrum_of_triangle(triangle: Triangle, bias: float | None) -> Spectrum:
    """By the singular vectors of the rows themselves: slower, with all digits, of any shape."""
    n_rows = triangle.n_rows
    if bias is None:
        # The first row of R is the only one with ones in it: it holds the means, the rest is
        # centred.
        above, centred = triangle.shifted[0] / triangle.shifted[0, 0], triangle.shifted[1:]
        X, y, (*means, target_mean) = centred[:, 1:-1], centred[:, -1], triangle.origin + above[1:]
        means = np.array(means)
        variances = np.sum(np.square(X), axis=0) / n_rows
        X = np.where(is_constant(variances, means, n_rows), 0.0, X)
        sizes = np.sqrt(n_rows * (variances + np.square(means)))
    else:
        ones, X, targets = np.split(triangle.factor, [1, -1], axis=1)
        y = targets[:, 0] - bias * ones[:, 0]
        means, target_mean = np.zeros(X.shape[1]), bias
        sizes = np.linalg.norm(X, axis=0)
    found = decompose(X, y, n_rows, sizes)
    return Spectrum(
        n_rows=n_rows,
        n_features=X.shape[1],
        singular_values=found.singular_values,
        directions=found.directions,
        coordinates=found.coordinates,
        misfit=found.misfit,
        means=means,
        target_mean=float(target_mean),
        from_moments=False,
        without_l2=found.weights,
    )


def minimise(moments: Moments, l2: float, bias: float | None) -> Minimum:
    """The exact minimiser of ``mean((x.w + b - y)**2) / 2 + l2/2 * w.w``.

    Parameters
    ----------
    moments
        Of the rows and targets.
    l2
        At least 0.
    bias
        Holds b at this value; None fits it. It is never regularised.

    Returns
    -------
    Minimum
        Look at ``is_trusted`` before using its weights.
    """
    return spectrum_of_moments(moments, bias).minimum(l2)


def rounding_of_fit(
    minimum: Minimum, column_sizes: NDArray[np.float64], targets: NDArray[np.float64]
) -> float:
    """Root mean squared residual of targets that were computed in float64 from the rows themselves.

    A sum of products is off by units in the last place of its partial sums, which add up like
    random numbers (Higham and Mary 2019, doi:10.1137/18M1226312). A smaller residual is no noise.

    Parameters
    ----------
    column_sizes : float64 array, shape (n_features,)
        Root mean squares of the columns of X, not centred.
    targets : float64 array, shape (n_rows,)
    """
    terms = math.sqrt(len(column_sizes)) * np.linalg.norm(column_sizes * minimum.weights)
    sizes = math.sqrt(np.mean(np.square(targets))) + abs(minimum.bias) + float(terms)
    return FEW * EPSILON * sizes
