"""Files that are whole or absent, also after a power cut."""

import contextlib
import errno
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from sgdlab.errors import StorageError, reason

TEMPORARY_SUFFIX = ".tmp"
_TEMPORARY = re.compile(r"\.(.+)\.[0-9]+-[0-9a-f]{8}" + re.escape(TEMPORARY_SUFFIX))
MANY_FILES = 8
ELSEWHERE = "TMPDIR names another one"
NO_FOLDER_FLUSH = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF)


Content = bytes | Callable[[BinaryIO], object]


def write_files(files: Mapping[Path, Content]) -> None:
    """Write files so that each is either whole or as it was before, also after a power cut.

    Every file is written under a temporary name beside it, flushed to the disk and renamed; then
    the folders are flushed. All files of a call share these last flushes.

    Parameters
    ----------
    files
        The content of each; of one that is not to be held in memory, a function that writes it.

    Raises
    ------
    StorageError
        If that fails; temporary files are removed.
    """
    temporaries: dict[Path, Path] = {}
    path = Path()
    try:
        for path, content in files.items():
            temporaries[path] = temporary = path.with_name(
                f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}{TEMPORARY_SUFFIX}"
            )
            _fill(temporary, content)
        if len(files) >= MANY_FILES and hasattr(os, "sync"):
            os.sync()  # makes the flushes below short; they still are what reports a failure
        for path in files:
            _flush(temporaries[path])
        for path in files:
            os.replace(temporaries[path], path)
        for folder in {path.parent for path in files}:
            flush_folder(folder)
    except (OSError, ValueError) as error:
        raise StorageError(path, reason(error), "a writable disk") from None
    finally:
        for temporary in temporaries.values():
            with contextlib.suppress(OSError, ValueError):
                temporary.unlink(missing_ok=True)


def _fill(path: Path, content: Content) -> None:
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        with open(path, "wb") as stream:
            content(stream)


def _flush(path: Path) -> None:
    with open(path, "r+b") as stream:
        os.fsync(stream.fileno())


def flush_folder(folder: Path) -> None:
    """Make renames in a folder durable, where that can be asked for.

    Windows has no such call and needs none, and some network file systems answer that a folder is
    nothing to be flushed: there a rename is as durable as they make it.
    """
    if os.name == "nt":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return  # it may be written and not read
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in NO_FOLDER_FLUSH:
            raise
    finally:
        os.close(descriptor)


def remove_temporaries(folder: Path, name: str) -> None:
    """Remove what killed processes were writing in place of a file; who calls holds a lock."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if is_temporary(path.name, name):
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)


def is_temporary(name: str, of: str | None = None) -> bool:
    """Whether a file's name is one under which a file, or the given one, is being written."""
    match = _TEMPORARY.fullmatch(name)
    return match is not None and of in (None, match[1])


def make_folder(folder: Path) -> None:
    """Create a folder and its parents, also as they are after a power cut.

    Raises
    ------
    StorageError
        If that fails.
    """
    try:
        absent = [part for part in (folder, *folder.parents) if not os.path.lexists(part)]
        folder.mkdir(parents=True, exist_ok=True)
        for part in reversed(absent):
            flush_folder(part.parent)
    except (OSError, ValueError) as error:
        raise StorageError(folder, reason(error), "a writable folder") from None


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder where the system has temporary files, which is gone at the end.

    Raises
    ------
    StorageError
        If there can be none.
    """
    with contextlib.ExitStack() as stack:
        try:
            made = TemporaryDirectory(prefix="sgdlab-", ignore_cleanup_errors=True)
        except OSError as error:
            place = error.filename or "the folder for temporary files"
            raise StorageError(place, reason(error), "a writable folder", ELSEWHERE) from None
        yield Path(stack.enter_context(made))
