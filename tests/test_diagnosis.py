"""The constant predictor, paired differences, and the edge of the grid."""

import math

import numpy as np
import pytest

from sgdlab.config import Train
from sgdlab.diagnosis import (
    Difference,
    compared_with_constant,
    constant_prediction,
    on_the_edge,
    paired_difference,
)
from sgdlab.grid import Cell


def test_constant_minimises_the_metric():
    targets = np.array([0.0, 1.0, 8.0])
    assert constant_prediction("half_mse", targets) == 3.0
    assert constant_prediction("mae", targets) == 1.0


def test_paired_difference_of_half_squared_errors():
    errors, baseline = np.array([[1.0, 2.0, 3.0]]), np.array([2.0, 2.0, 1.0])
    found = paired_difference("half_mse", errors, baseline)
    # by row: (1 - 4)/2, 0, (9 - 1)/2
    assert found.mean == pytest.approx((-1.5 + 0 + 4) / 3)
    deviations = np.array([-1.5, 0.0, 4.0]) - found.mean
    assert found.standard_error == pytest.approx(math.sqrt(sum(deviations**2) / 2 / 3))


def test_replicates_are_averaged_before_rows_are_compared():
    errors = np.array([[1.0, 2.0], [3.0, 0.0]])
    found = paired_difference("mae", errors, np.array([1.0, 1.0]))
    # mean errors by row 2 and 1, differences 1 and 0
    assert found == Difference(pytest.approx(0.5), pytest.approx(0.5))


def test_pairing_removes_what_both_have_in_common():
    rng = np.random.default_rng(0)
    common = rng.standard_normal(1000) * 50
    found = paired_difference("mae", np.abs(common)[None] + 0.1, np.abs(common))
    assert found.mean == pytest.approx(0.1)
    assert found.standard_error < 1e-12


@pytest.mark.parametrize(
    ("mean", "standard_error", "word"),
    [(3.0, 1.0, "worse"), (-3.0, 1.0, "better"), (1.9, 1.0, "no clear difference")],
)
def test_nothing_is_called_better_or_worse_below_two_standard_errors(mean, standard_error, word):
    sentence = compared_with_constant("cell 0004", {"test": Difference(mean, standard_error)})
    assert sentence.startswith("cell 0004 minus the constant predictor")
    assert sentence.endswith(f"test {mean:+.2f} ±1.00 ({word})")


def test_edge_names_every_axis_at_whose_end_the_best_cell_lies():
    cells = [
        Cell(n, Train(batch_size=size, learning_rate=rate, epochs=5, l2=l2, loss=loss))
        for n, (size, rate, l2, loss) in enumerate(
            [(1, 0.1, 0.0, "squared"), (2, 0.2, 0.1, "huber"), (3, 0.3, 0.2, "absolute")]
        )
    ]
    axes = ("batch_size", "learning_rate", "l2", "loss")
    assert on_the_edge(cells[1], cells, axes) == []
    (sentence,) = on_the_edge(cells[0], cells, axes)
    assert "batch_size (smallest), learning_rate (smallest);" in sentence  # nothing below l2 = 0
    (sentence,) = on_the_edge(cells[2], cells, axes)
    assert "l2 (largest)" in sentence
    assert "loss" not in sentence
