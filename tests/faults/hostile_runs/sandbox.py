"""Where hostile runs stand, and what a process that is given commands there does."""

import contextlib
import json
import os
import resource
import select
import shutil
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sgdlab.system.machine import peak_memory_bytes
from tests.flipped_bits import Kind, answer

LONGEST_S = 60.0  # then a process is taken to hang
MOST_BYTES = 10**9  # of data, beyond what a process starts with


@dataclass(frozen=True)
class Given:
    """A command, and what came of it."""

    command: tuple[str, ...]
    code: int
    out: str
    err: str
    processor_s: float


@dataclass(frozen=True)
class Outcome:
    """What a process did that was given some commands.

    Attributes
    ----------
    end
        Empty, or how it ended before it had done its work.
    """

    given: tuple[Given, ...]
    end: str
    peak_bytes: int
    base_bytes: int


class Sandbox:
    """A folder with a run, its neighbours, and files that are none of its business."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runs, self.outside = folder / "runs", folder / "outside"

    def prepare(self, kind: Kind) -> Path:
        """Put a pristine run in, and give its place."""
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(kind.pristine, self.runs / kind.path.name)
        for name in ("results.csv", "weights.npz", "predictions.npz", "experiment.json", "lock"):
            self._write_outside(name)
        for name in ("lock.holder", ".results.csv.1-00000000.tmp", "next/cells/.a.1-00000000.tmp"):
            self._write_outside(name)
        for folder in ("cells", "final", "stops", "state/stops", "state", "next", "damaged"):
            self._write_outside(f"{folder}/0000.json")
            self._write_outside(f"{folder}/block-0000-epoch-000003.npz")
        return self.runs / kind.path.name

    def _write_outside(self, name: str) -> None:
        file = self.outside / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"somebody's")

    def untouched(self) -> dict[str, Any]:
        """All that must stay as it is."""
        found: dict[str, Any] = {"": sorted(os.listdir(self.folder))}
        found["runs"] = sorted(os.listdir(os.fsencode(self.runs)))
        for folder, folders, files in os.walk(self.outside):
            for name in (*folders, *files):
                status = os.lstat(os.path.join(folder, name))
                facts = (status.st_mode, status.st_size, status.st_mtime_ns, status.st_ino)
                found[os.path.join(folder, name)] = facts
        return found


def give(commands: tuple[tuple[str, ...], ...]) -> Outcome:
    """Give commands in a process of its own, which is stopped where it hangs."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reading)
        _work(commands, writing)
    os.close(writing)
    content, is_late = _read(reading)
    if is_late:
        os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    lines = [json.loads(line) for line in content.splitlines()]
    end = "hangs" if is_late else ""
    if not end and os.WIFSIGNALED(status):
        end = f"dies of {signal.Signals(os.WTERMSIG(status)).name}"
    given = tuple(Given(tuple(line[0]), *line[1:]) for line in lines if isinstance(line, list))
    memory = [line for line in lines if isinstance(line, dict)]
    if not end and not memory:
        end = "ends without a word"
    peak = max((found["peak"] for found in memory), default=0)
    return Outcome(given, end, peak, memory[0]["base"] if memory else 0)


def _read(reading: int) -> tuple[bytes, bool]:
    """All that a process writes, and whether it goes on for too long."""
    content, stop = b"", time.monotonic() + LONGEST_S
    with os.fdopen(reading, "rb", buffering=0) as stream:
        while True:
            ready, _, _ = select.select([stream], [], [], max(0.0, stop - time.monotonic()))
            if not ready:
                return content, True
            if not (more := stream.read(1 << 20)):
                return content, False
            content += more


def _work(commands: tuple[tuple[str, ...], ...], writing: int) -> None:
    """Give the commands, tell what came of them, and end: the work of a child."""
    os.setsid()
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the peak of memory starts anew
    base = peak_memory_bytes() or 0
    data = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_DATA, (data + MOST_BYTES, resource.RLIM_INFINITY))
    with os.fdopen(writing, "w", encoding="ascii") as stream:
        try:
            for command in commands:
                start = time.process_time()
                found = answer(*command)
                line = [command, found.code, found.out, found.err, time.process_time() - start]
                print(json.dumps(line), file=stream, flush=True)
                print(
                    json.dumps({"base": base, "peak": peak_memory_bytes()}), file=stream, flush=True
                )
        except BaseException as error:
            line = [["?"], 70, "", f"{type(error).__name__}: {error}", 0.0]
            print(json.dumps(line), file=stream, flush=True)
            print(f"{error!r}", file=sys.stderr)
        finally:
            stream.flush()
            os._exit(0)
