"""A block that is put down and taken up again, anywhere in its training."""

import io
from dataclasses import replace

import numpy as np
import pytest

from sgdlab.config.grid import Cell
from sgdlab.config.model import Run, Train
from sgdlab.data.shape import Shape
from sgdlab.engine.kernels import Place
from sgdlab.engine.running_block import RunningBlock
from sgdlab.planning.making import make_plan

rng = np.random.default_rng(3)
X, X_VALIDATION = rng.standard_normal((57, 6)), rng.standard_normal((11, 6))
W = rng.standard_normal(6)
Y, Y_VALIDATION = X @ W + rng.standard_normal(57), X_VALIDATION @ W


def make_block(window_rows=None, **settings):
    """Three trajectories: one with three stops, one, and one that diverges."""
    values = {"batch_size": 10, "learning_rate": 0.02, "train_bias": True, "order": "in_order"}
    trains = [
        Train(**values | settings | own)
        for own in (
            {"epochs": 2}, {"epochs": 5}, {"epochs": 7}, {"epochs": 7, "l2": 0.5},
            {"epochs": 7, "learning_rate": 1e9},
        )
    ]  # fmt: skip
    cells = [Cell(n, train) for n, train in enumerate(trains)]
    shape = Shape(len(X), len(X_VALIDATION), 1, X.shape[1])
    [block] = make_plan(cells, shape, Run(), threads=1).blocks
    return replace(block, window_rows=window_rows)


def put_down_and_taken_up(running, block, n_closed, place):
    """A new block with the state of another, which has been a file meanwhile."""
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **running.state())
    stream.seek(0)
    other = RunningBlock(block, X.shape[1], Y, keeps_products=True)
    with np.load(stream, allow_pickle=False) as state:
        other.restore(dict(state), n_closed, place)
    return other


def outcomes(block, is_put_down):
    """Everything that comes of a block; put down before each chunk where that is asked for."""
    running, found = RunningBlock(block, X.shape[1], Y, keeps_products=True), []
    if running.starts_from_rows:
        running.measure_start(X, Y)
    while not running.is_done:
        running.start_epoch(len(X))
        for start in range(0, len(X), 13):
            if is_put_down:
                place = Place(len(found), start, len(X))
                running = put_down_and_taken_up(running, block, len(found), place)
            running.train(X[start : start + 13], Y[start : start + 13])
        running.check_divergence()
        if running.validates_now:
            running.validate(X_VALIDATION, Y_VALIDATION)
        if running.stops_now:
            running.measure_training(X, Y)
        found.append(running.close_epoch())
        if is_put_down:
            place = Place(len(found) - 1, len(X), len(X))
            running = put_down_and_taken_up(running, block, len(found), place)
    return found


def flat(epochs):
    """Numbers of all epochs as bytes, which NaN does not hinder from being compared."""
    for epoch in epochs:
        yield epoch.running_loss.tobytes()
        for each in epoch.validated:
            yield each.epoch, each.members.tobytes(), each.half_mse.tobytes(), each.mae.tobytes()
        for each in epoch.outcomes:
            yield {
                name: value.tobytes() if isinstance(value, np.ndarray) else repr(value)
                for name, value in vars(each).items()
            }


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"window_rows": 20},
        {"window_rows": 250},
        {"window_rows": 20, "batch_size": 2, "schedule": "cosine"},
        {"optimizer": "adam", "initial_weights": "normal"},
        {"optimizer": "nesterov", "loss": "huber"},
    ],
    ids=str,
)
def test_a_block_that_is_put_down_before_every_chunk_comes_to_the_same_bits(settings):
    block = make_block(**settings)
    undisturbed, disturbed = (list(flat(outcomes(block, each))) for each in (False, True))
    assert disturbed == undisturbed
    statuses = [repr(each["status"]) for each in undisturbed if isinstance(each, dict)]
    assert len(statuses) == 5


def test_the_block_has_a_divergence():
    found = [each.status for epoch in outcomes(make_block(), False) for each in epoch.outcomes]
    assert sorted(found) == ["completed"] * 4 + ["diverged"]
