"""Tasks side by side."""

import threading
import time

import numpy as np
import pytest

from sgdlab.engine.crew import Crew


@pytest.mark.parametrize("n_threads", [1, 2, 5])
@pytest.mark.parametrize("n_tasks", [0, 1, 2, 30])
def test_every_task_is_done_once_and_in_the_end(n_threads, n_tasks):
    done = []
    with Crew(n_threads) as crew:
        for _ in range(3):
            crew.run([lambda n=n: done.append(n) for n in range(n_tasks)])
            assert sorted(done) == list(range(n_tasks))
            done.clear()


def test_a_crew_of_one_works_in_order_in_the_calling_thread():
    found = []
    with Crew(1) as crew:
        crew.run([lambda n=n: found.append((n, threading.current_thread())) for n in range(9)])
    assert found == [(n, threading.current_thread()) for n in range(9)]


def test_tasks_are_side_by_side():
    both = threading.Barrier(2, timeout=10)  # broken if nobody else comes
    found = []
    with Crew(2) as crew:
        crew.run([lambda: found.append((both.wait(), threading.current_thread()))] * 2)
    assert sorted(place for place, _ in found) == [0, 1]
    assert threading.current_thread() in {thread for _, thread in found}


def test_a_failure_waits_for_what_others_have_begun():
    both = threading.Barrier(2, timeout=10)
    done = []

    def fails():
        both.wait()
        raise ValueError("broken")

    def goes_on():
        both.wait()
        time.sleep(0.2)
        done.append(1)

    with Crew(2) as crew:
        with pytest.raises(ValueError, match="broken"):
            crew.run([fails, goes_on])
        assert done == [1]


def test_an_interruption_does_not_wait_for_what_others_have_begun():
    both, is_over = threading.Barrier(2, timeout=10), threading.Event()

    def interrupted():
        both.wait()
        raise KeyboardInterrupt

    def goes_on():
        both.wait()
        is_over.wait(10)

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt), Crew(2) as crew:
        # Whichever thread takes it: on the calling one a signal is raised, as here.
        crew.run([lambda: interrupted() if _is_here() else goes_on()] * 2)
    assert time.monotonic() - start < 8
    is_over.set()


def _is_here():
    return threading.current_thread() is threading.main_thread()


@pytest.mark.parametrize("failing", [0, 1])
def test_a_failure_is_raised_and_leaves_what_was_not_begun(failing):
    both = threading.Barrier(2, timeout=10)
    done = []

    def fails():
        both.wait()
        raise ValueError("broken")

    tasks = [fails, both.wait][:: -1 if failing else 1]
    with Crew(2) as crew:
        with pytest.raises(ValueError, match="broken"):
            crew.run([*tasks, *[lambda: done.append(1) or time.sleep(0.05)] * 50])
        assert len(done) < 10
        crew.run([lambda: done.clear()])
    assert done == []


@pytest.mark.parametrize("how", ["ignore", "raise", "warn"])
def test_helpers_take_floating_point_errors_as_the_calling_thread_does(how):
    both, found = threading.Barrier(2, timeout=10), []
    with Crew(2) as crew, np.errstate(over=how, invalid=how):
        for _ in range(2):
            crew.run([lambda: both.wait() * 0 or found.append(np.geterr()["over"])] * 2)
    assert found == [how] * 4
