"""What is to replace files of a finished run: made beside them, and moved in when it is whole.

A finished run that is asked for more stays as it is meanwhile: its record and its files are not
touched. What is made stands in ``state/next`` under the names that it will have in the run, with a
record of its own. Then the new record takes the place of the old one, which is the moment in which
the run changes; the files follow, and until they have, a reader finds them in ``state/next`` by the
hashes that the record has.
"""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sgdlab.errors import StorageError, UnreadableError, reason
from sgdlab.observer import Observer
from sgdlab.runs.experiment import Experiment, read_experiment
from sgdlab.runs.reading import check_hash, reading
from sgdlab.runs.setting_aside import set_aside
from sgdlab.system.files import flush_folder, is_temporary, make_folder, write_files
from sgdlab.system.looking import names_in

FOLDER = Path("state", "next")
T = TypeVar("T")


def from_either(run: Path, name: str, look: Callable[[Path], T]) -> T:
    """Look at a file of a run, or at what is about to be moved into its place if that fails.

    Raises
    ------
    StorageError
        What ``look`` says of the file in its place.
    """
    try:
        return look(run / name)
    except StorageError:
        with suppress(StorageError):
            return look(run / FOLDER / name)
        return look(run / name)  # it may have been moved in meanwhile


@dataclass(frozen=True)
class Successor:
    """The files that are to replace those of a run."""

    run: Path

    @property
    def folder(self) -> Path:
        return self.run / FOLDER

    @property
    def experiment_file(self) -> Path:
        return self.folder / "experiment.json"

    def place(self, file: Path) -> Path:
        """Where that stands which is to replace a file of the run."""
        return self.folder / file.relative_to(self.run)

    def files(self) -> list[Path]:
        """The files of the run that something is there for."""
        names = names_in(self.folder)
        inner = [name for name in ("cells", "final") if name in names]
        found = [self.run / name for name in names if name not in inner]
        found += [self.run / name / log for name in inner for log in names_in(self.folder / name)]
        return [file for file in found if not is_temporary(file.name)]

    def write(self, files: Mapping[Path, bytes]) -> None:
        """Write what is to replace some files of the run."""
        placed = {self.place(file): content for file, content in files.items()}
        for folder in {file.parent for file in placed}:
            make_folder(folder)
        write_files(placed)

    def replace_record(self, content: bytes) -> None:
        """Make the run what this record says; all of its files are written by now."""
        record = self.run / self.experiment_file.name
        self.write({record: content})
        _move(self.experiment_file, record)

    def planned(self, finished: Experiment, observer: Observer) -> Experiment:
        """A finished run of which more is asked, with what earlier such sessions have planned.

        Raises
        ------
        UnreadableError
            If what they have written down cannot be read now. What is damaged is set aside.
        """
        if not (files := self.files()):
            return finished
        try:
            if self.run / self.experiment_file.name not in files:
                raise StorageError(self.folder, "no record of what it is", "experiment.json")
            experiment = read_experiment(self.experiment_file)
            with reading(self.experiment_file):
                if experiment.plan != finished.plan:
                    raise ValueError("plan: not that of the run")
        except UnreadableError:
            raise
        except StorageError as error:
            now = set_aside(self.run, self.folder)
            observer.note(f"{error.place}: {error.found}; set aside as {now}")
            return finished
        sessions, final_plan = experiment.sessions, experiment.final_plan
        return finished.replaced(status="running", sessions=sessions, final_plan=final_plan)

    def settle(self, known: Mapping[str, str], most_bytes: int) -> None:
        """Move into the run what its record knows by its hash.

        What else is there stays where it is. Who calls holds the lock.

        Parameters
        ----------
        most_bytes
            That any of these files can have.

        Raises
        ------
        StorageError
            If something cannot be read or moved.
        """
        for file in self.files():
            sha256 = known.get(file.relative_to(self.run).as_posix())
            if sha256 is not None and _has(self.place(file), sha256, most_bytes):
                _move(self.place(file), file)
        for folder in (self.folder / "cells", self.folder / "final", self.folder):
            with suppress(OSError):  # it is not empty, or not there
                folder.rmdir()


def _has(file: Path, sha256: str, most_bytes: int) -> bool:
    try:
        check_hash(file, sha256, most_bytes)
    except UnreadableError:
        raise
    except StorageError:
        return False
    return True


def _move(source: Path, target: Path) -> None:
    try:
        os.replace(source, target)
        flush_folder(target.parent)
    except OSError as error:
        raise StorageError(target, reason(error), "a writable disk") from None
