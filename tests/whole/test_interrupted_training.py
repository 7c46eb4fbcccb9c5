"""Signals in the midst of a training, as a process gets them."""

import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from sgdlab.system import postponing
from tests.whole.test_cli_process import KEPT_SO_FAR

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends signals")

# The state is kept after the first epoch; an epoch further on takes as long as is said.
PROGRAM = """
import sys, time
from sgdlab.cli import app
from sgdlab.engine.running_block import RunningBlock
from sgdlab.search import keeping
from sgdlab.system import postponing

slow_s, write_s, longest_s, *arguments = sys.argv[1:]
original, epochs = RunningBlock.train, []
write = keeping.StateKeeper._write

def train(block, rows, targets):
    original(block, rows, targets)
    epochs.append(len(epochs))
    if len(epochs) > 3:
        print("slow", flush=True)
        end = time.monotonic() + float(slow_s)
        while time.monotonic() < end:
            time.sleep(0.01)

def slowly(*given):
    if len(epochs) > 3:
        print("writing", flush=True)
        time.sleep(float(write_s))
    write(*given)

RunningBlock.train = train
keeping.StateKeeper._write = slowly
keeping.MOST_SHARE = 1e9
postponing.LONGEST_S = float(longest_s)
sys.argv = ["sgdlab", *arguments]
app.main()
"""


@pytest.fixture
def begun(write_config, tmp_path):
    """A training whose fourth epoch takes some time, when that has begun."""
    path = write_config("long", train={"epochs": 256})

    def begin(slow_s, write_s=0.0, every_s=1e-9, longest_s=postponing.LONGEST_S):
        how = [str(slow_s), str(write_s), str(longest_s), "train", str(path), "-q"]
        keeping = ["-S", f"run.checkpoint_every_s={every_s}"]
        child = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *how, *keeping],
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert child.stdout.readline() == "slow\n"
        return child

    return begin


def ended(child, number):
    """The epoch that is said to be kept, and how long it took to end since the signal."""
    sent = time.monotonic()
    child.send_signal(number)
    _, err = child.communicate(timeout=60)
    elapsed_s = time.monotonic() - sent
    assert child.returncode == -number
    assert "Traceback" not in err
    (line,) = err.splitlines()
    found = re.fullmatch(rf"{KEPT_SO_FAR}epoch ([0-9]+) of 256 kept\)", line)
    assert found is not None, line
    return int(found[1]), elapsed_s


def kept_epoch(tmp_path):
    with np.load(next(tmp_path.glob("runs/*/state/checkpoint.npz"))) as file:
        return file["place"].tolist()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_end_of_a_chunk_is_waited_for(number, begun, tmp_path):
    epoch, _ = ended(begun(slow_s=0.3, every_s=1000), number)
    assert epoch == 4
    assert kept_epoch(tmp_path) == [4, 0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_last_state_is_what_is_kept_where_no_chunk_ends_in_time(number, begun, tmp_path):
    epoch, elapsed_s = ended(begun(slow_s=60), number)
    assert epoch == 3
    assert kept_epoch(tmp_path) == [3, 0]
    assert elapsed_s < 2


def test_writing_is_waited_for(begun, tmp_path):
    epoch, elapsed_s = ended(begun(slow_s=0.3, write_s=2.0, every_s=1000), signal.SIGINT)
    assert epoch == 4
    assert kept_epoch(tmp_path) == [4, 0]
    assert elapsed_s > 2


@pytest.mark.parametrize("where", ["chunk", "writing"])
def test_a_second_signal_leaves_at_once(where, begun, tmp_path):
    slow_s, write_s = (60, 0) if where == "chunk" else (0.3, 60)
    child = begun(slow_s, write_s, longest_s=60)
    child.send_signal(signal.SIGINT)
    if where == "chunk":
        time.sleep(0.2)
    else:
        while child.stdout.readline() != "writing\n":
            pass
    epoch, elapsed_s = ended(child, signal.SIGINT)
    assert epoch == 3
    assert elapsed_s < 2
    assert kept_epoch(tmp_path) == [3, 0]
