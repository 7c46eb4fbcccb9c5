"""Losses and their derivatives against losses written out here and their finite differences."""

import numpy as np
import pytest

from sgdlab.errors import UsageError
from sgdlab.words.losses import LOSSES, Huber

DELTA = 0.7
BY_HAND = {
    "squared": lambda r: r**2 / 2,
    "absolute": np.abs,
    "huber": lambda r: r**2 / 2 if abs(r) <= DELTA else DELTA * (abs(r) - DELTA / 2),
}


def made(loss):
    return Huber(huber_delta=DELTA) if loss == "huber" else LOSSES.make(loss)


def test_every_loss_is_written_out_here():
    assert list(BY_HAND) == list(LOSSES)


@pytest.mark.parametrize("loss", BY_HAND)
def test_value_is_that_of_the_formula(loss):
    residuals = np.array([[-3.0, -0.71, -0.69, 0.0, 0.1, 0.7, 0.71, 5.0]])
    expected = [[BY_HAND[loss](r) for r in residuals[0]]]
    np.testing.assert_allclose(made(loss).value(residuals), expected, rtol=1e-15)


@pytest.mark.parametrize("loss", BY_HAND)
def test_derivative_is_the_slope_of_the_loss(loss):
    residuals = np.array([[-3.0, -0.71, -0.69, -0.2, 0.1, 0.69, 0.71, 5.0]])
    derivatives = made(loss).derivative(residuals)
    step = 1e-6
    for r, found in zip(residuals[0], derivatives[0], strict=True):
        slope = (BY_HAND[loss](r + step) - BY_HAND[loss](r - step)) / (2 * step)
        assert found == pytest.approx(slope, abs=1e-9)


def test_subgradient_of_the_absolute_loss_is_zero_at_zero():
    derivatives = made("absolute").derivative(np.zeros((1, 2)))
    assert derivatives.tolist() == [[0.0, 0.0]]


def test_every_trajectory_has_its_own_delta():
    derivatives = Huber(np.array([[1.0], [3.0]])).derivative(np.full((2, 1), 10.0))
    assert derivatives.ravel().tolist() == [1.0, 3.0]


def test_only_a_linear_derivative_is_the_residual_itself():
    residuals = np.array([[-2.0, 0.5, 3.0]])
    for name in LOSSES:
        is_itself = (made(name).derivative(residuals) == residuals).all()
        assert LOSSES[name].is_linear == is_itself


def test_an_unknown_loss_is_refused_with_those_that_exist():
    with pytest.raises(UsageError, match=r"train.loss 'hinge': unknown; .* squared, absolute, h"):
        LOSSES["hinge"]
