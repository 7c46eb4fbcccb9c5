"""Gives commands under strace, which tells what they ask of the system, or has it answer otherwise.

A command is given in a copy of this process: everything is imported then, so that the calls which
are counted are those of the command alone, and are the same ones every time.
"""

import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn

from sgdlab import __main__ as program
from tests.faults.manual import MANUAL
from tests.flipped_bits import Answer

IS_THERE = shutil.which("strace") is not None
TOO_LONG_S = 60
_CALL = re.compile(r"(\d+) +(\w+)\((.*)")
_END = re.compile(r"(\d+) +<\.\.\. \w+ resumed>(.*)")
_ANY_PROCESS = 0x59616D61, -1  # PR_SET_PTRACER, PR_SET_PTRACER_ANY
# The first thing that a call is about: an open file, or a path from the working directory.
_PLACE = re.compile(r'(?:AT_FDCWD(?:<[^>]*>)?, )?(?:\d+<([^>]*)>|"((?:[^"\\]|\\.)*)")')
_RANDOM = re.compile(r"\.[0-9]+-[0-9a-f]{8}\.tmp|\.sgdlab-[^/]*")


@dataclass(frozen=True)
class Site:
    """The k-th call of a name that a thread makes, from 1, and what in the folder it is about."""

    call: str
    k: int
    path: str


@dataclass(frozen=True)
class Effect:
    """What becomes of a call, in the words of strace: ``error=EIO``, or ``signal=SIGKILL``."""

    site: Site
    what: str

    def __str__(self) -> str:
        return f"{self.what} at call {self.site.k} of {self.site.call} ({self.site.path})"


@dataclass(frozen=True)
class Traced:
    """How a command ended, the calls that it made on things in the folder, and those changed."""

    answer: Answer
    sites: list[Site]
    changed: list[Site]


def traced(command: Sequence[str], folder: Path, effect: Effect | None = None) -> Traced:
    """Give a command in a folder, which is the working directory, and have a call changed."""
    calls = MANUAL if effect is None else (effect.site.call,)
    options = ["-f", "-y", "-s", "0", "-e", f"trace={','.join(f'?{call}' for call in calls)}"]
    if effect is not None:
        options += ["-e", f"inject={effect.site.call}:{effect.what}:when={effect.site.k}"]
    with tempfile.TemporaryDirectory(prefix="sgdlab-strace-") as name:
        log = Path(name, "log")
        answer = _answer_under(command, ["strace", "-o", str(log), *options])
        text = log.read_text(errors="replace")
    sites = list(sites_in(whole_lines(text), folder))
    changed = [site for site, line in sites if line.endswith("(INJECTED)")]
    return Traced(answer, [site for site, _ in sites], changed)


def _answer_under(command: Sequence[str], tracer: list[str]) -> Answer:
    streams = [tempfile.TemporaryFile(), tempfile.TemporaryFile()]  # noqa: SIM115 - closed below
    process = _copied(lambda: _give(command, streams))
    try:
        tracing = subprocess.Popen(
            [*tracer, "-p", str(process)], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
        )
        assert tracing.stderr is not None
        first = tracing.stderr.readline()  # that it is attached
    finally:
        os.kill(process, signal.SIGUSR1)
        _, status = os.waitpid(process, 0)
    told = first + tracing.stderr.read()
    tracing.stderr.close()
    tracing.wait()
    assert b" attached" in first, told
    out, err = (_content(stream) for stream in streams)
    return Answer(os.waitstatus_to_exitcode(status), out, err)


def _copied(work: Callable[[], NoReturn]) -> int:
    """The process number of a copy of this process which, once it gets SIGUSR1, does some work."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    if process := os.fork():
        return process
    try:
        _let_anyone_trace()
        signal.alarm(TOO_LONG_S)
        signal.sigwait([signal.SIGUSR1])
        work()
    finally:
        os._exit(99)  # nothing of the process that was copied may go on here


def _let_anyone_trace() -> None:
    """Where only ancestors may be tracers (Yama), strace is none of them."""
    import ctypes

    ctypes.CDLL(None).prctl(*_ANY_PROCESS, 0, 0, 0)


def _give(command: Sequence[str], streams: Sequence[BinaryIO]) -> NoReturn:
    """What a shell and Python do around the program."""
    for number, stream in enumerate(streams, 1):
        os.dup2(stream.fileno(), number)
    sys.stdout, sys.stderr = (io.TextIOWrapper(os.fdopen(n, "wb"), "utf-8") for n in (1, 2))
    sys.argv = ["sgdlab", *command]
    try:
        program.start()
    except SystemExit as end:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(end.code or 0))


def _content(stream: BinaryIO) -> str:
    with stream:
        stream.seek(0)
        return stream.read().decode()


def whole_lines(text: str) -> list[str]:
    """A log of strace with every call on one line: those of several threads come in between."""
    lines: list[str] = []
    waiting: dict[str, int] = {}
    for line in text.splitlines():
        if end := _END.match(line):
            thread, rest = end.groups()
            lines[waiting[thread]] += rest
        else:
            waiting[line.partition(" ")[0]] = len(lines)
            lines.append(line.removesuffix(" <unfinished ...>"))
    return lines


def sites_in(lines: list[str], folder: Path) -> Iterator[tuple[Site, str]]:
    """The calls in a log of strace that are about something in a folder, with their lines."""
    counts = Counter[tuple[str, str]]()
    for line in lines:
        if not (found := _CALL.match(line)):
            continue  # a signal, or an exit
        thread, call, arguments = found.groups()
        counts[thread, call] += 1
        # It names the folder once it has told which that is, and not where it is refused.
        place = _PLACE.match('"."' if call == "getcwd" else arguments)
        if place and (path := place[1] or place[2]):
            absolute = Path(os.path.normpath(folder / path.removesuffix(" (deleted)")))
            if absolute.is_relative_to(folder):
                inside = _RANDOM.sub("*", absolute.relative_to(folder).as_posix())
                yield Site(call, counts[thread, call], inside), line
