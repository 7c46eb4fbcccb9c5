"""Products that are cut into pieces."""

import numpy as np
import pytest

from sgdlab.engine import products
from sgdlab.engine.products import empty_predictions, pieces, predictions

rng = np.random.default_rng(3)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n_trajectories", [1, 2, 5, 8, 9, 40])
@pytest.mark.parametrize("n_rows", [0, 1, 23])
@pytest.mark.parametrize("cached_bytes", [1, 500, 10**6])
def test_predictions_are_the_product(cached_bytes, n_rows, n_trajectories, dtype, monkeypatch):
    monkeypatch.setattr(products, "CACHED_BYTES", cached_bytes)
    weights = rng.standard_normal((n_trajectories, 7)).astype(dtype)
    rows = rng.standard_normal((n_rows, 7)).astype(dtype)
    found = predictions(weights, rows)
    assert found.dtype == dtype
    expected = weights.astype(np.float64) @ rows.astype(np.float64).T
    np.testing.assert_allclose(found, expected, rtol=0, atol=20 * np.finfo(dtype).eps)


@pytest.mark.parametrize(
    ("n_trajectories", "n_features", "dtype", "longest"),
    [
        (1, 1000, np.float64, 2000),  # of a single cell nothing is shared
        (2, 1000, np.float64, 98),  # 768 KiB
        (2, 1000, np.float32, 196),
        (8, 1000, np.float32, 125),  # a million multiply-adds
        (8, 10**7, np.float64, 1),
        (9, 1000, np.float64, 2000),
    ],
)
def test_pieces_of_few_trajectories_stay_in_the_cache(n_trajectories, n_features, dtype, longest):
    rows = np.broadcast_to(np.zeros((), dtype), (2000, n_features))
    found = list(pieces(n_trajectories, rows))
    assert found[0] == slice(0, longest)
    assert [each.start for each in found[1:]] == [each.stop for each in found[:-1]]
    assert found[-1].stop == 2000


def test_float32_predictions_of_many_trajectories_stand_row_by_row():
    assert empty_predictions(9, 5, np.float32).flags.f_contiguous
    assert empty_predictions(9, 5, np.float64).flags.c_contiguous
    assert empty_predictions(8, 5, np.float32).flags.c_contiguous
