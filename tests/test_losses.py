"""Derivatives against finite differences of losses written out here."""

import numpy as np
import pytest

from sgdlab.optim.losses import derivative

DELTA = 0.7
LOSSES = {
    "squared": lambda r: r**2 / 2,
    "absolute": np.abs,
    "huber": lambda r: r**2 / 2 if abs(r) <= DELTA else DELTA * (abs(r) - DELTA / 2),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_derivative_is_the_slope_of_the_loss(loss):
    residuals = np.array([[-3.0, -0.71, -0.69, -0.2, 0.1, 0.69, 0.71, 5.0]])
    derivatives = derivative(loss, residuals, np.array([[DELTA]]))
    step = 1e-6
    for r, found in zip(residuals[0], derivatives[0], strict=True):
        slope = (LOSSES[loss](r + step) - LOSSES[loss](r - step)) / (2 * step)
        assert found == pytest.approx(slope, abs=1e-9)


def test_subgradient_of_the_absolute_loss_is_zero_at_zero():
    derivatives = derivative("absolute", np.zeros((1, 2)), np.ones((1, 1)))
    assert derivatives.tolist() == [[0.0, 0.0]]


def test_each_cell_has_its_own_delta():
    derivatives = derivative("huber", np.full((2, 1), 10.0), np.array([[1.0], [3.0]]))
    assert derivatives.ravel().tolist() == [1.0, 3.0]
