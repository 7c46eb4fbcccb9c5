"""A grid search that tells the seconds and bytes read of every epoch; for other benchmarks.

    python -m tests.benchmarks.timed_search CONFIG [KEY=VALUE ...]

Between epochs the training file is dropped from the page cache, so that each reads the disk.
"""

import json
import os
import re
import sys
import time
from pathlib import Path

import sgdlab.cli.app  # noqa: F401 - what the program holds in memory is counted
from sgdlab import workflows
from sgdlab.config.reading import load_config
from sgdlab.observer import Observer


def main(config: str, *overrides: str) -> None:
    data = load_config(config, overrides).data
    clock = Clock(Path(data.path) / f"{data.prefix}Xtr.npy")
    options = workflows.SearchOptions(Path(config).parent / "runs", fresh=True)
    workflows.grid_search(config, overrides, options, clock)
    status = Path("/proc/self/status").read_text()
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024
    print(json.dumps({"epochs": clock.seconds, "bytes": clock.bytes, "peak": peak}))


class Clock(Observer):
    """Seconds of every epoch, and bytes that the process has read in it."""

    def __init__(self, path):
        self.seconds, self.bytes = [], []
        self._path = path

    def begin(self, progress):
        self._go_on()

    def advance(self, progress):
        self.seconds.append(time.perf_counter() - self._last)
        self.bytes.append(bytes_read() - self._read)
        self._go_on()

    def _go_on(self):
        drop_from_cache(self._path)
        self._read, self._last = bytes_read(), time.perf_counter()


def bytes_read():
    return int(re.search(r"rchar: (\d+)", Path("/proc/self/io").read_text())[1])


def drop_from_cache(path):
    """Have the next read of a file come from the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


if __name__ == "__main__":
    main(*sys.argv[1:])
