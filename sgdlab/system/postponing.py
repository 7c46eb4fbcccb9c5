"""Signals that wait a moment, until what is being worked on can be put down."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

LONGEST_S = 1.0  # that a signal waits; a second one does not


class Postponing:
    """SIGINT and SIGTERM, where a handler of Python's is to hear of them, wait for a good moment.

    Whoever works asks :attr:`is_asked_for` now and then, puts down what is to be kept, and calls
    :meth:`pass_on`, by which the handler hears of the signal. Where nobody does so in time, or a
    second signal comes, the handler hears of it wherever the program is. Signals are handled on the
    main thread alone; for others nothing waits here.
    """

    def __init__(self) -> None:
        self._handlers: dict[int, Callable[[int, FrameType | None], Any]] = {}
        self._number: int | None = None  # of the signal that waits
        self._waits = False
        self._is_heard = threading.Event()
        self._is_over = threading.Event()
        self._lock = threading.Lock()

    @contextmanager
    def active(self) -> Iterator[None]:
        """Have signals wait inside, once :meth:`wait_from_now_on` was called."""
        watcher = self._watch() if threading.current_thread() is threading.main_thread() else None
        try:
            yield
        except Exception:
            raise
        except BaseException:
            self._take()  # the program is being left already
            raise
        finally:
            self._give_back()
            if watcher is not None:
                self._is_over.set()
                self._is_heard.set()
                watcher.join()
            self.pass_on()

    def wait_from_now_on(self) -> None:
        """There is something to put down; as long as there is not, the handler hears at once."""
        self._waits = True

    @property
    def is_asked_for(self) -> bool:
        """Whether a signal waits."""
        return self._number is not None

    def hold(self) -> None:
        """Have a signal that waits do so for as long as putting down takes."""
        self._is_over.set()

    def pass_on(self) -> None:
        """Let the handler hear of a signal that waits; it raises, usually."""
        if (number := self._take()) is not None:
            signal.raise_signal(number)

    def _watch(self) -> threading.Thread:
        """Take the place of the handlers, with a thread that sends a signal again."""
        self._waits = False
        self._is_heard.clear()
        self._is_over.clear()
        # Begun before it is needed: a handler may have interrupted the beginning of a thread.
        watcher = threading.Thread(target=self._send_late, name="sgdlab-watcher", daemon=True)
        watcher.start()
        for number in (signal.SIGINT, signal.SIGTERM):
            handler = signal.getsignal(number)
            if callable(handler):
                self._handlers[number] = handler
                signal.signal(number, self._hear)
        return watcher

    def _hear(self, number: int, frame: FrameType | None) -> None:
        handler = self._handlers[number]
        self._give_back()
        if self._waits:
            self._number = number
            self._is_heard.set()
        else:
            handler(number, frame)

    def _give_back(self) -> None:
        """From now on the handlers hear at once, or those that have taken their places."""
        for number, handler in list(self._handlers.items()):
            if signal.getsignal(number) == self._hear:
                signal.signal(number, handler)

    def _send_late(self) -> None:
        """Send a signal once more: the handler hears of it wherever the main thread is."""
        self._is_heard.wait()
        if self._is_over.wait(LONGEST_S) or (number := self._take()) is None:
            return
        main = threading.main_thread().ident
        if hasattr(signal, "pthread_kill") and main is not None:
            signal.pthread_kill(main, number)  # wakes it, whatever it waits for
        else:
            signal.raise_signal(number)

    def _take(self) -> int | None:
        """The signal that waits, for whoever is the first to send it."""
        with self._lock:
            number, self._number = self._number, None
        return number
