"""What this machine has, and how its processes end."""

import contextlib
import os
import platform
import sys
from pathlib import Path
from typing import NoReturn

from sgdlab.system import limits

# For what nobody counts: modules that are read later, stacks, and the pools of threads.
RESERVE_BYTES = 256 * 10**6
RESERVED_SHARE = 4  # at most a fourth of what is free


def memory_bytes() -> int:
    """The memory of this machine, or what this process may have of it; 4 GB if nobody tells."""
    total = 4 * 10**9
    with contextlib.suppress(AttributeError, ValueError, OSError):
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(total, limits.memory_limit() or total)


def free_memory_bytes() -> int:
    """What this process may still take: of the machine, before it swaps, and within its limits.

    A little is kept back.
    """
    available, left = limits.memory_available(), limits.memory_left()
    found = [number for number in (available, left) if number is not None]
    free = min([memory_bytes(), *found])
    return free - min(RESERVE_BYTES, free // RESERVED_SHARE)


def peak_memory_bytes() -> int | None:
    """The most that this process has held in memory so far; None where it cannot be told."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        # Linux's getrusage would also count what the process held before it became this program.
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    with contextlib.suppress(ImportError):
        import resource  # Unix alone

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return None


def n_processors() -> int:
    """How many this process may use."""
    number = os.cpu_count() or 1
    with contextlib.suppress(AttributeError):
        number = len(os.sched_getaffinity(0))
    return min(number, limits.processor_limit() or number)


def processor_name() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def die_of_signal(number: int) -> NoReturn:
    """End as whoever sent a signal expects; Windows knows only exit codes."""
    if os.name != "nt":
        os.kill(os.getpid(), number)
    raise SystemExit(128 + number)
