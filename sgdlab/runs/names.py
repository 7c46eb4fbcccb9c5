"""How runs are named, and how one is found below ``runs/``."""

import hashlib
import itertools
import json
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from sgdlab.config.model import Config
from sgdlab.errors import StorageError, UnreadableError, UsageError
from sgdlab.observer import Observer
from sgdlab.runs.directory import Arrays, RunDirectory
from sgdlab.runs.experiment import Experiment
from sgdlab.system.looking import names_in, status_of

# Raised whenever the results of some config change in any bit.
NUMERICS_VERSION = 3


def run_name(config: Config, fingerprint: str, is_synthetic: bool) -> str:
    """``NAME-HASH``: the hash over everything that a result depends on."""
    what = identity(config)
    what |= {"fingerprint": fingerprint, "numerics_version": NUMERICS_VERSION}
    canonical = json.dumps(what, sort_keys=True).encode()
    slug = re.sub(r"[^A-Za-z0-9_-]+", "-", config.name).strip("-")[:60] or "run"
    infix = "-synthetic" if is_synthetic else ""
    return f"{slug}{infix}-{hashlib.sha256(canonical).hexdigest()[:8]}"


def identity(config: Config) -> dict[str, Any]:
    """What results depend on, but for the arrays themselves."""
    resolved = config.model_dump(mode="json", exclude_none=True)
    for key in ("path", "prefix", "if_missing", "target_unit"):
        resolved["data"].pop(key, None)
    return {key: resolved[key] for key in ("data", "train", "grid", "select")}


def origin_of(experiment: Experiment) -> str:
    """What a log or a stop says that it is of: a hash of all that a run's results depend on.

    A run's name has most of that, but a folder can be renamed, its ``experiment.json`` can be lost,
    and of large arrays the name knows pieces.
    """
    data = experiment.data
    what = identity(experiment.config)
    what |= {"fingerprint": data.fingerprint, "numerics_version": experiment.numerics_version}
    what["whole"] = {part: known.sha256 for part, known in data.whole.items()}
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def run_directory(runs_dir: Path, name: str, arrays: Arrays, observer: Observer) -> RunDirectory:
    """The first of NAME, NAME-2, NAME-3, ... that is of these very arrays, or not there yet.

    The name says which arrays these are but for large ones, of which the fingerprint knows pieces.
    """
    for directory in _numbered(runs_dir, name):
        if not any(array.is_sampled for array in arrays.values()) or not directory.exists:
            return directory
        if directory.is_of(directory.experiment(), arrays, observer):
            return directory
        differ = "they differ between the pieces that their fingerprint is of"
        observer.note(f"{directory.path}: of other data; {differ}")
    raise AssertionError("numbers do not end")


def fresh_directory(runs_dir: Path, name: str, arrays: Arrays, observer: Observer) -> RunDirectory:
    """The first of NAME, NAME-2, NAME-3, ... that is not there yet, or the last of them.

    That is taken up again if it was itself begun afresh, on the same arrays, and is not finished;
    what is damaged is not.

    Raises
    ------
    UnreadableError
        If the system does not tell what is there.
    """
    last = None
    for number, directory in enumerate(_numbered(runs_dir, name), 1):
        if directory.exists:
            last = directory
        elif last and number > 2 and _is_unfinished(last, arrays, observer):
            return last
        else:
            return directory
    raise AssertionError("numbers do not end")


def _numbered(runs_dir: Path, name: str) -> Iterator[RunDirectory]:
    yield RunDirectory(runs_dir / name)
    yield from (RunDirectory(runs_dir / f"{name}-{number}") for number in itertools.count(2))


def _is_unfinished(directory: RunDirectory, arrays: Arrays, observer: Observer) -> bool:
    try:
        experiment = directory.experiment()
        return not experiment.is_finished and directory.is_of(experiment, arrays, observer)
    except UnreadableError:
        raise
    except StorageError:
        return False


def find_run(runs_dir: Path, reference: str) -> RunDirectory:
    """The run of a path, a name below ``runs_dir``, or ``latest``.

    ``latest`` is the run that a command last finished or found finished.

    Raises
    ------
    UsageError
        If there is none.
    StorageError
        If ``latest`` is asked for, and a run that may be it cannot be read; or if the folder of
        runs cannot be.
    """
    if reference == "latest":
        return _latest(runs_dir)
    for path in (runs_dir / reference, Path(reference)):
        if RunDirectory(path).exists:
            return RunDirectory(path)
    place, hint = f"{reference!r} in {runs_dir}", "see `runs_dir`"
    if names := list(itertools.islice(_finished_names(runs_dir), 5)):
        expected = f"a run's path, latest, or one of {', '.join(names)}"
        raise UsageError(place, "no such run", expected, hint)
    raise UsageError(place, "no such run; there are no finished runs", hint=hint)


def _latest(runs_dir: Path) -> RunDirectory:
    """The finished run whose ``experiment.json`` was written or touched last."""
    unfinished = []
    for directory in _by_age(runs_dir):
        if (experiment := _experiment_of(directory)) is None:
            continue
        if experiment.is_finished:
            return directory
        unfinished.append(f"{directory.name} is {experiment.status}")
    place, found = f"'latest' in {runs_dir}", "no finished run"
    if unfinished:
        hint = "give the command again that began it"
        raise UsageError(place, f"{found}; {unfinished[0]}", hint=hint)
    raise UsageError(place, f"{found}; there are no runs", hint="see `runs_dir`")


def _by_age(runs_dir: Path) -> list[RunDirectory]:
    """The runs of a folder, from the last to the first; they may be deleted meanwhile."""
    found = []
    for name in names_in(runs_dir):
        directory = RunDirectory(runs_dir / name)
        status = status_of(directory.experiment_file)
        if status is not None and stat.S_ISREG(status.st_mode):  # others are no records of runs
            found.append((-status.st_mtime_ns, name, directory))
    return [directory for _, _, directory in sorted(found, key=lambda run: run[:2])]


def _experiment_of(directory: RunDirectory) -> Experiment | None:
    """What a run says; None if it was deleted before it could."""
    try:
        return directory.experiment()
    except StorageError:
        if directory.exists:
            raise
        return None


def _finished_names(runs_dir: Path) -> Iterator[str]:
    """The names of runs that can be evaluated, as far as that can be read."""
    for name in names_in(runs_dir):
        with suppress(StorageError):
            if RunDirectory(runs_dir / name).experiment().is_finished:
                yield name
