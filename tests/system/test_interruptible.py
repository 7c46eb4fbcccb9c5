"""Long calls out of Python, and signals that come meanwhile."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from sgdlab.system import interruptible
from sgdlab.system.interruptible import FEWEST_OPERATIONS, interruptibly, product
from tests.system.test_files import needs_unix

MANY = FEWEST_OPERATIONS

# Each of them takes far longer than two seconds on any machine.
LONG_CALLS = {
    "eigenvectors": "spectrum_of_moments(moments_of(X + X.T + 1000 * np.eye(3000)), None)",
    "singular values": "decompose(X, X[:, 0].copy(), len(X), np.ones(X.shape[1]))",
    "factorisation": "triangle([(np.tile(X, (2, 3)), np.tile(X[:, 0], 2))])",
    "products of columns": "moments([(np.tile(X, (2, 3)), np.tile(X[:, 0], 2))] * 9)",
    "products of rows": "rotated(np.tile(X, (2, 3)))",
}
SETUP = """
import sys
import numpy as np
from sgdlab.cli.signals import raise_signalled
from sgdlab.lab.orders.problem import rotated
from sgdlab.optim.closed_form import spectrum_of_moments
from sgdlab.optim.decomposition import decompose
from sgdlab.optim.moments import Moments, moments
from sgdlab.optim.triangle import triangle
from sgdlab.system.blas import blas_threads
from sgdlab.system.machine import die_of_signal
import signal
signal.signal(signal.SIGINT, raise_signalled)
sys.excepthook = lambda kind, signalled, _: die_of_signal(signalled.number)

def moments_of(scatter):
    n = len(scatter)
    return Moments(2 * n, np.zeros(n), 0.0, scatter, np.ones(n), float(n))

X = np.random.default_rng(0).standard_normal((3000, 3000))
with blas_threads(1):
    print("begin", flush=True)
    """


def test_what_a_call_gives_or_raises_comes_back():
    assert interruptibly(MANY, lambda: 7) == interruptibly(0, lambda: 7) == 7
    for n_operations in (0, MANY):
        with pytest.raises(ZeroDivisionError):
            interruptibly(n_operations, lambda: 1 // 0)


def test_only_long_calls_of_the_main_thread_get_a_thread_of_their_own():
    here = threading.get_ident()
    assert interruptibly(MANY - 1, threading.get_ident) == here
    assert interruptibly(MANY, threading.get_ident) != here
    found = []

    def elsewhere():
        found.append(interruptibly(MANY, threading.get_ident) == threading.get_ident())

    other = threading.Thread(target=elsewhere)
    other.start()
    other.join()
    assert found == [True]


def test_a_call_goes_on_where_no_thread_can_be_started(monkeypatch):
    def refuse(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    monkeypatch.setattr(interruptible, "_idle", [])
    assert interruptibly(MANY, threading.get_ident) == threading.get_ident()


@needs_unix
def test_a_forked_process_has_threads_of_its_own():
    here = interruptibly(MANY, threading.get_native_id)
    child = os.fork()
    if child == 0:
        os._exit(interruptibly(MANY, threading.get_native_id) == here)
    assert os.waitpid(child, 0)[1] == 0
    assert interruptibly(MANY, threading.get_native_id) == here


@pytest.mark.parametrize("n_operations", [0, MANY])
def test_the_error_state_of_numpy_holds_inside(n_operations):
    def divide():
        return np.ones(2) / np.zeros(2)

    with np.errstate(divide="ignore"):
        assert np.isinf(interruptibly(n_operations, divide)).all()
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        interruptibly(n_operations, divide)


def test_products_are_those_of_numpy_to_the_bit():
    X = np.random.default_rng(0).standard_normal((700, 500))
    assert 2 * X.size * 500 > MANY
    assert np.array_equal(product(X.T, X), X.T @ X)
    assert np.array_equal(product(X[:3], X.T), X[:3] @ X.T)


@pytest.mark.skipif(sys.platform == "win32", reason="sends signals")
@pytest.mark.parametrize("call", LONG_CALLS.values(), ids=LONG_CALLS)
def test_a_signal_does_not_wait_for_a_long_call(call):
    child = subprocess.Popen(
        [sys.executable, "-c", f"{SETUP}{call}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "begin\n"
    time.sleep(1.0)
    assert child.poll() is None
    sent = time.monotonic()
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=120)
    assert time.monotonic() - sent < 2
    assert (child.returncode, err) == (-signal.SIGINT, "")
