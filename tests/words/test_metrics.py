"""Metrics by hand, and that there is no other one."""

from typing import get_args

import numpy as np
import pytest

from sgdlab.config.model import Select
from sgdlab.errors import UsageError
from sgdlab.optim.losses import Losses
from sgdlab.words.metrics import METRICS

ERRORS = np.array([[-3.0, 1.0], [0.0, 2.0]])
TARGETS = np.array([0.0, 1.0, 5.0])
# Of a row's error; what predicts TARGETS best; that among losses of every kind.
BY_HAND = {"half_mse": ([[4.5, 0.5], [0.0, 2.0]], 2.0, 7.0), "mae": ([[3, 1], [0, 2]], 1.0, 8.0)}


def test_every_metric_is_known_by_hand_and_to_the_config():
    assert (
        list(METRICS) == list(BY_HAND) == list(get_args(Select.model_fields["metric"].annotation))
    )


@pytest.mark.parametrize("name", BY_HAND)
def test_a_metric(name):
    metric, (row_losses, constant, value) = METRICS.make(name), BY_HAND[name]
    np.testing.assert_array_equal(metric.row_losses(ERRORS), row_losses)
    assert metric.best_constant(TARGETS) == constant
    assert metric.of(Losses(half_mse=7.0, mae=8.0)) == value


@pytest.mark.parametrize("name", BY_HAND)
def test_the_best_constant_has_the_smallest_mean(name):
    metric = METRICS.make(name)
    targets = np.random.default_rng(0).standard_exponential(101)
    best = metric.best_constant(targets)
    means = [metric.row_losses(best + change - targets).mean() for change in (-1e-3, 0.0, 1e-3)]
    assert means[1] == min(means)


def test_an_unknown_metric_is_refused():
    with pytest.raises(
        UsageError, match=r"select\.metric 'rmse': unknown; expected one of half_mse"
    ):
        METRICS.make("rmse")
