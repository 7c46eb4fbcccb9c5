"""What this machine has, and how its processes end."""

import contextlib
import os
import platform
import sys
from pathlib import Path
from typing import NoReturn


def memory_bytes() -> int:
    """The memory of this machine; 4 GB where it cannot be told."""
    with contextlib.suppress(AttributeError, ValueError, OSError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return 4 * 10**9


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
    with contextlib.suppress(AttributeError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


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
