"""A config's cells: which, in which order, and what differs between them."""

import itertools
from pathlib import Path

import pytest

from sgdlab.config.grid import NAMES, expand
from sgdlab.config.model import Config, Train
from sgdlab.config.reading import load_config

AGE = Path(__file__).parents[2] / "configs" / "age.yaml"


def grid_of(*grid, **train):
    usual = {"batch_size": 10, "learning_rate": 0.1, "epochs": 2}
    used = {name for axes in grid for name in [*axes, *axes.get("zip", {})]}
    fixed = {name: value for name, value in usual.items() if name not in used}
    config = {"data": {"path": "d"}, "train": fixed | train, "grid": grid}
    return expand(Config.model_validate(config))


def values(grid, *names):
    return [tuple(getattr(cell.train, name) for name in names) for cell in grid.cells]


def test_a_config_without_axes_is_one_cell():
    for grid in (grid_of(l2=0.5), grid_of({}, l2=0.5)):
        [cell] = grid.cells
        expected = Train(batch_size=10, learning_rate=0.1, epochs=2, l2=0.5)
        assert (cell.index, cell.name, cell.train) == (0, "0000", expected)
        assert (grid.axes, grid.n_duplicates) == ((), 0)


def test_a_product_runs_through_the_last_name_fastest_however_it_is_written():
    grid = grid_of({"l2": [0.0, 1.0], "loss": ["squared", "huber"], "batch_size": [5, 3]})
    assert values(grid, "batch_size", "l2", "loss") == list(
        itertools.product([5, 3], [0.0, 1.0], ["squared", "huber"])
    )
    assert grid.axes == ("batch_size", "l2", "loss")


def test_the_four_common_names_come_first():
    assert NAMES[:4] == ("batch_size", "learning_rate", "epochs", "l2")
    assert sorted(NAMES) == sorted(Train.model_fields)


def test_zipped_axes_go_together_and_slowest():
    pairs = {"learning_rate": [0.1, 0.2, 0.3], "l2": [3, 2, 1]}
    grid = grid_of({"batch_size": [5, 6], "zip": pairs})
    assert values(grid, "learning_rate", "l2", "batch_size") == [
        (0.1, 3, 5), (0.1, 3, 6), (0.2, 2, 5), (0.2, 2, 6), (0.3, 1, 5), (0.3, 1, 6),
    ]  # fmt: skip


def test_a_union_is_one_mapping_after_the_other():
    grid = grid_of({"l2": [1, 2]}, {"initial_bias": [7]}, {"l2": [0.5], "initial_bias": [8, 9]})
    assert values(grid, "l2", "initial_bias") == [(1, 0), (2, 0), (0, 7), (0.5, 8), (0.5, 9)]
    assert grid.axes == ("l2", "initial_bias")


@pytest.mark.parametrize(
    ("grid", "n_cells", "n_duplicates"),
    [
        ([{"l2": [0.1, 0.10, 1e-1, 0.2]}], 2, 2),
        ([{"l2": [0, 0.0, -0.0]}], 1, 2),
        ([{"l2": [1, 2]}, {"l2": [2, 3]}], 3, 1),
        ([{"l2": [0.0]}, {"initial_bias": [0.0]}, {}], 1, 2),  # defaults, written or not
        ([{"zip": {"l2": [1, 1], "initial_bias": [2, 2]}}], 1, 1),
    ],
)
def test_equal_points_are_kept_once(grid, n_cells, n_duplicates):
    found = grid_of(*grid)
    assert (len(found.cells), found.n_duplicates) == (n_cells, n_duplicates)
    assert [cell.index for cell in found.cells] == list(range(n_cells))


def test_only_what_differs_is_an_axis():
    grid = grid_of({"l2": [0.1, 0.2], "epochs": [5], "batch_size": [4, 4]})
    assert grid.axes == ("l2",)


def test_the_homework_has_256_cells_in_order():
    grid = expand(load_config(AGE))
    names = ("batch_size", "learning_rate", "epochs", "l2")
    expected = [
        (batch_size, learning_rate, epochs, l2)
        for batch_size in (160, 200, 400, 640)
        for learning_rate in (0.00000003, 0.000003, 0.00003, 0.003)
        for epochs in (16, 32, 48, 64)
        for l2 in (0.0000001, 0.00001, 0.001, 0.1)
    ]
    assert len(grid.cells) == 256
    assert values(grid, *names) == expected
    assert [cell.index for cell in grid.cells] == list(range(256))
    assert (grid.cells[7].name, grid.cells[255].name) == ("0007", "0255")
    assert (grid.axes, grid.n_duplicates) == (names, 0)
    assert {cell.train.train_bias for cell in grid.cells} == {False}
