"""Student's t distribution: how far a mean of few values strays, in its own standard errors.

With ``v`` degrees of freedom, P(abs(T) >= t) = I_x(v/2, 1/2) at x = v/(v + t*t), the regularised
incomplete beta function (DLMF 8.17, https://dlmf.nist.gov/8.17), here by its continued fraction.
"""

import math
from functools import lru_cache

CONFIDENCE = 0.95
MOST_TERMS = 100_000  # of the fraction, which needs about the root of the degrees of freedom
MANY = 1000.0  # degrees of freedom, from which a series is used
TINY = 1e-300  # instead of a 0 in a denominator


def two_sided_p(t: float, degrees_of_freedom: float) -> float:
    """The probability that a value lies at least ``abs(t)`` from 0; NaN for NaN.

    Raises
    ------
    ValueError
        If the degrees of freedom are not positive.
    """
    if not degrees_of_freedom > 0:
        raise ValueError(f"{degrees_of_freedom} degrees of freedom; expected more than 0")
    if math.isnan(t):
        return math.nan
    if math.isinf(t):
        return 0.0
    if math.isinf(degrees_of_freedom):
        return math.erfc(abs(t) / math.sqrt(2))  # the normal distribution
    angle = math.atan2(abs(t), math.sqrt(degrees_of_freedom))
    x, rest = math.cos(angle) ** 2, math.sin(angle) ** 2  # t*t never overflows
    half = degrees_of_freedom / 2
    if x < (half + 1) / (half + 2.5):
        return _incomplete_beta(x, rest, half, 0.5)
    return 1.0 - _incomplete_beta(rest, x, 0.5, half)


@lru_cache(maxsize=128)  # a bisection, of the same few numbers of rows or trials again and again
def critical_value(degrees_of_freedom: float, confidence: float = CONFIDENCE) -> float:
    """How many standard errors either side of a mean an interval needs to cover the truth.

    Raises
    ------
    ValueError
        If the degrees of freedom are not positive, or the confidence is not between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence}; expected between 0 and 1")
    outside = 1 - confidence
    low, high = 0.0, 1.0
    while two_sided_p(high, degrees_of_freedom) > outside:
        low, high = high, 2 * high
    while low < (middle := (low + high) / 2) < high:
        if two_sided_p(middle, degrees_of_freedom) > outside:
            low = middle
        else:
            high = middle
    return high


def is_clear(value: float, standard_error: float, degrees_of_freedom: float) -> bool:
    """Whether a value differs from 0 at the level of 5 %; one without an error, if it is not 0."""
    return abs(value) > critical_value(degrees_of_freedom) * standard_error


def _incomplete_beta(x: float, rest: float, a: float, b: float) -> float:
    """I_x(a, b), one of a and b being 1/2; x = 1 - rest, below (a + 1)/(a + b + 2)."""
    if x == 0:
        return 0.0
    log_beta = math.lgamma(0.5) - _log_of_gamma_quotient(max(a, b))
    logarithms = a * _log(x, rest) + b * _log(rest, x)
    return math.exp(logarithms - log_beta) / a * _fraction(x, a, b)


def _log(x: float, rest: float) -> float:
    """log(x) = log(1 - rest), by whichever of the two is small."""
    return math.log(x) if x < rest else math.log1p(-rest)


def _log_of_gamma_quotient(a: float) -> float:
    """log(gamma(a + 1/2) / gamma(a)), whose difference cancels where a is large (DLMF 5.11.13)."""
    if a < MANY:
        return math.lgamma(a + 0.5) - math.lgamma(a)
    return math.log(a) / 2 - 1 / (8 * a) + 1 / (192 * a**3)


def _fraction(x: float, a: float, b: float) -> float:
    """The continued fraction DLMF 8.17.22, from the front (Lentz's method, DLMF 3.10.iii)."""
    numerator, denominator = 1.0, 1.0 / _not_zero(1.0 - (a + b) * x / (a + 1))
    value = denominator
    for m in range(1, MOST_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            denominator = 1.0 / _not_zero(1.0 + term * denominator)
            numerator = _not_zero(1.0 + term / numerator)
            value *= denominator * numerator
        if abs(denominator * numerator - 1.0) < 1e-15:
            return value
    raise AssertionError(f"no convergence at x = {x}, a = {a}, b = {b}")


def _not_zero(value: float) -> float:
    return value if abs(value) > TINY else TINY
