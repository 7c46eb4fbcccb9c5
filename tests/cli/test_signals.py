"""Signals that are swallowed on their way, and two at once."""

import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends signals")

SETUP = """
import ctypes, os, signal, sys, time
from sgdlab.cli import app

def interrupted(number=signal.SIGINT):
    os.kill(os.getpid(), number)
    for _ in range(100):
        pass

def goes_on():
    swallow()
    print("goes on", flush=True)
    time.sleep(20)

class Going:
    def __del__(self):
        interrupted()

def by_hand():
    try:
        interrupted(signal.SIGTERM)
    except BaseException:
        pass
"""
RUN = """
app.app = lambda **_: goes_on()
app.main()
"""
SWALLOWING = {
    "an object that goes away": ("swallow = lambda: Going() and None", signal.SIGINT),
    "a callback of C": ("swallow = ctypes.CFUNCTYPE(None)(interrupted)", signal.SIGINT),
    "whoever catches all": ("swallow = by_hand", signal.SIGTERM),
}


@pytest.mark.parametrize("kind", SWALLOWING)
def test_a_signal_that_is_swallowed_comes_again(kind):
    swallow, number = SWALLOWING[kind]
    done = subprocess.run(
        [sys.executable, "-c", f"{SETUP}\n{swallow}\n{RUN}"],
        capture_output=True,
        text=True,
        timeout=15,
    )
    assert done.returncode == -number
    assert done.stderr == "sgdlab: interrupted\n"


def test_a_failure_on_the_way_is_what_a_command_ends_with():
    """Its exit code is not overtaken by the signal that was being handled."""
    fails = """
from sgdlab.errors import StorageError
def swallow():
    try:
        interrupted()
    finally:
        raise StorageError("a disk", "full", "space")
"""
    done = subprocess.run(
        [sys.executable, "-c", f"{SETUP}{fails}{RUN}"], capture_output=True, text=True, timeout=15
    )
    assert (done.returncode, done.stderr) == (4, "sgdlab: error: a disk: full; expected space\n")
