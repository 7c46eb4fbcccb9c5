"""Runs tasks side by side."""

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import copy_context
from typing import Any, Self

Task = Callable[[], Any]


class Crew:
    """The calling thread and helpers, who all take tasks from one queue.

    The calling thread does not wait for a helper to wake up, which takes as long as a small batch.
    Helpers take numpy's floating-point errors as the calling thread does.
    """

    def __init__(self, n_threads: int) -> None:
        self._n_helpers = n_threads - 1
        self._pool = ThreadPoolExecutor(max(1, self._n_helpers), "sgdlab-helper")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        is_interrupted = kind is not None and not issubclass(kind, Exception | GeneratorExit)
        self._pool.shutdown(wait=not is_interrupted, cancel_futures=True)

    def run(self, tasks: Iterable[Task]) -> None:
        """Do all tasks, begun in their order; if one fails, those not begun are left.

        An interruption does not wait for helpers: they end what they have begun, and nobody looks
        at it any more.
        """
        waiting = deque(tasks)
        n_helpers = min(self._n_helpers, len(waiting) - 1)
        contexts = [copy_context() for _ in range(n_helpers)]
        helpers = [self._pool.submit(context.run, _take_from, waiting) for context in contexts]
        try:
            _take_from(waiting)
        except Exception:
            wait(helpers)
            raise
        wait(helpers)
        for helper in helpers:
            helper.result()


def _take_from(waiting: deque[Task]) -> None:
    try:
        while waiting:
            try:
                task = waiting.popleft()
            except IndexError:  # another thread has just taken the last one
                return
            task()
    except BaseException:
        waiting.clear()
        raise
