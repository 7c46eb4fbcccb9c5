"""Batch size 1 against scikit-learn's SGDRegressor, which computes the same."""

import numpy as np
import pytest
from sklearn.linear_model import SGDRegressor

from sgdlab.config.grid import Cell
from sgdlab.config.model import Train
from tests.engine.test_passes import split, train_all
from tests.oracles.reference import relative_distance

DELTA = 0.8
SKLEARN_LOSSES = {
    "squared": {"loss": "squared_error"},
    "absolute": {"loss": "epsilon_insensitive", "epsilon": 0.0},
    "huber": {"loss": "huber", "epsilon": DELTA},
}


@pytest.mark.parametrize("window_rows", [None, 16])
@pytest.mark.parametrize("loss", SKLEARN_LOSSES)
@pytest.mark.parametrize("l2", [0.0, 0.02])
@pytest.mark.parametrize("train_bias", [True, False])
def test_single_rows_equal_scikit_learn(loss, l2, train_bias, window_rows, data_dir, arrays):
    trains = [
        Train(
            loss=loss,
            huber_delta=DELTA,
            order="in_order",
            batch_size=1,
            learning_rate=rate,
            epochs=epochs,
            l2=l2,
            train_bias=train_bias,
        )
        for rate in (0.001, 0.01)
        for epochs in (1, 6)
    ]
    cells = [Cell(n, train) for n, train in enumerate(trains)]
    outcomes = train_all(data_dir, cells, window_rows=window_rows)
    X, y, _, _ = split(arrays)
    for n, train in enumerate(trains):
        model = SGDRegressor(
            **SKLEARN_LOSSES[loss],
            penalty="l2",
            alpha=l2,
            learning_rate="constant",
            eta0=train.learning_rate,
            max_iter=train.epochs,
            fit_intercept=train_bias,
            shuffle=False,
            tol=None,
        ).fit(X, y)
        assert relative_distance(outcomes[n, 0].weights, model.coef_) < 1e-9
        assert np.isclose(outcomes[n, 0].bias, model.intercept_[0], rtol=1e-9, atol=1e-12)
