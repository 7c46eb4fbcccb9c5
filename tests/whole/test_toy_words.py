"""Words that are added from outside, each by one class, are trained as exactly as those inside."""

import re
import subprocess
import sys

import pytest

from sgdlab.words.losses import LOSSES, Squared
from tests.conftest import PROJECT


def test_a_grid_of_toy_words_equals_the_plain_loop(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "tests.whole.toy_words", tmp_path],
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    n_cells, worst = re.fullmatch(r"(\d+) cells, (\S+) from .*\n", done.stdout).groups()
    assert int(n_cells) == 2**6 * 3
    assert float(worst) < 1e-9


def test_a_word_that_comes_too_late_or_twice_is_refused():
    with pytest.raises(ValueError, match="squared': is there already"):
        LOSSES.add(Squared)

    class Late(Squared):
        name = "late"

    with pytest.raises(ValueError, match="late': added after"):
        LOSSES.add(Late)
    assert "late" not in LOSSES
