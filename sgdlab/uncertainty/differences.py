"""A paired difference in a metric, and what may be said of it."""

from dataclasses import dataclass

# Of a standard error: below this, nothing is called better or worse.
CLEAR_DIFFERENCE = 2.0


@dataclass(frozen=True)
class Difference:
    """A mean over rows of paired differences in a metric, and the standard error of that mean.

    The error is None where it is not known, as with a single row.
    """

    metric: str
    mean: float
    standard_error: float | None

    def __str__(self) -> str:
        """``-38.7 ±4.7``: two digits of the error, and as many places of the mean."""
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
    def verdict(self) -> str:
        """``better`` (smaller), ``worse``, or why neither can be said."""
        if self.standard_error is None:
            return "not known"
        if abs(self.mean) <= CLEAR_DIFFERENCE * self.standard_error:
            return "no clear difference"
        return "worse" if self.mean > 0 else "better"
