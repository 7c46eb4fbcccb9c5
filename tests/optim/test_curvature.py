"""The largest eigenvalue of rows, with and without the matrix of their products."""

import tracemalloc

import numpy as np
import pytest

from sgdlab.config.model import Data
from sgdlab.data.dataset import open_dataset
from sgdlab.errors import DataError
from sgdlab.optim import curvature
from sgdlab.optim.curvature import largest_eigenvalue_of_rows


def rows_of(X):
    y = np.zeros(len(X))
    validation = {"fraction": 0.2, "take": "tail"}
    with open_dataset(
        Data(validation=validation), {"Xtr": X, "ytr": y, "Xte": X[:2], "yte": y[:2]}
    ) as dataset:
        return dataset.training(np.float64)


def by_numpy(X, with_bias):
    inputs = np.column_stack([X, np.ones(len(X))]) if with_bias else X
    return np.linalg.eigvalsh(inputs.T @ inputs / len(X))[-1]


@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("mean", [0.0, 100.0])
@pytest.mark.parametrize("shape", [(10, 300), (50, 41), (40, 40), (300, 7)])
@pytest.mark.parametrize("is_small", [False, True])
def test_it_is_that_of_numpy(monkeypatch, shape, mean, with_bias, is_small):
    if not is_small:
        monkeypatch.setattr(curvature, "MAX_MATRIX_BYTES", 0)
    X = np.random.default_rng(1).standard_normal(shape) + mean
    rows = rows_of(X)
    expected = by_numpy(X[: rows.n_rows], with_bias)
    assert largest_eigenvalue_of_rows(rows, with_bias) == pytest.approx(expected, rel=1e-10)


def test_rows_in_several_chunks(monkeypatch):
    monkeypatch.setattr("sgdlab.data.rows.READ_BYTES", 8 * 300 * 3)
    X = np.random.default_rng(2).standard_normal((20, 300))
    rows = rows_of(X)
    assert len(list(rows.walk())) == 6
    assert largest_eigenvalue_of_rows(rows, True) == pytest.approx(by_numpy(X[:16], True))


@pytest.mark.parametrize("n_features", [3_000, 12_000])
def test_wide_rows_take_memory_of_their_own_size(n_features):
    rows = rows_of(np.random.default_rng(3).standard_normal((12, n_features)))
    tracemalloc.start()
    largest_eigenvalue_of_rows(rows, False)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * rows.n_bytes < 8 * n_features**2


@pytest.mark.parametrize("value", [1e-170, 1e170])
def test_squares_out_of_range_are_refused(value):
    with pytest.raises(DataError, match="squares do not fit float64"):
        largest_eigenvalue_of_rows(rows_of(np.full((5, 30), value)), True)
