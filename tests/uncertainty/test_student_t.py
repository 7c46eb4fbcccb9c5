"""Student's t against SciPy."""

import math

import numpy as np
import pytest
from scipy import stats

from sgdlab.uncertainty.student_t import critical_value, two_sided_p

FREEDOMS = (1, 2, 3, 4.5, 7, 9, 29, 99, 199.5, 1000, 123_456, 10_000_000)


@pytest.mark.parametrize("freedom", FREEDOMS)
def test_two_sided_p(freedom):
    distances = np.concatenate([np.linspace(0, 12, 61), [1e-9, 1e-3, 50.0, 1e4]])
    found = [two_sided_p(-t, freedom) for t in distances]
    np.testing.assert_allclose(found, 2 * stats.t.sf(distances, freedom), rtol=1e-8, atol=1e-300)


@pytest.mark.parametrize("freedom", FREEDOMS)
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.9987, 1 - 1e-9])
def test_critical_values(freedom, confidence):
    expected = stats.t.isf((1 - confidence) / 2, freedom)
    assert critical_value(freedom, confidence) == pytest.approx(expected, rel=1e-7)


def test_limits():
    assert two_sided_p(math.inf, 3) == 0
    assert two_sided_p(0.0, 3) == 1
    assert math.isnan(two_sided_p(math.nan, 3))
    assert critical_value(10**7) == pytest.approx(stats.norm.ppf(0.975), rel=1e-6)


@pytest.mark.parametrize("freedom", [0, -1, math.nan])
def test_no_degree_of_freedom_is_refused(freedom):
    with pytest.raises(ValueError, match="degrees of freedom"):
        two_sided_p(1.0, freedom)
    with pytest.raises(ValueError, match="degrees of freedom"):
        critical_value(freedom)


@pytest.mark.parametrize("confidence", [0.0, 1.0, -1.0, math.nan])
def test_no_confidence_is_refused(confidence):
    with pytest.raises(ValueError, match="confidence"):
        critical_value(5, confidence)


@pytest.mark.parametrize(("t", "p"), [(0.0, 1.0), (1.959963984540054, 0.05), (-3.0, 0.00269979606)])
def test_without_end_of_freedom_it_is_normal(t, p):
    assert two_sided_p(t, math.inf) == pytest.approx(p, rel=1e-8)
