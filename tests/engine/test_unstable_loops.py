"""Beyond the limit of stability the plain loop disagrees with itself, and the engine by no more."""

import numpy as np
import pytest

from tests.engine.test_passes import make_cells, train_all
from tests.oracles.reference import plain_sgd, relative_distance

STABLE, UNSTABLE = 0.3, 1.0
AXES = {"batch_size": [3], "learning_rate": [STABLE, UNSTABLE], "epochs": [1, 5, 10, 20, 40]}


def moved_by_one_rounding(train, X, y):
    """The weights of the plain loop, and how far they stray if every target moves by an ulp."""
    weights = plain_sgd(train, X, y, X, y).weights
    strays = []
    for seed in range(5):
        up = np.random.default_rng(seed).random(len(y)) < 0.5
        moved = np.nextafter(y, np.where(up, np.inf, -np.inf))
        strays.append(relative_distance(plain_sgd(train, X, moved, X, y).weights, weights))
    return weights, max(strays)


@pytest.mark.parametrize("huber_delta", [0.5, 1.0])
@pytest.mark.parametrize("seed", [3, 4])
def test_the_engine_is_as_near_to_the_loop_as_the_loop_to_itself(tmp_path, seed, huber_delta):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(75, 6))
    y = X @ rng.normal(size=6) + rng.normal(size=75)
    for name, array in {"Xtr": X, "ytr": y, "Xte": X[60:], "yte": y[60:]}.items():
        np.save(tmp_path / f"{name}.npy", array)
    cells = make_cells(AXES, loss="huber", huber_delta=huber_delta, order="shuffle_each_epoch")
    strays = {}
    for (number, _), outcome in train_all(tmp_path, cells).items():
        train = cells[number].train
        weights, stray = moved_by_one_rounding(train, X[:60], y[:60])
        strays[train.learning_rate, train.epochs] = stray
        assert relative_distance(outcome.weights, weights) <= 10 * stray
    assert max(stray for (rate, _), stray in strays.items() if rate == STABLE) < 1e-13
    assert strays[UNSTABLE, 40] > 1e-6
