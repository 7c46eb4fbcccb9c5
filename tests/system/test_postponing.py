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


def send(number):
    os.kill(os.getpid(), number)


def test_a_signal_waits_until_it_is_passed_on(number):
    done, signals = [], Postponing()
    with pytest.raises(HeardError) as caught, signals.active():
        signals.wait_from_now_on()
        send(number)
        done.append(signals.is_asked_for)
        signals.pass_on()
        done.append("never")
    assert (done, caught.value.args) == ([True], (number,))


def test_a_signal_does_not_wait_where_there_is_nothing_to_put_down(number):
    signals, done = Postponing(), []
    with pytest.raises(HeardError), signals.active():
        send(number)
        done.append("never")
    assert done == []


def test_a_second_signal_does_not_wait(number):
    for second in (signal.SIGINT, signal.SIGTERM):
        signals, done = Postponing(), []
        with pytest.raises(HeardError) as caught, signals.active():
            signals.wait_from_now_on()
            send(number)
            done.append("waits")
            send(second)
            done.append("never")
        assert (done, caught.value.args) == (["waits"], (second,))


def test_a_signal_waits_no_longer_than_that(number, monkeypatch):
    monkeypatch.setattr(postponing, "LONGEST_S", 0.1)
    signals, start = Postponing(), time.monotonic()
    with pytest.raises(HeardError), signals.active():
        signals.wait_from_now_on()
        send(number)
        threading.Event().wait(20)  # as for a row that does not come
    assert 0.1 <= time.monotonic() - start < 10


def test_putting_down_may_take_longer(number, monkeypatch):
    monkeypatch.setattr(postponing, "LONGEST_S", 0.05)
    signals, done = Postponing(), []
    with pytest.raises(HeardError), signals.active():
        signals.wait_from_now_on()
        send(number)
        signals.hold()
        time.sleep(0.3)
        done.append("put down")
        signals.pass_on()
    assert done == ["put down"]


def test_a_signal_that_still_waits_at_the_end_is_heard_of(number):
    signals, done = Postponing(), []
    with pytest.raises(HeardError), signals.active():
        signals.wait_from_now_on()
        send(number)
        done.append("all")
    assert done == ["all"]


def test_afterwards_all_is_as_it_was(number):
    before = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    n_threads, signals = threading.active_count(), Postponing()
    for _ in range(3):
        with signals.active():
            signals.wait_from_now_on()
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == before
    assert threading.active_count() == n_threads
    with pytest.raises(HeardError):
        send(number)


def test_what_a_handler_does_about_signals_stays(number):
    """As that of the command line, which has the next one end the program at once."""

    def hear(number, frame):
        signal.signal(number, signal.SIG_IGN)
        raise HeardError

    signal.signal(number, hear)
    signals = Postponing()
    with pytest.raises(HeardError), signals.active():
        signals.wait_from_now_on()
        send(number)
        signals.pass_on()
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
