"""Optimizers alone: first steps by hand, and what freezing a trajectory does.

Whole trainings are compared with a plain loop in tests/engine.
"""

import numpy as np
import pytest

from sgdlab.config.model import Train
from sgdlab.errors import UsageError
from sgdlab.optim.updates import make_update

GRADIENT = np.array([[2.0, -4.0]])
START = np.array([[1.0, 1.0]])


def train(optimizer, **others):
    return Train(batch_size=1, learning_rate=0.1, epochs=1, optimizer=optimizer, **others)


def positions(optimizer, n_steps=3, learning_rate=0.1, **others):
    """The weights and the bias after each step down a constant slope."""
    update = make_update([train(optimizer, **others)], START)
    V, scale, bias, found = START.copy(), np.ones(1), np.array([1.0]), []
    for _ in range(n_steps):
        factor = update.begin(np.array([learning_rate]), 1, scale)
        update.move(V, scale, factor[:, None] * GRADIENT)
        update.move_bias(bias, np.array([2.0]))
        found.append([*(scale[:, None] * V)[0], bias[0]])
    return np.array(found)


def test_sgd_goes_straight_down():
    expected = [[0.8, 1.4, 0.8], [0.6, 1.8, 0.6], [0.4, 2.2, 0.4]]
    np.testing.assert_allclose(positions("sgd"), expected, rtol=1e-14)


def test_momentum_gains_speed():
    steps = 0.1 * np.array([1.0, 1.5, 1.75])  # of a slope of 1, with momentum 0.5
    travelled = np.cumsum(steps)[:, None] * [2.0, -4.0, 2.0]
    np.testing.assert_allclose(positions("momentum", momentum=0.5), 1 - travelled, rtol=1e-14)


def test_nesterov_looks_ahead():
    steps = 0.1 * (1 + 0.5 * np.array([1.0, 1.5, 1.75]))
    travelled = np.cumsum(steps)[:, None] * [2.0, -4.0, 2.0]
    np.testing.assert_allclose(positions("nesterov", momentum=0.5), 1 - travelled, rtol=1e-14)


def test_adam_takes_steps_of_the_learning_rate_down_a_constant_slope():
    travelled = 0.1 * np.arange(1, 4)[:, None] * [1.0, -1.0, 1.0]
    np.testing.assert_allclose(positions("adam"), 1 - travelled, rtol=1e-7)


def test_adam_without_memory_divides_by_the_gradients_size():
    found = positions("adam", 1, beta1=0.0, beta2=0.0, epsilon=2.0)[0]
    np.testing.assert_allclose(found, [1 - 0.1 * 2 / 4, 1 + 0.1 * 4 / 6, 1 - 0.1 * 2 / 4])


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "nesterov", "adam"])
def test_weight_decay_shrinks_the_weights_alone(optimizer):
    plain, decayed = positions(optimizer, 1), positions(optimizer, 1, weight_decay=2.0)
    np.testing.assert_allclose(plain - decayed, [[0.2, 0.2, 0.0]], atol=1e-14)


def test_l2_is_in_the_gradient_that_adam_normalises():
    plain, regularized = positions("adam", 1), positions("adam", 1, l2=0.5)
    np.testing.assert_allclose(plain, regularized, atol=1e-8)  # the signs are the same
    assert positions("adam", 1, l2=8.0)[0, 1] == pytest.approx(0.9, rel=1e-8)  # -4 + 8 > 0


@pytest.mark.parametrize("optimizer", ["momentum", "nesterov", "adam"])
def test_a_frozen_trajectory_is_forgotten(optimizer):
    update = make_update([train(optimizer), train(optimizer)], np.ones((2, 2)))
    V, scale, bias = np.ones((2, 2)), np.ones(2), np.ones(2)
    infinite = np.array([[1.0, 1.0], [np.inf, np.nan]])
    with np.errstate(invalid="ignore"):
        update.begin(np.array([0.1, 0.1]), 1, scale)
        update.move(V, scale, infinite)
        update.move_bias(bias, infinite[:, 0])
    V[1], bias[1] = 0.0, 0.0  # as the kernel does
    update.forget(np.array([False, True]))
    update.begin(np.array([0.1, 0.0]), 1, scale)
    update.move(V, scale, np.ones((2, 2)))
    update.move_bias(bias, np.ones(2))
    assert V[1].tolist() == [0.0, 0.0]
    assert bias[1] == 0.0
    assert (V[0] < 1).all()


def test_an_unknown_optimizer_is_refused():
    unknown = train("sgd").model_copy(update={"optimizer": "rmsprop"})
    with pytest.raises(UsageError, match=r"train.optimizer 'rmsprop': unknown; .* sgd, momentum"):
        make_update([unknown], START)
