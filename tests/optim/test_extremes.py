"""Which numbers are extreme, and which losses and limits follow from those that are."""

import math

import numpy as np
import pytest

from sgdlab.config.model import Train
from sgdlab.optim.curvature import stability_limit
from sgdlab.optim.extremes import are_extreme, has_extremes
from sgdlab.optim.losses import Losses


@pytest.mark.parametrize(
    ("is_extreme", "keys"),
    [
        (False, {}),
        (False, {"learning_rate": 1e-100}),
        (True, {"learning_rate": 1e-130}),
        (True, {"learning_rate": 1e70}),
        (False, {"learning_rate": 1e-15, "precision": "float32"}),  # pixels that are not divided
        (True, {"learning_rate": 1e-25, "precision": "float32"}),
        (False, {"l2": 1e-320}),
        (True, {"l2": 1e308}),
        (True, {"weight_decay": 1e9}),  # times a learning rate of 0.1
        (False, {"huber_delta": 5e-324}),  # which has no influence
        (True, {"huber_delta": 5e-324, "loss": "huber"}),
        (False, {"initial_scale": 1e300}),
        (True, {"initial_scale": 1e300, "initial_weights": "normal"}),
        (True, {"initial_bias": -1e300}),
        (True, {"initial_bias": -1e-300}),
        (False, {"initial_bias": 0.0, "momentum": 5e-324, "optimizer": "momentum"}),
    ],
)
def test_extreme_cells(is_extreme, keys):
    assert has_extremes(Train(**{"batch_size": 1, "learning_rate": 0.1, "epochs": 1} | keys)) == (
        is_extreme
    )


@pytest.mark.parametrize(
    ("is_extreme", "targets"),
    [
        (False, [0.0, 0.0]),
        (False, [1.0, 1e-300, -3.0]),
        (True, [1e-300, -1e-200]),
        (True, [1.0, -1e100]),
    ],
)
def test_extreme_targets(is_extreme, targets):
    assert are_extreme(np.array(targets)) == is_extreme


def test_targets_are_extreme_in_their_precision():
    assert not are_extreme(np.array([1e-30]))
    assert are_extreme(np.array([1e-30], np.float32))


@pytest.mark.parametrize("half_mse", [1.7e308, 9e307, 1e-300, 0.5, 3.0, 0.0])
def test_a_root_of_twice_the_largest_losses(half_mse):
    expected = math.sqrt(2) * math.sqrt(half_mse)
    assert Losses(half_mse, 0.0).rmse == pytest.approx(expected, rel=1e-15, abs=0)


@pytest.mark.parametrize("half_mse", [math.inf, math.nan])
def test_a_root_of_what_is_not_finite(half_mse):
    assert repr(Losses(half_mse, 0.0).rmse) == repr(half_mse)


def test_without_curvature_nothing_is_too_fast():
    assert stability_limit(0.0) == math.inf
