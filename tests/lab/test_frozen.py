"""Weights after some epochs, and what gradients at them need."""

import numpy as np
import pytest

from sgdlab.config.model import Train
from sgdlab.data.rows import RowSet
from sgdlab.errors import DataError, NothingToSelectError, UsageError
from sgdlab.lab.gradient_noise.frozen import frozen
from sgdlab.lab.gradient_noise.measure import measure_gradient_noise
from sgdlab.lab.subject import open_subject
from sgdlab.observer import Observer
from tests.oracles.reference import plain_sgd


def frozen_at(config, epochs, *overrides):
    with (
        open_subject(config, overrides, None, Observer()) as subject,
        frozen(subject, epochs, Observer()) as gradients,
    ):
        return gradients.weights, gradients.parameters[-1], gradients.n_rows


def test_weights_are_those_after_some_epochs_of_plain_sgd(write_config, arrays):
    config = write_config(train={"l2": 0.1, "order": "shuffle_each_epoch"})
    weights, bias, n_rows = frozen_at(config, 2)
    train = Train(batch_size=10, learning_rate=0.05, epochs=2, l2=0.1, order="shuffle_each_epoch")
    X, y = arrays["Xtr"], arrays["ytr"]
    expected = plain_sgd(train, X[:104], y[:104], X[104:], y[104:])
    np.testing.assert_allclose(weights, expected.weights, rtol=1e-9)
    assert bias == pytest.approx(expected.bias)
    assert n_rows == 104
    weights, bias, _ = frozen_at(config, 0, "train.initial_weights=normal")
    assert weights.std() == pytest.approx(0.01, rel=0.5)  # initial_scale
    assert bias == 0


def test_a_schedule_is_that_of_the_whole_training(write_config, arrays):
    schedule = {"schedule": "cosine", "epochs": 5}
    weights, _, _ = frozen_at(write_config(train=schedule), 2)
    train = Train(batch_size=10, learning_rate=0.05, **schedule)
    X, y = arrays["Xtr"], arrays["ytr"]
    expected = plain_sgd(train, X[:104], y[:104], X[104:], y[104:], until=2)
    np.testing.assert_allclose(weights, expected.weights, rtol=1e-9)
    with pytest.raises(UsageError, match=r"^at_epoch=6: the cell's schedule ends after 5 epochs; "):
        frozen_at(write_config(train=schedule), 6)


def test_weights_that_are_not_there(write_config):
    with pytest.raises(NothingToSelectError) as caught:
        frozen_at(write_config(), 3, "train.learning_rate=1e6")
    assert str(caught.value) == (
        "cell 0000: diverged in epoch 1; expected weights to measure at "
        "(take a smaller learning rate, or at_epoch=0)"
    )
    with pytest.raises(DataError, match=r"Xtr.npy: 1 row to train; expected at least 2"):
        frozen_at(write_config(), 0, "data.validation.fraction=0.99")


def test_rows_are_read_again_only_if_they_do_not_fit_in_memory(write_config, monkeypatch):
    reads, read = [], RowSet.read
    monkeypatch.setattr(RowSet, "read", lambda rows, *piece: reads.append(0) or read(rows, *piece))

    def measured(*overrides):
        with (
            open_subject(write_config(), overrides, None, Observer()) as subject,
            frozen(subject, 1, Observer()) as gradients,
        ):
            reads.clear()
            return measure_gradient_noise(gradients, [4, 104], n_trials=5, seed=0)

    in_memory = measured()
    assert not reads
    assert measured("run.memory_budget=100B") == in_memory
    assert reads
