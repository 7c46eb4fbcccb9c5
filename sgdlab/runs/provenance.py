"""On what and with what a run was made."""

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

import sgdlab
from sgdlab.system import machine
from sgdlab.system.blas import describe_blas


def environment() -> dict[str, Any]:
    """Versions, processor, BLAS and its kernel, source revision and command line, for a log."""
    return {
        "sgdlab": sgdlab.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "platform": platform.platform(),
        "processor": machine.processor_name(),
        "processors": machine.n_processors(),
        "blas": describe_blas(),
        "git": _git_revision(Path(sgdlab.__file__).parent.parent),
        "command_line": sys.argv,
    }


def _git_revision(folder: Path) -> dict[str, Any] | None:
    """Commit and dirty flag of the source tree; None if it is not one."""
    if not os.path.exists(folder / ".git"):
        return None
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return {"commit": commit, "is_dirty": bool(_git(folder, "status", "--porcelain", "-uno"))}
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=5)
    return done.stdout.strip()
