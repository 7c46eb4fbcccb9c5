"""A short training that is killed again and again, and one that finds no state of it."""

import sys

import pytest

from tests.faults.kills import Training, killed, most_twice

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")

EVERY_S, PACE_S, EPOCHS = 2.0, 0.02, 150  # of 3 s; the first state is kept after one


def test_a_training_that_is_killed_again_and_again_ends_with_the_same_bytes(tmp_path):
    how = {"n_rows": 100, "epochs": EPOCHS, "pace_s": PACE_S}
    whole = Training.made(tmp_path / "whole", **how)
    assert whole.begin().wait() == 0
    parts = Training.made(tmp_path / "parts", **how)
    found = killed(parts, EVERY_S, 30, from_first_row=True)
    assert found.has_ended
    assert found.n_kills > 0
    assert parts.results() == whole.results()
    assert 0 <= parts.n_rows - whole.n_rows <= most_twice(found)


def test_a_training_whose_state_is_not_found_never_ends(tmp_path):
    """The control: so many kills are enough for the one above."""
    parts = Training.made(tmp_path / "parts", n_rows=100, epochs=EPOCHS, pace_s=PACE_S, keeps=False)
    assert not killed(parts, EVERY_S, 4, from_first_row=True).has_ended
    assert parts.n_rows > 80 * EPOCHS
