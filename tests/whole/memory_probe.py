"""How much more memory than before a grid search takes at its peak; Linux only.

    python -m tests.whole.memory_probe TINY_CONFIG CONFIG

The search on tiny arrays comes first, so that the interpreter, every module and the BLAS have what
they need. Prints bytes: the peak of the second search above what was held before it.
"""

import re
import sys
import tempfile
from pathlib import Path

from sgdlab import workflows


def main(tiny: str, config: str) -> None:
    with tempfile.TemporaryDirectory() as runs:
        workflows.grid_search(tiny, options=workflows.SearchOptions(runs))
        Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from now on
        before = memory("VmRSS")
        workflows.grid_search(config, options=workflows.SearchOptions(runs))
        print(memory("VmHWM") - before)


def memory(name: str) -> int:
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(rf"{name}:\s+(\d+) kB", status)[1])


if __name__ == "__main__":
    main(*sys.argv[1:])
