"""What was read and found damaged is never deleted: it is moved to a folder where nobody reads."""

import itertools
import os
from pathlib import Path

from sgdlab.errors import StorageError, reason
from sgdlab.system.files import make_folder
from sgdlab.system.looking import is_there

FOLDER = "damaged"


def set_aside(run: Path, path: Path) -> Path:
    """Move something out of the way of a run, and say where it is now.

    Raises
    ------
    StorageError
        If it cannot be moved; then it stands where it stood.
    """
    folder = run / FOLDER
    make_folder(folder)
    names = itertools.chain([path.name], (f"{path.name}-{n}" for n in itertools.count(2)))
    target = next(folder / name for name in names if not is_there(folder / name))
    try:
        os.replace(path, target)
    except OSError as error:
        raise StorageError(path, reason(error), "a file that can be moved") from None
    return target
