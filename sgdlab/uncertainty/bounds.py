"""An estimate between two bounds, and whether these lie within a margin, or beyond it.

That both 95 % bounds lie within the margin is what tells that a difference is none that matters;
that a test finds no difference is not (Schuirmann 1987, doi:10.1007/BF01068419).
"""

import math
from dataclasses import dataclass

CONFIDENCE = 0.90  # between two bounds, each of which alone is one of 95 %
ALLOWANCE = 1.6  # of a half width: an estimate that is made anew strays by a standard error


@dataclass(frozen=True)
class Estimate:
    """An estimate; what it is of lies above ``low`` with 95 % confidence, below ``high`` with 95 %.

    One without bias of what cannot be negative may be negative, and then lies below ``low``.
    """

    value: float
    low: float
    high: float

    def over(self, unit: "Estimate") -> "Estimate":
        """In a unit that is estimated too, of what cannot be negative.

        Errors of factors add up as independent ones do: their logarithms, and these in squares. A
        bound of 0 stays there. The unit's error is that of its wider side.
        """
        value, low, high = (x / unit.value for x in (self.value, self.low, self.high))
        if value <= 0:  # Noise alone, beside which the unit's error is none.
            return Estimate(value, low, high)
        of_unit = max(unit.high - unit.value, unit.value - unit.low) / unit.value
        if low > 0:
            low = value * math.exp(-math.hypot(math.log(value / low), of_unit))
        return Estimate(value, low, value * math.exp(math.hypot(math.log(high / value), of_unit)))

    def root(self) -> "Estimate":
        """Of the square root of what cannot be negative."""
        value, low, high = (math.sqrt(max(x, 0)) for x in (self.value, self.low, self.high))
        return Estimate(value, low, high)

    def is_within(self, margin: float) -> bool:
        """Whether all between the bounds lies nearer to 0 than the margin."""
        return -margin < self.low and self.high < margin

    def is_beyond(self, margin: float) -> bool:
        """Whether all between the bounds lies on one side of 0, farther from it than the margin."""
        return self.low > margin or self.high < -margin

    def times_more(self, margin: float) -> float:
        """How many times as many replicates would probably tell: within the margin, or beyond.

        Bounds draw nearer with the square root of the number of replicates.
        """
        if self.is_within(margin) or self.is_beyond(margin):
            return 1.0
        to_margin = abs(margin - abs(self.value))
        half_width = max(self.high - self.value, self.value - self.low)
        return (ALLOWANCE * half_width / to_margin) ** 2 if to_margin > 0 else math.inf
