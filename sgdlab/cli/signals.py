"""SIGINT and SIGTERM: unwind, so that what is done is written, then die of the signal."""

import os
import re
import signal
import sys
import threading
from contextlib import suppress
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SENT_AGAIN_AFTER_S = 0.02  # by then whoever swallowed a signal has gone on

_sent_again: list[threading.Timer] = []


class Signalled(BaseException):
    """A signal arrived.

    Python and libraries in C swallow what is raised in a callback or while an object goes away. A
    signal that is lost in this way is sent again.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
        self.is_heeded = False

    def __del__(self) -> None:
        if not self.is_heeded:
            _send_again(self.number)


def handle_signals() -> None:
    """Raise Signalled on the main thread from now on, at the first signal."""
    sys.unraisablehook = _of_signals
    for number in SIGNALS:
        signal.signal(number, raise_signalled)


def end_of_signals() -> None:
    """Nothing is left that a lost signal could break off."""
    for again in _sent_again:
        again.cancel()


def raise_signalled(number: int, frame: FrameType | None) -> None:
    """Unwind once, so that the run's log is written; the next signal ends the program at once."""
    for handled in SIGNALS:
        signal.signal(handled, signal.SIG_DFL)
    raise Signalled(number)


def _send_again(number: int) -> None:
    """In a while, and handled as if it were the first."""
    with suppress(ValueError):  # elsewhere than on the main thread: then it ends the program
        signal.signal(number, raise_signalled)
    again = threading.Timer(SENT_AGAIN_AFTER_S, os.kill, (os.getpid(), number))
    again.daemon = True
    _sent_again.append(again)
    again.start()


def _of_signals(lost: "sys.UnraisableHookArgs") -> None:
    """Signals that cannot be raised: swallowed ones, and two that came at once."""
    if isinstance(lost.exc_value, Signalled):
        return  # it is sent again when it goes away
    # Python's words for a signal that came while the handler of another ended its own handling.
    if match := re.fullmatch(r"Signal (\d+) ignored due to race condition", str(lost.exc_value)):
        from sgdlab.system.machine import die_of_signal

        die_of_signal(int(match[1]))
    sys.__unraisablehook__(lost)
