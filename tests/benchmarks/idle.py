"""Whether the machine was busy with something else while it was measured."""

import os
import time
from pathlib import Path

MAX_FOREIGN_CORES = 0.1


class BusyError(Exception):
    """Other processes used the processors, so the figures mean nothing."""


class Idle:
    """Context manager: raises BusyError if others used more than a tenth of a core inside it."""

    def __enter__(self):
        self._start = _measure()
        return self

    def __exit__(self, kind, error, traceback):
        if kind is None:
            elapsed, foreign = (
                now - then for now, then in zip(_measure(), self._start, strict=True)
            )
            cores = foreign / elapsed
            if cores > MAX_FOREIGN_CORES:
                raise BusyError(f"other processes used {cores:.2f} cores meanwhile")


def _measure():
    """Seconds passed, and seconds of processor time that others have used."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
    busy = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    own = os.times()
    return time.perf_counter(), busy - sum(own[:4])
