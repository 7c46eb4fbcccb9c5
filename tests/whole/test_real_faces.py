"""The homework's grid, and closed forms, on real faces, where they are at hand.

They are looked for in the folder that SGDLAB_REAL_FACES names; the project does not ship them.
"""

import os
from pathlib import Path

import pytest

from sgdlab import workflows
from tests.conftest import PROJECT

FOLDER = Path(os.environ.get("SGDLAB_REAL_FACES", PROJECT.parent / "shared" / "real-faces"))


OVERRIDES = [f"data.path={FOLDER}", "data.divide_by=255"]
AGE_TRAIN = PROJECT / "configs" / "age-train.yaml"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no real faces in {FOLDER}")


def test_the_homeworks_grid_on_real_faces(tmp_path):
    options = workflows.SearchOptions(runs_dir=tmp_path)
    found = workflows.grid_search(PROJECT / "configs" / "age.yaml", OVERRIDES, options)
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


@pytest.mark.parametrize(("preprocess", "bias", "l2", "losses"), CLOSED_FORMS)
def test_closed_forms_on_real_faces(preprocess, bias, l2, losses):
    overrides = [*OVERRIDES, f"data.preprocess={preprocess}"]
    found = workflows.solve(AGE_TRAIN, overrides, bias=bias, l2=[l2]).result
    fit, constant = found.best, found.baseline.losses
    measured = [each.half_mse for each in (fit.training, fit.validation, fit.test)]
    assert measured == pytest.approx(losses, abs=0.005)
    assert constant["validation"].half_mse == pytest.approx(59.36, abs=0.005)
    assert constant["test"].half_mse == pytest.approx(60.32, abs=0.005)
    eigenvalue, tolerance = {"none": (609, 0.5), "center": (24.5, 0.05)}[preprocess]
    assert found.factors.largest_eigenvalue == pytest.approx(eigenvalue, abs=tolerance)


def test_the_budget_decides_how_the_learning_rate_scales():
    options = workflows.ScalingOptions(factors=(1, 8), replicates=30)
    result = workflows.scaling_rule(AGE_TRAIN, OVERRIDES, options=options).result
    assert result.base.eigenvalue == pytest.approx(609, abs=1)
    found = {
        (budget, rule): result.verdicts(budget, rule)[8]
        for budget in ("epochs", "steps")
        for rule in ("x k", "x sqrt k", "x 1")
    }
    assert set(found.values()) == {"fails"}
    laws = {(each.budget, each.rule): each.against_one for each in result.scaled}
    shifts = {key: law.shift.value for key, law in laws.items()}
    assert 0.2 < shifts["epochs", "x k"] < 0.5 < 20 < shifts["epochs", "x sqrt k"]
    assert laws["steps", "x 1"].shift.high < 0.15
    gaps = {(each.budget, each.rule): each.difference.value for each in result.scaled}
    assert abs(gaps["epochs", "x k"]) < 1 < gaps["epochs", "x sqrt k"] < gaps["epochs", "x 1"]
    assert gaps["steps", "x k"] < gaps["steps", "x sqrt k"] < -1
    assert abs(gaps["steps", "x 1"]) < 0.1


def test_noise_floors_by_order():
    options = workflows.OrdersOptions(replicates=3)
    result = workflows.orders(AGE_TRAIN, OVERRIDES, options=options).result
    slopes = {each.order: each.slope for each in result.slopes}
    assert slopes["with_replacement"].value == pytest.approx(1, abs=0.3)
    assert slopes["shuffle_once"].value > 1.5
    assert slopes["shuffle_each_epoch"].value > 1.5
