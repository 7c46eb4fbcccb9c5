"""What is said of targets that float32 can hardly tell from each other."""

import numpy as np
import pytest

from sgdlab.config.model import Data
from sgdlab.data.dataset import open_dataset
from sgdlab.data.rounded_targets import remarks_on_rounding
from tests.data.test_rows import save

NORMAL = np.random.default_rng(5).standard_normal(60)


def remarks(folder, y):
    X = np.ones((60, 2))
    save(folder, Xtr=X, ytr=y, Xte=X, yte=y)
    with open_dataset(Data(path=str(folder))) as dataset:
        return list(remarks_on_rounding(dataset))


@pytest.mark.parametrize(
    "y",
    [1e6 + 0.05 * NORMAL, 1.7e9 + 300 * NORMAL, -3e-7 + 1e-14 * NORMAL, np.full(60, 1e9) + NORMAL],
)
def test_it_is_said_how_far_rounding_moves_targets(y, tmp_path):
    [remark] = remarks(tmp_path, y)
    errors = np.array([float(np.float32(value)) - value for value in y])
    share = 100 * np.sqrt((errors**2).mean()) / np.sqrt(((y - y.mean()) ** 2).mean())
    assert f"ytr.npy: rounding to float32 moves the targets by {share:.2g} % of " in remark


@pytest.mark.parametrize(
    "y",
    [
        NORMAL,
        1e5 + NORMAL,
        np.full(60, 0.1),
        (1.7e9 + 300 * NORMAL).astype(np.float32),
        1e30 * NORMAL,
    ],
)
def test_nothing_is_said_of_targets_that_hardly_move(y, tmp_path):
    assert remarks(tmp_path, y) == []


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_search_says_it_of_float32_alone(precision, data_dir, write_config, sgdlab):
    np.save(data_dir / "ytr.npy", 1e7 + np.load(data_dir / "ytr.npy"))
    config = write_config("large", train={"precision": precision, "learning_rate": 1e-9})
    code, _, err = sgdlab("train", config)
    assert code == 0
    assert ("rounding to float32 moves the targets" in err) == (precision == "float32")
