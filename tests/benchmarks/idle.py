"""Whether the machine was busy with something else while it was measured."""

import os
import time
from collections import defaultdict
from pathlib import Path

MAX_FOREIGN_CORES = 0.1


class BusyError(Exception):
    """Other processes used the processors, so the figures mean nothing."""


class Idle:
    """Context manager: raises BusyError if others used more than a tenth of a core inside it.

    Others are all processes but this one and its descendants.
    """

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
    busy = user + nice + system + irq + softirq + steal
    return time.perf_counter(), (busy - _own_ticks()) / os.sysconf("SC_CLK_TCK")


def _own_ticks():
    """Of this process, its living descendants, and the ended ones that were waited for."""
    ticks, children = {}, defaultdict(list)
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # ended meanwhile
            continue
        process = int(path.parent.name)
        children[int(fields[1])].append(process)
        ticks[process] = sum(map(int, fields[11:15]))
    total, waiting = 0, [os.getpid()]
    while waiting:
        process = waiting.pop()
        total += ticks[process]
        waiting += children[process]
    return total
