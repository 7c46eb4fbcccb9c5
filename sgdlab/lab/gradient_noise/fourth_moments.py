"""How much squared distances of minibatch gradients from the exact one vary, exactly.

The gradients of n rows, minus their mean, are g_1 .. g_n. A batch of m rows lies ``|S|**2 / m**2``
from the exact gradient, where S is the sum of its rows' g, and ``|S|**4`` is the sum of
``(g_i.g_j)(g_k.g_l)`` over four places in the batch. By which of the places hold the same row, its
mean is made of three sums over all rows, A, B and C, since the g themselves sum to 0.
"""

import math
from dataclasses import dataclass

import numpy as np

from sgdlab.lab.gradient_noise.row_gradients import RowGradients
from sgdlab.system.interruptible import product

ROUNDING = 1e-13  # of a squared mean: a smaller variance is none


@dataclass(frozen=True)
class FourthMoments:
    """Sums over all rows, in units of tr(Sigma), which is the mean of ``|g_i|**2``.

    Attributes
    ----------
    quartic
        A: the sum of ``|g_i|**4``.
    products
        C: the sum of ``(g_i.g_j)**2`` over all pairs, those of a row with itself included.
    """

    n_rows: int
    quartic: float
    products: float

    def relative_variance(self, batch_size: int, with_replacement: bool) -> float:
        """The variance of a batch's squared distance, over its squared mean.

        Independent rows make ``E|S|**4 = m A/n + m (m - 1) (B + 2 C)/n**2``, with B the square of
        the sum of ``|g_i|**2``. Among m distinct rows, one, two, three and four given ones are all
        found with probabilities p1 .. p4, and ``E|S|**4 = p1 A + p2 (B + 2 C - 7 A)
        + p3 (12 A - 2 B - 4 C) + p4 (B + 2 C - 6 A)``.

        Parameters
        ----------
        batch_size
            Below ``n_rows`` without replacement, where all rows have no distance to vary.
        """
        n, m = self.n_rows, batch_size
        A, B, C = self.quartic, float(n) ** 2, self.products
        if with_replacement:
            square, quartic = float(m), m * A / n + m * (m - 1) * (B + 2 * C) / n**2
        else:
            m = min(m, n - m)  # the sum of some rows is minus that of the others
            square = m * (n - m) / (n - 1)
            p1, p2, p3, p4 = (_all_found(k, m, n) for k in (1, 2, 3, 4))
            quartic = p1 * A + p2 * (B + 2 * C - 7 * A)
            quartic += p3 * (12 * A - 2 * B - 4 * C) + p4 * (B + 2 * C - 6 * A)
        return max(quartic / square**2 - 1, ROUNDING)


def _all_found(k: int, m: int, n: int) -> float:
    """The probability that k given rows are among m distinct ones of n."""
    return math.prod((m - i) / (n - i) if i < n else 0.0 for i in range(k))


def measure_fourth_moments(gradients: RowGradients, trace: float) -> FourthMoments:
    """In one pass over the rows, or over all pairs of them where Sigma has more entries than X.

    Parameters
    ----------
    trace
        tr(Sigma), which is positive.
    """
    is_small, scale = gradients.has_small_matrices, math.sqrt(trace)
    covariance = np.zeros(2 * (gradients.n_parameters,) if is_small else 0)
    quartic = products = 0.0
    for deviations in gradients.deviations():
        deviations /= scale
        quartic += float(np.square(np.einsum("ij,ij->i", deviations, deviations)).sum())
        if is_small:
            covariance += product(deviations.T, deviations)
            continue
        for others in gradients.deviations():
            products += float(np.square(product(deviations, (others / scale).T)).sum())
    return FourthMoments(gradients.n_rows, quartic, products + float(np.square(covariance).sum()))
