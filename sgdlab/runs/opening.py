"""A run is created or taken up again, by one process at a time."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from sgdlab.config.grid import Cell
from sgdlab.errors import StorageError
from sgdlab.runs.directory import RunDirectory
from sgdlab.runs.open_run import OpenRun
from sgdlab.system import files as system_files
from sgdlab.system.locks import locked


@contextmanager
def open_run(
    directory: RunDirectory, cells: Sequence[Cell], is_synthetic: bool, folds: int | None = None
) -> Iterator[OpenRun]:
    """Create a run or take it up again, under its lock.

    Raises
    ------
    StorageError
        If it cannot be written, leads elsewhere, or another process holds it.
    """
    if os.path.islink(directory.path):  # what is written there would be written elsewhere
        what, hint = "a symbolic link", "give the folder that it leads to as `runs_dir`"
        raise StorageError(directory.path, what, "a folder of its own", hint)
    directory.check_folders()
    system_files.make_folder(directory.state_folder)
    try:
        with locked(directory.state_folder / "lock") as is_locked:
            for folder in (directory.cells_folder, directory.stops_folder):
                system_files.make_folder(folder)
            if folds is not None:
                system_files.make_folder(directory.final_folder)
            for orphan in directory.temporaries():
                with suppress(OSError):
                    orphan.unlink(missing_ok=True)
            try:
                yield OpenRun(directory, cells, is_synthetic, folds, is_locked)
            finally:
                _remove_if_empty(directory.stops_folder)
    finally:
        # Without the lock: if another process has taken it meanwhile, its lock file is in this
        # folder, which is not removed then. All that has content is removed under the lock.
        _remove_if_empty(directory.state_folder)
        # Without a record nothing was begun, or it was taken back.
        if not os.path.lexists(directory.experiment_file):
            for folder in (directory.cells_folder, directory.final_folder, directory.path):
                _remove_if_empty(folder)


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()
