"""The shipped configs on the stand-in: the homework's finding, and a model that is good."""

import pytest

from sgdlab import workflows
from sgdlab.config.grid import expand
from sgdlab.config.reading import load_config
from tests.benchmarks import homework
from tests.benchmarks.quality import best_ridge


@pytest.fixture
def search(age_project, monkeypatch):
    monkeypatch.chdir(age_project)
    return lambda name: workflows.grid_search(f"configs/{name}.yaml")


def test_the_homeworks_grid_finds_the_homeworks_winner_which_is_not_better_than_the_mean(search):
    found = search("age")
    best = found.best.cell.train
    assert (best.batch_size, best.learning_rate, best.epochs, best.l2) == (160, 3e-3, 64, 1e-7)
    validation = found.best.mean("validation_loss")
    assert 112 < validation < 126
    assert validation > found.constant_losses["validation"].half_mse
    assert 105 < found.constant_losses["test"].half_mse < 116
    assert found.is_synthetic
    assert all(result.status == "completed" for result in found.results)
    for axis in ("batch_size (smallest)", "learning_rate (largest)", "epochs (largest)"):
        assert axis in found.findings[1]


def test_the_grid_is_the_homeworks(search):
    cells = expand(load_config("configs/age.yaml")).cells
    settings = [
        (cell.train.batch_size, cell.train.epochs, cell.train.learning_rate, cell.train.l2)
        for cell in cells
    ]
    assert sorted(settings) == sorted(homework.GRID)
    assert {(each.train.initial_bias, each.train.train_bias) for each in cells} == {(0.1, False)}


def test_age_train_is_the_winning_cell(search):
    (cell,) = expand(load_config("configs/age-train.yaml")).cells
    assert cell.train == search("age").best.cell.train


def test_the_engine_agrees_with_the_homeworks_own_loop(search):
    """One cell of the grid, by the script that this project began with."""
    from sgdlab.data.dataset import open_dataset
    from sgdlab.words.orders import ShuffleOnce

    found = search("age")
    with open_dataset(found.config.data) as dataset:
        order = ShuffleOnce().positions(3200, 0)
        ((X, y),) = dataset.training("float64", order).chunks(3200)
        ((X_validation, y_validation),) = dataset.validation("float64").chunks(800)
    setting = (200, 16, 3e-3, 1e-3)
    loss, _ = homework.grid_search(X, y, X_validation, y_validation, [setting])
    names = ("batch_size", "epochs", "learning_rate", "l2")
    (result,) = (
        each
        for each in found.results
        if tuple(getattr(each.cell.train, name) for name in names) == setting
    )
    assert result.mean("validation_loss") == pytest.approx(loss, abs=5e-5)  # rounded to 4 digits


def test_the_tuned_grid_reaches_the_best_ridge_within_two_percent(search):
    found = search("age-tuned")
    assert len(found.results) <= 256
    _, _, ridge = best_ridge("configs/age-tuned.yaml")
    test = found.test_losses[found.best.cell.index].half_mse
    assert test < 1.02 * ridge
    assert test < 0.7 * found.constant_losses["test"].half_mse
