"""Long calls out of Python, for which Ctrl-C does not wait.

Python handles signals on its main thread, between two of its own instructions: a singular value
decomposition that takes a minute there would keep Ctrl-C waiting for as long.
"""

import os
import threading
from collections.abc import Callable
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any, TypeVar

Result = TypeVar("Result")

FEWEST_OPERATIONS = 2 * 10**8  # that take longer than starting a thread, by far
LOOKS_EVERY_S = 0.1  # where the system does not wake whoever waits for a signal, as Windows


def interruptibly(
    n_operations: float, call: Callable[[], Result], fewest: float = FEWEST_OPERATIONS
) -> Result:
    """What ``call`` gives, or raises; signals are handled meanwhile.

    A handler that raises leaves the call behind: it goes on, on a thread that does not keep the
    process from ending, and nobody sees what comes of it. So it must not change what others use.
    NumPy's error state holds inside, as every context variable does.

    Parameters
    ----------
    n_operations
        Of floating point, about. Fewer than ``fewest`` are done at once, and so are those of other
        threads than the main one, on which no signals are handled.
    """
    is_on_main = threading.current_thread() is threading.main_thread()
    if n_operations < fewest or not is_on_main:
        return call()
    results: list[Result] = []
    errors: list[BaseException] = []
    is_done = threading.Event()
    context = copy_context()

    def work() -> None:
        try:
            results.append(context.run(call))
        except BaseException as error:
            errors.append(error)
        finally:
            is_done.set()

    try:
        helper = _idle.pop() if _idle else _Helper()
    except RuntimeError:  # no room for another thread
        return call()
    try:
        helper.do(work)
        while not is_done.wait(LOOKS_EVERY_S):
            pass
    except BaseException:
        helper.do(None)
        raise
    _idle.append(helper)
    if errors:
        raise errors.pop()
    return results.pop()


class _Helper:
    """A thread that does one call after the other.

    A new one for every call would begin with empty caches, and BLAS with buffers of its own.
    """

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        threading.Thread(target=self._work, name="sgdlab-interruptible", daemon=True).start()

    def do(self, call: Callable[[], None] | None) -> None:
        """Have something done after what is being done; None ends the thread."""
        self._calls.put(call)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
            del call  # and what it holds


_idle: list[_Helper] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # a forked process has none of the threads


def product(left: Any, right: Any) -> Any:
    """``left @ right`` of two matrices, interruptibly."""
    return interruptibly(2 * left.size * right.shape[-1], lambda: left @ right)
