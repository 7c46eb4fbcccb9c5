"""Long calls out of Python, for which Ctrl-C does not wait.

Python handles signals on its main thread, between two of its own instructions: a singular value
decomposition that takes a minute there would keep Ctrl-C waiting for as long.
"""

import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, TypeVar

Result = TypeVar("Result")

FEWEST_OPERATIONS = 2 * 10**8  # that take longer than starting a thread, by far
LOOKS_EVERY_S = 0.1  # where the system does not wake whoever waits for a signal, as Windows


def interruptibly(n_operations: float, call: Callable[[], Result]) -> Result:
    """What ``call`` gives, or raises; signals are handled meanwhile.

    A handler that raises leaves the call behind: it goes on, on a thread that does not keep the
    process from ending, and nobody sees what comes of it. So it must not change what others use.
    NumPy's error state holds inside, as every context variable does.

    Parameters
    ----------
    n_operations
        Of floating point, about. Few are done at once, and so are those of other threads than the
        main one, on which no signals are handled.
    """
    is_on_main = threading.current_thread() is threading.main_thread()
    if n_operations < FEWEST_OPERATIONS or not is_on_main:
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
        threading.Thread(target=work, name="sgdlab-interruptible", daemon=True).start()
    except RuntimeError:  # no room for another thread
        return call()
    while not is_done.wait(LOOKS_EVERY_S):
        pass
    if errors:
        raise errors.pop()
    return results.pop()


def product(left: Any, right: Any) -> Any:
    """``left @ right`` of two matrices, interruptibly."""
    return interruptibly(2 * left.size * right.shape[-1], lambda: left @ right)
