"""Parts of the engine alone, as a pass uses them."""

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def _any_size():
    """Arithmetic that leaves the range of floats is no error within a pass."""
    with np.errstate(all="ignore"):
        yield
