"""Files that are whole or absent, and locks: what differs between operating systems."""

import contextlib
import errno
import os
import secrets
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from sgdlab.errors import StorageError, reason

TEMPORARY_SUFFIX = ".tmp"
MANY_FILES = 8


def write_files(files: Mapping[Path, bytes]) -> None:
    """Write files so that each is either whole or as it was before, also after a power cut.

    Every file is written under a temporary name beside it, flushed to the disk and renamed; then
    the folders are flushed. All files of a call share these last flushes.

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
            temporary.write_bytes(content)
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


def _flush(path: Path) -> None:
    with open(path, "r+b") as stream:
        os.fsync(stream.fileno())


def flush_folder(folder: Path) -> None:
    """Make renames in a folder durable; Windows has no such call and needs none."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Create a folder and its parents.

    Raises
    ------
    StorageError
        If that fails.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise StorageError(folder, reason(error), "a writable folder") from None


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file, which is removed at the end; a lock whose holder died is free.

    Raises
    ------
    StorageError
        If another process holds it, with that process's number and host; or if the file system has
        no locks.
    """
    holder = path.with_name(path.name + ".holder")
    try:
        lock, identity = _acquired(path)
    except Timeout:
        who = "another process"
        with contextlib.suppress(OSError):
            who = holder.read_text(errors="replace")
        expected, hint = "one command at a time", "wait for it to end"
        raise StorageError(path.parent, f"in use by {who}", expected, hint) from None
    except (OSError, ValueError) as error:
        expected = "a file system that can lock files" if _has_no_locks(error) else "a lock file"
        raise StorageError(path, reason(error), expected) from None
    try:
        write_files({holder: f"pid {os.getpid()} on {socket.gethostname()}".encode()})
        yield
    finally:
        # Removed while it is held, or another process's lock could be; on Unix the release leaves
        # the file alone. Windows removes no open file; there the release does it.
        if _stands_at(path, identity):
            for file in (holder, path):
                with contextlib.suppress(OSError):
                    file.unlink(missing_ok=True)
        lock.release()


def _acquired(path: Path) -> tuple[BaseFileLock, os.stat_result]:
    """A lock on the very file that stands at a path, and which file that is.

    Between opening a lock file and locking it, its last holder may have removed it; then the next
    process would lock a new file, and both would hold a lock. So the file is opened once more,
    which keeps its identity from being used again, and compared with what stands there afterwards.
    Only a lock that is refused on that very file is somebody's.
    """
    # Where files cannot be locked, a file that merely exists would be taken for a lock.
    lock = FileLock(path, timeout=0, fallback_to_soft=False)
    while True:
        with open(path, "ab") as stream:
            identity = os.fstat(stream.fileno())
            try:
                lock.acquire()
            except Timeout:
                if _stands_at(path, identity):
                    raise
                continue
            if _stands_at(path, identity):
                return lock, identity
            lock.release()


def _stands_at(path: Path, identity: os.stat_result) -> bool:
    """Whether this file, which is open, stands at a path."""
    with contextlib.suppress(OSError):
        return os.path.samestat(identity, os.stat(path))
    return False


def _has_no_locks(error: OSError | ValueError) -> bool:
    without = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP)
    return isinstance(error, OSError) and error.errno in without
