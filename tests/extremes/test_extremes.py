"""A short part of ``python -m tests.extremes``, and that its judge sees what is wrong."""

from dataclasses import replace

import pytest

from sgdlab import workflows
from tests.extremes.__main__ import judged
from tests.extremes.configs import extreme
from tests.extremes.judge import judge_training
from tests.extremes.rows import rows_of

SEED, N_CONFIGS, TOGETHER = 1, 40, 8
BOLD = [322, 673]  # configs of the whole proof, with plain steps and a fixed bias
LEARNS = 14  # a config whose trainings come to something


@pytest.mark.parametrize("first", range(0, N_CONFIGS, TOGETHER))
def test_every_training_is_right_or_diverged(first):
    for number in range(first, first + TOGETHER):
        kinds, complaints = judged(SEED, number)
        assert complaints == []
        assert sum(kinds.values()) > 0


@pytest.mark.parametrize("number", BOLD)
def test_a_learning_rate_whose_powers_overflow_ends_no_other_cell(number):
    kinds, complaints = judged(0, number)
    assert complaints == []
    assert kinds["diverged"] > 0
    assert kinds["right"] > 0


def test_every_word_is_among_the_configs():
    trains = [extreme(SEED, number).config["train"] for number in range(N_CONFIGS)]
    counts = {"loss": 3, "optimizer": 4, "order": 5, "schedule": 5, "precision": 2}
    assert {key: len({train[key] for train in trains}) for key in counts} == counts


@pytest.fixture(scope="module")
def completed(tmp_path_factory):
    """A config with the trainings of it that completed."""
    config = extreme(SEED, LEARNS)
    options = workflows.SearchOptions(tmp_path_factory.mktemp("runs"))
    result = workflows.grid_search(config.config, (), options, arrays=config.arrays)
    cells = [cell for cell in result.results if cell.status == "completed"]
    return rows_of(config, None), [(cell.cell.train, cell.replicates[0]) for cell in cells]


def test_the_judge_sees_what_is_wrong(completed):
    rows, trainings = completed
    for train, found in trainings:
        assert judge_training(train, found, rows, None) == ("right", None)
        for name in ("train_loss", "validation_loss", "bias"):
            value = getattr(found, name)
            wrong = replace(found, **{name: value * (1 + 1e-6) if value else 1e-3})
            assert name in judge_training(train, wrong, rows, None)[1]
        ended = replace(found, status="diverged")
        assert "the loop in [None" in judge_training(train, ended, rows, None)[1]
