"""A paired difference in a metric, and what may be said of it."""

import math
from dataclasses import dataclass

from sgdlab.uncertainty.student_t import is_clear

# Fewer all have the same sign by chance in one of 2**4 cases, and that is more than 5 %.
FEWEST_ROWS = 6
UNKNOWN = "not known"


@dataclass(frozen=True)
class Difference:
    """A mean over rows of paired differences in a metric, and the standard error of that mean.

    The error is None where it is not known, as with a single row; a mean that is not finite is not
    known either.
    """

    metric: str
    mean: float
    standard_error: float | None
    n_rows: int

    def __str__(self) -> str:
        """``-38.7 ±4.7``: two digits of the error, and as many places of the mean."""
        if not math.isfinite(self.mean):
            return UNKNOWN
        error = self.standard_error
        if not error:
            return f"{self.mean:+.3g} ±{'?' if error is None else 0}"
        exponent = int(f"{error:.1e}".partition("e")[2])
        if exponent < -5 or exponent > 15 or abs(self.mean) >= 1e7:
            digits = max(0, int(f"{self.mean:e}".partition("e")[2]) - exponent + 1)
            return f"{self.mean:+.{min(digits, 17)}e} ±{error:.1e}"
        places = 1 - exponent
        mean, error = round(self.mean, places), round(error, places)
        return f"{mean:+.{max(0, places)}f} ±{error:.{max(0, places)}f}"

    @property
    def with_verdict(self) -> str:
        """``-38.7 ±4.7 (better)``."""
        return f"{self} ({self.verdict})" if math.isfinite(self.mean) else UNKNOWN

    @property
    def verdict(self) -> str:
        """``better`` (smaller), ``worse``, or why neither can be said.

        Student's t test at the level of 5 %, which takes rows as independent and the mean of their
        differences as about normal. Of equal models it calls at most 1 in 20 better or worse where
        the differences are symmetric; where they are skewed, as a few large errors make them, more
        while rows are few: 1 in 9 for exponential differences of 6 rows, 1 in 16 of 60.
        """
        if self.standard_error is None:
            return UNKNOWN
        if not is_clear(self.mean, self.standard_error, self.n_rows - 1):
            return "no clear difference"
        if self.n_rows < FEWEST_ROWS:
            return "too few rows to tell"
        return "worse" if self.mean > 0 else "better"
