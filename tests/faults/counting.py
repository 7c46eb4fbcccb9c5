"""The command line in a process that counts the rows it trains, where a kill leaves the count.

``python -m tests.faults.counting FILE PACE_S KEEPS ARGUMENTS...``: the number of rows stands in the
first eight bytes of a file, to which it is added. A chunk takes at least the time given; without
KEEPS no state of a training is ever found again.
"""

import mmap
import sys
import time
from pathlib import Path

from sgdlab.cli import app
from sgdlab.engine.running_block import RunningBlock
from sgdlab.runs.checkpoints import CheckpointFile


def rows_in(file: Path) -> int:
    return int.from_bytes(file.read_bytes()[:8], "little")


def main() -> None:
    file, pace_s, keeps, *arguments = sys.argv[1:]
    with open(file, "r+b") as stream:
        counter = mmap.mmap(stream.fileno(), 8)
    original = RunningBlock.train

    def train(block, rows, targets):
        original(block, rows, targets)
        time.sleep(float(pace_s))
        counter[:] = (int.from_bytes(counter[:], "little") + len(rows)).to_bytes(8, "little")

    RunningBlock.train = train
    if keeps == "no":
        CheckpointFile.read = lambda *given: None
    sys.argv = ["sgdlab", *arguments]
    app.main()


if __name__ == "__main__":
    main()
