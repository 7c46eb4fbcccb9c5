"""Validation losses of several epochs, measured together."""

import numpy as np

from sgdlab.engine.validation import Validation
from sgdlab.planning.memory import MOST_EPOCHS

RNG = np.random.default_rng(0)
ROWS, TARGETS = RNG.standard_normal((30, 5)), RNG.standard_normal(30)


def added(waiting, *members_of_epochs):
    """Weights and bias that were handed in after each epoch."""
    found = []
    for epoch, members in enumerate(members_of_epochs, start=1):
        found.append((RNG.standard_normal((3, 5)), RNG.standard_normal(3)))
        waiting.add(epoch, np.array(members), *found[-1])
    return found


def test_losses_of_every_epoch_are_those_of_its_own_weights():
    waiting = Validation(3, 5, np.float64)
    members = ([0, 1, 2], [0, 2], [1])
    models = added(waiting, *members)
    for rows in (slice(12), slice(12, 30)):
        waiting.measure(ROWS[rows], TARGETS[rows])
    for n, (each, (weights, bias)) in enumerate(zip(waiting.take(), models, strict=True)):
        assert each.epoch == n + 1
        assert each.members.tolist() == members[n]
        errors = weights[each.members] @ ROWS.T + bias[each.members, None] - TARGETS
        np.testing.assert_allclose(each.half_mse, np.mean(errors**2, axis=1) / 2, rtol=1e-13)
        np.testing.assert_allclose(each.mae, np.mean(np.abs(errors), axis=1), rtol=1e-13)


def test_so_many_epochs_wait_however_few_trajectories_are_left():
    waiting = Validation(3, 5, np.float64)
    found = []
    for epoch in range(1, 2 * MOST_EPOCHS + 1):
        waiting.add(epoch, np.array([1]), RNG.standard_normal((3, 5)), RNG.standard_normal(3))
        if waiting.is_full:
            found.append(epoch)
            list(waiting.take())
    assert found == [MOST_EPOCHS, 2 * MOST_EPOCHS]


def test_what_was_taken_waits_no_more():
    waiting = Validation(3, 5, np.float64)
    assert waiting.is_empty
    for _ in range(2):  # the second time in the room of the first
        models = added(waiting, *[[0, 1, 2]] * MOST_EPOCHS)
        assert waiting.is_full
        waiting.measure(ROWS, TARGETS)
        last = list(waiting.take())[-1]
        errors = models[-1][0] @ ROWS.T + models[-1][1][:, None] - TARGETS
        np.testing.assert_allclose(last.half_mse, np.mean(errors**2, axis=1) / 2, rtol=1e-13)
        assert waiting.is_empty
        assert not waiting.is_full


def test_weights_of_later_epochs_do_not_change_those_that_wait():
    waiting = Validation(3, 5, np.float64)
    weights, bias = np.zeros((3, 5)), np.zeros(3)
    waiting.add(1, np.arange(3), weights, bias)
    weights += 1.0
    bias += 1.0
    waiting.measure(ROWS, TARGETS)
    [first] = waiting.take()
    np.testing.assert_allclose(first.half_mse, np.mean(TARGETS**2) / 2, rtol=1e-13)


def test_without_rows_there_are_no_losses():
    waiting = Validation(3, 5, np.float64)
    added(waiting, [0, 1, 2])
    [first] = waiting.take()
    assert np.isnan([first.half_mse, first.mae]).all()


def test_predictions_that_overflow_are_losses_and_no_warning():
    waiting = Validation(1, 5, np.float64)
    waiting.add(1, np.arange(1), np.full((1, 5), 1e308), np.zeros(1))
    waiting.measure(np.full((2, 5), 1e10), np.zeros(2))
    [first] = waiting.take()
    assert first.half_mse == [np.inf]
