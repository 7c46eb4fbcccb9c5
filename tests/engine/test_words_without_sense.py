"""Words are anyone's: an order that is none, and a loss of the wrong shape, train nothing."""

import numpy as np
import pytest

from sgdlab.config.model import Train
from sgdlab.config.objects import loss_of_stack
from sgdlab.errors import UsageError
from sgdlab.words.losses import Squared
from sgdlab.words.orders import InOrder
from tests.engine.test_passes import make_cells, train_all

N_ROWS = 104

WRONG = {
    "half": (np.arange(N_ROWS // 2), r"gives positions of shape \(52,\)"),
    "twice": (np.arange(2 * N_ROWS) % N_ROWS, r"gives positions of shape \(208,\)"),
    "two axes": (np.arange(N_ROWS)[None], r"gives positions of shape \(1, 104\)"),
    "negative": (np.arange(N_ROWS) - 1, "gives positions from -1 to 102"),
    "beyond": (np.arange(N_ROWS) + 1, "gives positions from 1 to 104"),
    "floats": (np.arange(N_ROWS) / 1.0, "gives float64"),
    "truths": (np.ones(N_ROWS, dtype=bool), "gives bool"),
    "a list": (list(range(N_ROWS)), "gives list"),
    "nothing": (None, "gives NoneType"),
}


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("repeats", [True, False])
def test_what_is_no_order_of_the_rows_is_refused(kind, repeats, data_dir, monkeypatch):
    positions, found = WRONG[kind]
    wrong = type("Wrong", (InOrder,), {"repeats": repeats, "is_stored": False})
    first = positions if repeats else np.arange(N_ROWS)  # or from the second epoch on
    wrong.positions = lambda self, n_rows, epoch: positions if epoch else first
    monkeypatch.setattr("sgdlab.planning.plan.order_of", lambda train, replicate: wrong())
    cells = make_cells({"epochs": [2]}, batch_size=10, learning_rate=0.01)
    epoch = 1 if repeats else 2
    with pytest.raises(UsageError, match=rf"^train\.order in_order, epoch {epoch}: {found}; "):
        train_all(data_dir, cells)


@pytest.mark.parametrize("method", ["value", "derivative"])
@pytest.mark.parametrize("wrong", [np.mean, np.ravel, lambda residuals: residuals[..., :1, None]])
@pytest.mark.parametrize("put", [np.asarray, lambda numbers: numbers[:, None]])
def test_a_loss_of_another_shape_than_the_residuals_is_refused(method, wrong, put, monkeypatch):
    monkeypatch.setattr(Squared, method, lambda self, residuals: wrong(residuals))
    trains = [Train(batch_size=1, learning_rate=0.1, epochs=1)] * 3
    with pytest.raises(UsageError, match=r"^train\.loss squared: .* of shape "):
        loss_of_stack(trains, put)
