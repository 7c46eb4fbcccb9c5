"""Locks: one process at a time, and what to say to the others."""

import contextlib
import errno
import os
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from filelock import BaseFileLock, FileLock, Timeout

from sgdlab.errors import StorageError, reason
from sgdlab.system.files import write_files
from sgdlab.system.looking import status_of
from sgdlab.system.regular import NotRegularError, opened, read_regular

NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP)
PATIENCE_S = 1.0  # with a holder that has not yet written who it is, or no longer is one
POLL_S = 0.02
MOST_HOLDER_BYTES = 1000
TRIES = 1000  # to lock the very file that stands at a path, while others remove it


@contextlib.contextmanager
def locked(path: Path, wait_s: float = 0.0) -> Iterator[bool]:
    """Hold a lock file, which is removed at the end; a lock whose holder died is free.

    Parameters
    ----------
    wait_s
        How long to wait for another process to give it back.

    Yields
    ------
    bool
        Whether it is held. It is not where the file system has no locks; then nothing keeps
        another process away.

    Raises
    ------
    StorageError
        If another process holds it, with that process's number and host; or if there can be no such
        file.
    """
    holder = path.with_name(path.name + ".holder")
    try:
        lock, identity = _acquired(path, holder, wait_s)
    except (OSError, ValueError) as error:
        if not isinstance(error, OSError) or error.errno not in NO_LOCKS:
            raise StorageError(path, reason(error), "a lock file") from None
        yield False
        return
    try:
        write_files({holder: f"pid {os.getpid()} on {socket.gethostname()}".encode()})
        yield True
    finally:
        # Removed while it is held, or another process's lock could be; on Unix the release leaves
        # the file alone. Windows removes no open file; there the release does it.
        with contextlib.suppress(StorageError):
            if _stands_at(path, identity):
                for file in (holder, path):
                    with contextlib.suppress(OSError):
                        file.unlink(missing_ok=True)
        _give_back(lock)


def _acquired(path: Path, holder: Path, wait_s: float) -> tuple[BaseFileLock, os.stat_result]:
    """A lock on the very file that stands at a path, and which file that is.

    A process that has just taken the lock has not yet written who it is, and one that gives it back
    removes the file before the lock: neither is worth a refusal, so it is tried for a moment.
    """
    # Where files cannot be locked, a file that merely exists would be taken for a lock.
    lock = FileLock(path, timeout=0, fallback_to_soft=False)
    start = time.monotonic()
    while True:
        if found := _try(lock, path):
            return lock, found
        waited, who = time.monotonic() - start, _name_of(holder)
        if waited >= (max(wait_s, 0.0) if who else max(wait_s, PATIENCE_S)):
            found_there = f"in use by {who or 'another process'}"
            expected, hint = "one command at a time", "wait for it to end"
            raise StorageError(path.parent, found_there, expected, hint)
        time.sleep(POLL_S)


def _try(lock: BaseFileLock, path: Path) -> os.stat_result | None:
    """Which file was locked; None if it is another's.

    Between opening a lock file and locking it, its last holder may have removed it; then the next
    process would lock a new file, and both would hold a lock. So the file is opened once more,
    which keeps its identity from being used again, and compared with what stands there afterwards.
    Only a lock that is refused on that very file is somebody's.

    Raises
    ------
    OSError
        If it is another file whenever it is looked at, as on a network disk that makes up inodes.
    """
    for _ in range(TRIES):
        with _opened(path) as stream, contextlib.ExitStack() as undone:
            identity = os.fstat(stream.fileno())
            try:
                lock.acquire()
            except Timeout:
                if _stands_at(path, identity):
                    return None
                continue
            undone.callback(_give_back, lock)
            if _stands_at(path, identity):
                undone.pop_all()
                return identity
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


def _give_back(lock: BaseFileLock) -> None:
    """Release a lock; one that the system will not take now is given back with the process."""
    for _ in range(2):
        with contextlib.suppress(OSError):
            lock.release()
            return


def _opened(path: Path) -> BinaryIO:
    """A lock file; its folder, which its last holder may just have removed, is made again."""
    try:
        return _regular(path)
    except FileNotFoundError:
        path.parent.mkdir(exist_ok=True)  # not its parents: a run that was moved away is gone
        return _regular(path)


def _regular(path: Path) -> BinaryIO:
    """A lock file, of which nothing is read or written; a link or a FIFO is none."""
    stream = open(path, "ab", opener=opened)  # noqa: SIM115 - whoever asks closes it
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise NotRegularError
    return stream


def _name_of(holder: Path) -> str | None:
    """Who holds a lock; None if that does not stand there."""
    with contextlib.suppress(OSError, ValueError):
        return read_regular(holder, MOST_HOLDER_BYTES).decode(errors="replace") or None
    return None


def _stands_at(path: Path, identity: os.stat_result) -> bool:
    """Whether this file, which is open, stands at a path.

    Raises
    ------
    StorageError
        If the system does not tell.
    """
    status = status_of(path, follow_links=True)
    return status is not None and os.path.samestat(identity, status)
