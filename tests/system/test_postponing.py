"""Signals that wait until what is worked on can be put down."""

import os
import signal
import threading
import time

import pytest

from sgdlab.system import postponing
from sgdlab.system.postponing import Postponing


class HeardError(BaseException):
    pass


@pytest.fixture(params=[signal.SIGINT, signal.SIGTERM])
def number(request):
    """A signal, of which a handler hears that is put back afterwards."""

    def hear(number, frame):
        raise HeardError(number)

    before = {one: signal.signal(one, hear) for one in (signal.SIGINT, signal.SIGTERM)}
    yield request.param
    for one, handler in before.items():
        signal.signal(one, handler)


def sent(number):
    """A step that sends a signal to this process."""
    return lambda: os.kill(os.getpid(), number)


def heard_of(signals, *steps):
    """Work on some steps, of which the last are never made: how many are, and the signal."""
    done = []

    def work():
        with signals.active():
            for step in steps:
                step()
                done.append(step)

    with pytest.raises(HeardError) as caught:
        work()
    return len(done), caught.value.args[0]


def test_a_signal_waits_until_it_is_passed_on(number):
    signals, found = Postponing(), []
    steps = (sent(number), lambda: found.append(signals.is_asked_for), signals.pass_on, found.clear)
    assert heard_of(signals, signals.wait_from_now_on, *steps) == (3, number)
    assert found == [True]


def test_a_signal_does_not_wait_where_there_is_nothing_to_put_down(number):
    assert heard_of(Postponing(), sent(number), time.monotonic) == (0, number)


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_does_not_wait(number, second):
    signals = Postponing()
    steps = (signals.wait_from_now_on, sent(number), time.monotonic, sent(second), time.monotonic)
    assert heard_of(signals, *steps) == (3, second)


def test_a_signal_waits_no_longer_than_that(number, monkeypatch):
    monkeypatch.setattr(postponing, "LONGEST_S", 0.1)
    signals, start = Postponing(), time.monotonic()
    waiting = lambda: threading.Event().wait(20)  # noqa: E731 - as for a row that does not come
    assert heard_of(signals, signals.wait_from_now_on, sent(number), waiting) == (2, number)
    assert 0.1 <= time.monotonic() - start < 10


def test_putting_down_may_take_longer(number, monkeypatch):
    monkeypatch.setattr(postponing, "LONGEST_S", 0.05)
    signals = Postponing()
    putting_down = (signals.hold, lambda: time.sleep(0.3), signals.pass_on)
    steps = (signals.wait_from_now_on, sent(number), *putting_down)
    assert heard_of(signals, *steps) == (4, number)


def test_a_signal_that_still_waits_at_the_end_is_heard_of(number):
    signals = Postponing()
    steps = (signals.wait_from_now_on, sent(number), time.monotonic)
    assert heard_of(signals, *steps) == (3, number)


def test_afterwards_all_is_as_it_was(number):
    before = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    n_threads, signals = threading.active_count(), Postponing()
    for _ in range(3):
        with signals.active():
            signals.wait_from_now_on()
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == before
    assert threading.active_count() == n_threads
    with pytest.raises(HeardError):
        sent(number)()


def test_what_a_handler_does_about_signals_stays(number):
    """As that of the command line, which has the next one end the program at once."""

    def hear(number, frame):
        signal.signal(number, signal.SIG_IGN)
        raise HeardError(number)

    signal.signal(number, hear)
    signals = Postponing()
    steps = (signals.wait_from_now_on, sent(number), signals.pass_on)
    assert heard_of(signals, *steps) == (2, number)
    assert signal.getsignal(number) == signal.SIG_IGN


def test_on_other_threads_nothing_changes(number):
    found = []

    def work():
        with Postponing().active():
            found.append(signal.getsignal(number).__name__)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == ["hear"]
