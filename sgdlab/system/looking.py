"""What is there, and what is not: where the system does not tell, that is an error."""

import errno
import os
import stat
from pathlib import Path

from sgdlab.errors import StorageError, UnreadableError, reason

# The parts of a path that are no folder, and names that no file can have, are absences too.
ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
_ADVICE = {
    errno.EACCES: "see the permissions of it and of its folders",
    errno.EPERM: "see the permissions of it and of its folders",
    errno.EMFILE: "allow more open files, as with ulimit -n",
    errno.ENFILE: "close other programs, and give the command again",
    errno.ENOMEM: "close other programs, and give the command again",
    errno.EIO: "nothing is lost by that; see to the disk, and give the command again",
    errno.ESTALE: "its network disk has changed; give the command again",
    errno.ETIMEDOUT: "its network disk does not answer; give the command again",
}


def advice(error: OSError) -> str:
    """What to do about a refusal of the system, which says nothing of what a file holds."""
    return _ADVICE.get(error.errno or 0, "")


def status_of(path: Path, follow_links: bool = False) -> os.stat_result | None:
    """The status of what stands at a path, or of what a link there leads to; None if nothing does.

    Raises
    ------
    UnreadableError
        If the system does not tell.
    """
    try:
        return os.stat(path) if follow_links else os.lstat(path)
    except OSError as error:
        if error.errno in ABSENT:
            return None
        raise unreadable(path, error) from None
    except ValueError:  # no file has a NUL in its name
        return None


def is_there(path: Path) -> bool:
    """Whether anything stands at a path; see :func:`status_of`."""
    return status_of(path) is not None


def is_regular(path: Path, follow_links: bool = False) -> bool:
    """Whether a regular file, or perhaps a link to one, stands at a path; see :func:`status_of`."""
    status = status_of(path, follow_links)
    return status is not None and stat.S_ISREG(status.st_mode)


def names_in(folder: Path) -> list[str]:
    """The sorted names of all that is in a folder; none if there is no folder.

    Raises
    ------
    UnreadableError
        If it cannot be listed.
    """
    try:
        return sorted(os.listdir(folder))
    except OSError as error:
        if error.errno in ABSENT:
            return []
        raise unreadable(folder, error) from None
    except ValueError:
        return []


def working_directory() -> Path:
    """Where relative paths begin.

    Raises
    ------
    StorageError
        If the system does not tell, as of one that was deleted.
    """
    try:
        return Path.cwd()
    except OSError as error:
        is_gone = error.errno in ABSENT
        hint = "it was deleted or moved; change to another" if is_gone else advice(error)
        raise StorageError("the working directory", reason(error), "a folder", hint) from None


def absolute(path: Path) -> Path:
    """A path from the root of the file system; see :func:`working_directory`."""
    return path if path.is_absolute() else working_directory() / path


def real(path: Path) -> Path:
    """A path that ends with a folder's own name, whatever it was called."""
    return Path(os.path.realpath(absolute(path)))


def unreadable(path: Path, error: OSError) -> UnreadableError:
    """What to say where the system refuses to look at something or to read it."""
    return UnreadableError(path, f"cannot be read now ({reason(error)})", hint=advice(error))
