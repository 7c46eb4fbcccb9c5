"""A few of the commands that ``python -m tests.signals`` interrupts."""

import sys

import pytest

from tests.signals.commands import COMMANDS, write_inputs
from tests.signals.judge import ORDERS_OF_SIGNALS, interrupt

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends signals")

TRIED = {
    "grid-search": "INT",  # in the midst of products that take seconds
    "gradient-noise, square": "TERM",
    "simulate-sampling, small": "INT INT",
    "xor-solve": "INT TERM",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("signals")
    write_inputs(folder, ["square"])
    return folder


@pytest.mark.parametrize("name", TRIED)
def test_a_command_that_takes_long_dies_of_a_signal_at_once(name, folder):
    signals = ORDERS_OF_SIGNALS[TRIED[name]]
    endings = [interrupt(COMMANDS[name], folder, after_s, signals) for after_s in (1.5, 3.0)]
    assert endings[0].took_s is not None, endings[0].err
    assert not [complaint for ending in endings for complaint in ending.complaints(signals)]
