"""Directions of optimizers by hand; trainings are compared with a plain loop in tests/engine."""

import numpy as np
import pytest

from sgdlab.words.optimizers import OPTIMIZERS, as_column

VALUES = {"momentum": 0.5, "beta1": 0.5, "beta2": 0.75, "epsilon": 1.0}
GRADIENTS = np.array([4.0, 2.0, -3.0])
# Three directions in turn: velocities 4, 2 + 2, -3 + 2; means 2, 2, -0.5 over 1 - 0.5**n, and
# squares 4, 4, 5.25 over 1 - 0.75**n.
BY_HAND = {
    "sgd": [4.0, 2.0, -3.0],
    "momentum": [4.0, 4.0, -1.0],
    "nesterov": [4.0 + 2.0, 2.0 + 2.0, -3.0 - 0.5],
    "adam": [
        4.0 / (4.0 + 1.0),
        (2.0 / 0.75) / ((4.0 / 0.4375) ** 0.5 + 1.0),
        (-0.5 / 0.875) / ((5.25 / 0.578125) ** 0.5 + 1.0),
    ],
}


def directions(optimizer, gradients):
    averages = {name: np.zeros_like(gradients[0]) for name in optimizer.averages}
    return [
        optimizer.direction(gradient.copy(), averages, n + 1).copy()
        for n, gradient in enumerate(gradients)
    ]


def test_every_optimizer_is_written_out_here():
    assert list(BY_HAND) == list(OPTIMIZERS)


@pytest.mark.parametrize("name", BY_HAND)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_directions_are_those_by_hand(name, dtype):
    gradients = [np.full((1, 2), value, dtype) for value in GRADIENTS]
    found = directions(OPTIMIZERS.make(name, VALUES.get), gradients)
    assert {each.dtype for each in found} == {np.dtype(dtype)}
    expected = np.repeat(BY_HAND[name], 2).reshape(3, 1, 2)
    np.testing.assert_allclose(found, expected, rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("name", BY_HAND)
def test_trajectories_of_a_stack_do_not_know_of_each_other(name):
    rng = np.random.default_rng(0)
    gradients = rng.standard_normal((3, 4, 5))
    own = {key: rng.uniform(0.1, 0.9, 4) for key in VALUES}
    together = directions(OPTIMIZERS.make(name, own.get), gradients)
    for n in range(4):
        alone = OPTIMIZERS.make(name, {key: values[n : n + 1] for key, values in own.items()}.get)
        expected = directions(alone, gradients[:, n : n + 1])
        assert [found[n].tobytes() for found in together] == [each.tobytes() for each in expected]


@pytest.mark.parametrize("name", BY_HAND)
def test_what_an_optimizer_says_of_itself_is_so(name):
    gradients = [np.full((1, 2), value) for value in GRADIENTS]
    found = np.array(directions(OPTIMIZERS.make(name, VALUES.get), gradients))
    assert OPTIMIZERS[name].is_plain == np.array_equal(found, gradients)
    assert OPTIMIZERS[name].is_plain == (not OPTIMIZERS[name].averages)


def test_a_number_a_trajectory_is_a_column_in_the_dtype_of_what_it_acts_on():
    like = np.zeros((2, 3), np.float32)
    assert as_column(np.array([1.0, 2.0]), like).tolist() == [[1.0], [2.0]]
    assert as_column(np.array([1.0, 2.0]), like).dtype == np.float32
    assert as_column(0.5, like).tolist() == [[0.5]]
