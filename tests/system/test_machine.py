"""What is told of this machine and of this process."""

import os
import subprocess
import sys

import pytest

from sgdlab.system import machine


def test_memory_and_processors_are_positive():
    assert machine.memory_bytes() > 10**8
    assert 1 <= machine.n_processors() <= (os.cpu_count() or 1)
    assert machine.processor_name().isprintable()


def test_peak_memory_is_that_of_this_process_alone():
    """A new process that is started by a large one has held little."""
    program = "from sgdlab.system.machine import peak_memory_bytes as peak; a = peak()\n"
    program += "b = b'1' * 10**8; print(a, peak())"
    large = b"1" * 3 * 10**8
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    before, after = map(int, done.stdout.split())
    assert len(large) > before > 10**6
    assert after - before == pytest.approx(10**8, rel=0.1)
