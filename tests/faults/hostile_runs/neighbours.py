"""Hostile neighbours of a run, which ``latest`` passes."""

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from tests.faults.hostile_runs import places
from tests.faults.hostile_runs.documents import one_of
from tests.faults.hostile_runs.sandbox import Sandbox

NAMES = (b"neighbour", b"\x1b[2Jrun", b"new\nline", b"\xff\xfe", b"latest", b"-rf", b"x" * 255)
NAMES += ("\u202egnp".encode(), b"[red]run")


def add(sandbox: Sandbox, run: Path, rng: np.random.Generator) -> str:
    """Put something hostile beside a run, or in a folder there, later than the run."""
    name = one_of(NAMES, rng)
    folder = Path(os.fsdecode(os.fsencode(sandbox.runs) + b"/" + name))
    if rng.random() < 0.3:
        what = places.put(folder, sandbox.outside, rng)
    else:
        if rng.random() < 0.5:
            shutil.copytree(run, folder)
        folder.mkdir(exist_ok=True)
        inner = places.change(folder, sandbox.outside, rng)
        what = places.put(folder / "experiment.json", sandbox.outside, rng)
        what = f"a folder whose experiment.json is {what}, and {inner}"
    later = time.time() + 60
    for path in (folder / "experiment.json", folder):
        with suppress(OSError):
            os.utime(path, (later, later), follow_symlinks=False)
    return f"{name[:20]!r} beside it is {what}"
