"""Trainings in coordinates of the space that the rows span, against those in all columns."""

import numpy as np
import pytest

from sgdlab.config.model import Run, Train
from sgdlab.config.reading import load_config
from sgdlab.data.dataset import open_dataset
from sgdlab.lab.row_space import in_row_space
from sgdlab.lab.trainer import train_settings
from sgdlab.observer import Observer
from tests.conftest import make_arrays

TRAIN = Train(batch_size=3, learning_rate=1e-3, epochs=4, l2=0.01)
KINDS = {
    "held bias": ({}, TRAIN),
    "trained bias, standardized": (
        {"preprocess": "standardize"},
        TRAIN.model_copy(update={"train_bias": True, "initial_bias": 2.0}),
    ),
    "divided, random split": (
        {"divide_by": 7.0, "validation": {"fraction": 0.3, "take": "random", "seed": 5}},
        TRAIN.model_copy(update={"order": "with_replacement", "replicates": 3}),
    ),
}


def outcomes_of(train, dataset):
    [found] = train_settings([train], dataset, Run(threads=1), Observer())
    return found


def products_of(outcomes):
    """All lengths and distances follow from these."""
    weights = np.array([outcome.weights for outcome in outcomes])
    return weights @ weights.T


@pytest.fixture
def opened(write_config, data_dir):
    """Opens 130 rows of 400 columns with a config's data."""

    def opened(data):
        config = load_config(write_config("wide", data=data), ())
        return open_dataset(config.data, make_arrays(n_features=400))

    return opened


@pytest.mark.parametrize("kind", KINDS)
def test_losses_and_distances_are_those_in_all_columns(kind, opened):
    data, train = KINDS[kind]
    with opened(data) as dataset:
        small = in_row_space(dataset, train)
        whole, found = outcomes_of(train, dataset), outcomes_of(train, small)
    assert small.shape.n_features == small.shape.n_train == dataset.shape.n_train < 400
    for one, other in zip(whole, found, strict=True):
        for name in ("train_loss", "validation_loss", "validation_mae", "bias"):
            assert getattr(other, name) == pytest.approx(getattr(one, name), rel=1e-9)
    assert np.allclose(products_of(found), products_of(whole), rtol=1e-9)


@pytest.mark.parametrize("max_train", [7, 50])
def test_rows_that_are_left_out_span_nothing(max_train, opened):
    with opened({}) as dataset:
        limited = dataset.limited_to(max_train)
        small = in_row_space(limited, TRAIN)
        assert small.shape.n_train == small.shape.n_features == max_train
        assert small.shape.n_validation == dataset.shape.n_validation
        [one], [other] = outcomes_of(TRAIN, limited), outcomes_of(TRAIN, small)
    assert other.validation_loss == pytest.approx(one.validation_loss, rel=1e-9)


def test_what_would_gain_nothing_or_be_another_training_stays_as_it_is(opened, monkeypatch):
    elsewhere = TRAIN.model_copy(update={"initial_weights": "normal"})
    with opened({}) as dataset:
        assert in_row_space(dataset, elsewhere) is dataset
        n_bytes = dataset.training(np.float64).n_bytes
        monkeypatch.setattr("sgdlab.system.machine.memory_bytes", lambda: 20 * n_bytes - 1)
        assert in_row_space(dataset, TRAIN) is dataset
        monkeypatch.setattr("sgdlab.system.machine.memory_bytes", lambda: 20 * n_bytes)
        assert in_row_space(dataset, TRAIN) is not dataset
    with open_dataset(dataset.config, make_arrays(n_features=9)) as narrow:
        assert in_row_space(narrow, TRAIN) is narrow
