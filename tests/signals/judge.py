"""Interrupts a command at some moment, and says what is wrong with how it ended."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

LONGEST_S = 2.0
PATIENCE_S = 60.0
ORDERS_OF_SIGNALS: dict[str, tuple[int, ...]] = {
    "INT": (signal.SIGINT,),
    "TERM": (signal.SIGTERM,),
    "INT INT": (signal.SIGINT, signal.SIGINT),
    "INT TERM": (signal.SIGINT, signal.SIGTERM),
}
APART_S = 0.002


@dataclass(frozen=True)
class Ending:
    """How a command ended after signals; ``took_s`` is None if it had ended before."""

    took_s: float | None
    code: int
    err: str

    def complaints(self, signals: Sequence[int]) -> Iterator[str]:
        if self.took_s is None:
            if self.code != 0:
                yield f"ended by itself with {self.code}: {self.err[-200:]}"
            return
        if self.took_s > LONGEST_S:
            yield f"was gone after {self.took_s:.1f} s"
        if -self.code not in signals:
            yield f"ended with {self.code}"
        others = [line for line in self.err.splitlines() if not line.startswith("sgdlab: ")]
        if others:
            yield f"printed {others[-1]!r}"


def interrupt(command: str, folder: Path, after_s: float, signals: Sequence[int]) -> Ending:
    """Send signals, milliseconds apart, to a command some time after it was given."""
    program = [sys.executable, "-m", "sgdlab", *command.split()]
    with subprocess.Popen(
        program, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as child:
        try:
            _, err = child.communicate(timeout=after_s)
            return Ending(None, child.returncode, err)
        except subprocess.TimeoutExpired:
            pass
        sent = time.monotonic()
        for number in signals:
            child.send_signal(number)
            time.sleep(APART_S)
        try:
            _, err = child.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            child.kill()
            _, err = child.communicate()
        return Ending(time.monotonic() - sent, child.returncode, err)
