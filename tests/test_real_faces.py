"""The homework's grid on real faces, where they are at hand.

They are looked for in the folder that SGDLAB_REAL_FACES names; the project does not ship them.
"""

import os
from pathlib import Path

import pytest

from sgdlab import workflows
from tests.conftest import PROJECT

FOLDER = Path(os.environ.get("SGDLAB_REAL_FACES", PROJECT.parent / "shared" / "real-faces"))


@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no real faces in {FOLDER}")
def test_the_homeworks_grid_on_real_faces(tmp_path):
    overrides = [f"data.path={FOLDER}", "data.divide_by=255"]
    options = workflows.SearchOptions(runs_dir=tmp_path)
    found = workflows.grid_search(PROJECT / "configs" / "age.yaml", overrides, options)
    assert not found.is_synthetic
    assert found.directory.name.startswith("age-")
    assert "synthetic" not in found.directory.name
    shape = found.shape
    assert (shape.n_train, shape.n_validation, shape.n_test) == (488, 123, 207)
    assert found.constant_losses["validation"].half_mse == pytest.approx(59.36, abs=0.005)
    assert found.constant_losses["test"].half_mse == pytest.approx(60.32, abs=0.005)
    assert found.differences["validation"].mean > 0
