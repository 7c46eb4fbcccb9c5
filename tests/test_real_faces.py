"""The homework's grid, and closed forms, on real faces, where they are at hand.

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


CLOSED_FORMS = [
    # preprocess, bias, l2; half mean squared errors of training, validation and test
    ("none", "none", 0.0, (0.0, 190.99, 187.18)),
    ("center", "free", 0.0, (0.0, 92.06, 128.04)),
    ("none", "free", 0.0, (0.0, 92.06, 128.04)),  # a free bias centres
    ("center", "free", 0.205, (36.93, 55.48, 60.79)),
]


@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no real faces in {FOLDER}")
@pytest.mark.parametrize(("preprocess", "bias", "l2", "losses"), CLOSED_FORMS)
def test_closed_forms_on_real_faces(preprocess, bias, l2, losses):
    overrides = [f"data.path={FOLDER}", "data.divide_by=255", f"data.preprocess={preprocess}"]
    config = PROJECT / "configs" / "age-train.yaml"
    found = workflows.solve(config, overrides, bias=bias, l2=[l2]).result
    fit, constant = found.best, found.baseline.losses
    measured = [each.half_mse for each in (fit.training, fit.validation, fit.test)]
    assert measured == pytest.approx(losses, abs=0.005)
    assert constant["validation"].half_mse == pytest.approx(59.36, abs=0.005)
    assert constant["test"].half_mse == pytest.approx(60.32, abs=0.005)
    eigenvalue, tolerance = {"none": (609, 0.5), "center": (24.5, 0.05)}[preprocess]
    assert found.factors.largest_eigenvalue == pytest.approx(eigenvalue, abs=tolerance)
