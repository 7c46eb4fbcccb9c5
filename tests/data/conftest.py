"""A place for stand-in arrays, and small ones in place of faces."""

import numpy as np
import pytest

from sgdlab.data import stand_in


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "faces" / "new"


@pytest.fixture
def generated(monkeypatch):
    """Tiny arrays in place of faces; gives the arguments of every call."""
    calls = []

    def generate(seed, n_train, n_test):
        calls.append((seed, n_train, n_test))
        rng = np.random.default_rng(seed)
        X, y = rng.standard_normal((12, 4)).astype(np.float32), rng.standard_normal(12)
        return X[:8], y[:8], X[8:], y[8:]

    monkeypatch.setattr(stand_in, "generate_faces", generate)
    return calls
