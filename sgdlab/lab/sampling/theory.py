"""What theory says of the rows that random batches never see."""

import math
from dataclasses import dataclass

from sgdlab.errors import UsageError
from sgdlab.lab.checks import check_count

MAX_ROWS = 10**8


@dataclass(frozen=True)
class Sampling:
    """Some epochs of batches from ``n_rows`` rows, each batch drawn afresh from all of them.

    The rows of one batch are distinct. Batches of 1 are sampling with replacement; batches of
    ``n_rows`` are sampling without replacement, which sees every row once an epoch.

    Raises
    ------
    UsageError
        If a number is out of its range, or the rows of all epochs do not fill whole batches.
    """

    n_rows: int
    epochs: int = 1
    batch_size: int = 1

    def __post_init__(self) -> None:
        check_count("n_rows", self.n_rows, MAX_ROWS)
        check_count("epochs", self.epochs)
        check_count("batch_size", self.batch_size)
        place = f"`batch_size={self.batch_size}`"
        if self.batch_size > self.n_rows:
            raise UsageError(place, "too large", f"at most the {self.n_rows} rows")
        if self.n_draws % self.batch_size:
            found = f"does not divide the {self.n_draws} draws from {self.n_rows} rows"
            raise UsageError(place, found, "whole batches")

    @property
    def n_draws(self) -> int:
        """Rows in all batches together."""
        return self.n_rows * self.epochs

    @property
    def n_batches(self) -> int:
        return self.n_draws // self.batch_size

    @property
    def is_complete(self) -> bool:
        """Whether every batch holds all rows."""
        return self.batch_size == self.n_rows


def never_share(sampling: Sampling) -> float:
    """P(a given row is in no batch): ``(1 - m/n)**(nE/m)`` for batches of m.

    For m = 1 and E = 1 about ``(1 - 1/(2n)) / e``.
    """
    return math.exp(_log_never(sampling))


def never_share_of_many(sampling: Sampling) -> float:
    """The limit of :func:`never_share` for many rows, with the same epochs and batches.

    0 for batches of all rows; a single row is taken as sampled with replacement.
    """
    is_shuffled = sampling.is_complete and sampling.n_rows > 1
    return 0.0 if is_shuffled else math.exp(-sampling.epochs)


def never_variance(sampling: Sampling) -> float:
    """Variance of the number of rows that are in no batch.

    With p the probability for one row and q for both of two rows, ``n p (1-p) + n(n-1) (q - p*p)``.
    ``q / (p*p)`` is ``(1 - m/((n-1)(n-m)))**(nE/m)``, close to 1 for large n, so the difference is
    taken by ``expm1``: the sum as textbooks have it (Johnson and Kotz, Urn Models and Their
    Application, 1977) loses every digit in float64 by n = 1e9.
    """
    n, m = sampling.n_rows, sampling.batch_size
    if sampling.is_complete:
        return 0.0
    p = never_share(sampling)
    ratio = m / ((n - 1) * (n - m))
    # Two rows cannot both be outside a batch of n - 1.
    log_ratio = sampling.n_batches * math.log1p(-ratio) if ratio < 1 else -math.inf
    alone = -n * p * math.expm1(_log_never(sampling))
    return alone + n * (n - 1) * p * p * math.expm1(log_ratio)


def _log_never(sampling: Sampling) -> float:
    if sampling.is_complete:
        return -math.inf
    return sampling.n_batches * math.log1p(-sampling.batch_size / sampling.n_rows)
