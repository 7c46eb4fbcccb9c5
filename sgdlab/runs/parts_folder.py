"""A folder of finished parts of an experiment, which one process holds at a time.

A file of it is an ``.npz`` file, to which the hash of what it is of and of all that stands before
is appended: what is damaged is found before anything interprets it.
"""

import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from sgdlab.errors import StorageError, UnreadableError
from sgdlab.observer import Observer
from sgdlab.runs.reading import read_bytes, reading
from sgdlab.runs.seals import sha256_of
from sgdlab.runs.setting_aside import FOLDER as DAMAGED
from sgdlab.runs.setting_aside import set_aside
from sgdlab.runs.stops import npz_arrays, npz_bytes
from sgdlab.system import files as system_files
from sgdlab.system.locks import locked
from sgdlab.system.looking import is_there, names_in, status_of

LAB = "lab"  # below the folder of runs
FILE = re.compile(r"parts-[0-9]{6,}\.npz")
SEAL_BYTES = 64
MOST_BYTES = 2**28  # of a file

Arrays = Mapping[str, NDArray[Any]]


def folder_of(runs_dir: Path, name: str) -> Path:
    """Where the parts of an experiment are kept."""
    return runs_dir / LAB / name


def names_of(runs_dir: Path, command: str) -> list[str]:
    """The experiments with a command of which there are parts.

    Raises
    ------
    UnreadableError
        If the system does not tell.
    """
    return [name for name in names_in(runs_dir / LAB) if name.startswith(f"{command}-")]


class PartsFolder:
    """Parts whose lock this process holds.

    Parameters
    ----------
    origin
        A hash of all that they depend on.
    """

    def __init__(self, path: Path, origin: str) -> None:
        self.path = path
        self._origin = origin
        self._names: dict[Path, set[str]] = {}  # of the parts of a file that no later one has
        self._n_files = max(map(_number, self._files()), default=0)

    def read(self, observer: Observer) -> dict[str, Arrays]:
        """All parts by their names, the later of two; files that are damaged are set aside.

        Raises
        ------
        UnreadableError
            If one cannot be read now.
        StorageError
            If a damaged one cannot be moved.
        """
        found: dict[str, Arrays] = {}
        for file in self._files():
            try:
                parts = self._read(file)
            except UnreadableError:
                raise
            except StorageError:
                now = set_aside(self.path, file)
                observer.note(f"{file}: broken; set aside as {now}, to be computed again")
            else:
                self._take(file, set(parts))
                found |= parts
        return found

    def write(self, parts: Mapping[str, Arrays]) -> None:
        """Make some parts durable; files of which all parts are replaced by these are removed.

        Raises
        ------
        StorageError
            If that fails.
        """
        members = {
            f"{name}/{key}": array
            for name, arrays in parts.items()
            for key, array in arrays.items()
        }
        self._n_files += 1
        file = self.path / f"parts-{self._n_files:06d}.npz"
        content = npz_bytes(members)
        system_files.write_files({file: content + self._seal(content)})
        self._take(file, set(parts))

    def remove(self) -> None:
        """Remove all parts; what was damaged stays where it was put."""
        for file in self._files():
            with suppress(OSError):
                file.unlink()

    def _files(self) -> list[Path]:
        """In the order in which they were written."""
        found = [self.path / name for name in names_in(self.path) if FILE.fullmatch(name)]
        return sorted(found, key=_number)

    def _take(self, file: Path, names: set[str]) -> None:
        for older in list(self._names):
            self._names[older] -= names
            if not self._names[older]:
                del self._names[older]
                with suppress(OSError):
                    older.unlink()
        self._names[file] = names

    def _read(self, file: Path) -> Mapping[str, Arrays]:
        content = read_bytes(file, most_bytes=MOST_BYTES)
        with reading(file):
            content, seal = content[:-SEAL_BYTES], content[-SEAL_BYTES:]
            if seal != self._seal(content):
                raise ValueError("its end is not the hash of what stands before it")
            parts: dict[str, dict[str, NDArray[Any]]] = {}
            for member, array in npz_arrays(file, content).items():
                name, _, key = member.rpartition("/")
                parts.setdefault(name, {})[key] = array
        return parts

    def _seal(self, content: bytes) -> bytes:
        return sha256_of(self._origin.encode() + content).encode()


def _number(file: Path) -> int:
    return int(file.stem.rpartition("-")[2])


@contextmanager
def open_parts(runs_dir: Path, name: str, origin: str) -> Iterator[PartsFolder]:
    """Create the folder of an experiment's parts or take it up again, under its lock.

    In the end folders are removed that are empty, the folder of runs only if it was made for this.

    Raises
    ------
    StorageError
        If it cannot be written, another process holds it, or links or other things that are no
        files stand in it, which would lead elsewhere.
    """
    path = folder_of(runs_dir, name)
    _check_plain(path)
    made = [] if is_there(runs_dir) else [runs_dir]
    try:
        system_files.make_folder(path)
        with locked(path / "lock"):
            for orphan in filter(system_files.is_temporary, names_in(path)):
                with suppress(OSError):
                    (path / orphan).unlink()
            yield PartsFolder(path, origin)
    finally:
        for folder in (path, path.parent, *made):
            with suppress(OSError):
                folder.rmdir()


def _check_plain(path: Path) -> None:
    for folder in (path.parent, path):
        status = status_of(folder)
        if status is not None and not stat.S_ISDIR(status.st_mode):
            raise StorageError(folder, "something else", "a folder", "move it away")
    for name in names_in(path):
        status = status_of(path / name)
        is_plain = stat.S_ISDIR if name == DAMAGED else stat.S_ISREG
        if status is not None and not is_plain(status.st_mode):
            what = "a folder" if name == DAMAGED else "a regular file"
            raise StorageError(path / name, "something else", what, "move it away")
