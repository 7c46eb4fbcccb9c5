"""Writes the synthetic arrays where real ones are absent, and tells the one from the other."""

import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgdlab.config.model import Data
from sgdlab.data.dataset import PARTS, array_files, array_paths
from sgdlab.data.npy import NpyFile
from sgdlab.data.row_array import RowArray
from sgdlab.data.shape import Shape, shape_of
from sgdlab.data.synthetic import SIDE, generate_faces
from sgdlab.errors import DataError, StorageError
from sgdlab.observer import Observer
from sgdlab.system import files as system_files
from sgdlab.system import strict_json
from sgdlab.system.locks import locked
from sgdlab.system.looking import ABSENT, is_there, unreadable
from sgdlab.system.regular import read_regular
from sgdlab.system.safe_text import shortened

N_TRAIN, N_TEST = 4000, 2500
MOST_MARKER_BYTES = 64 * 1024
WAIT_S = 120.0  # for another process that writes the same arrays, which takes about two


def marker_path(folder: Path, prefix: str) -> Path:
    """The file beside stand-in arrays that holds the hashes by which they are known."""
    return folder / f"{prefix}stand-in.json"


def synthesize(folder: Path, prefix: str, seed: int = 0) -> dict[str, Path]:
    """Write four stand-in arrays and their marker; returns the arrays' paths.

    What a killed process has written of the same arrays is completed.

    Raises
    ------
    StorageError
        If one of the arrays is there already, or they cannot be written.
    UsageError
        If the prefix leads to another folder.
    """
    paths = array_paths(folder, prefix)
    with _held(folder, prefix):
        present = [path.name for path in paths.values() if is_there(path)]
        if present and _unfinished_seed(folder, prefix) != seed:
            found = f"{', '.join(present)} already there"
            hint = "move them away, or give another `prefix`"
            raise StorageError(folder, found, "none of the four arrays", hint)
        _write(folder, prefix, seed)
    return paths


@contextmanager
def _held(folder: Path, prefix: str) -> Iterator[None]:
    """The right to write stand-in arrays into a folder, whoever has it now is waited for."""
    system_files.make_folder(folder)
    with locked(folder / f".{prefix}stand-in.lock", WAIT_S):
        yield


def _write(folder: Path, prefix: str, seed: int) -> None:
    """Write what is missing of the stand-in, and remove what a killed process was writing."""
    paths = array_paths(folder, prefix)
    for name in (marker_path(folder, prefix).name, *(path.name for path in paths.values())):
        system_files.remove_temporaries(folder, name)
    faces = generate_faces(seed, N_TRAIN, N_TEST)
    arrays: dict[str, NDArray[Any]] = dict(zip(PARTS, faces, strict=True))
    contents = {part: _npy_bytes(array) for part, array in arrays.items()}
    marker = {
        "schema_version": 1,
        "what": "synthetic stand-in arrays, no real faces",
        "seed": seed,
        "sha256": {part: hashlib.sha256(content).hexdigest() for part, content in contents.items()},
    }
    missing = {part: path for part, path in paths.items() if not is_there(path)}
    files = {path: contents[part] for part, path in missing.items()}
    # The marker first: arrays that are there without it pass for real ones.
    system_files.write_files({marker_path(folder, prefix): strict_json.encode(marker)} | files)


def _unfinished_seed(folder: Path, prefix: str) -> int | None:
    """The seed of a stand-in of which a killed process has written some; None if there is none.

    Files that are there and that it did not write make it somebody's own arrays.
    """
    paths = array_paths(folder, prefix)
    present = {part: path for part, path in paths.items() if is_there(path)}
    seed, known = _read_marker(folder, prefix)
    if seed is None or len(present) == len(paths):
        return None
    with suppress(DataError):
        for part, path in present.items():
            with NpyFile(path) as file:
                if file.sha256 != known.get(part):
                    return None
        return seed
    return None


def _read_marker(folder: Path, prefix: str) -> tuple[int | None, dict[str, Any]]:
    """The seed of a stand-in and the hashes of its arrays; None and none if it is no marker."""
    path = marker_path(folder, prefix)
    try:
        content = read_regular(path, MOST_MARKER_BYTES, follow_links=True)
    except ValueError:
        return None, {}
    except OSError as error:
        if error.errno in ABSENT:
            return None, {}
        # Nobody knows then whose the arrays are.
        raise unreadable(path, error) from None
    try:
        marker = json.loads(content)
        seed, known = marker["seed"], dict(marker["sha256"])
        return (seed if type(seed) is int and 0 <= seed < 2**32 else None), known
    except (ValueError, KeyError, TypeError, RecursionError):
        return None, {}  # whatever it is, it was not written here


def synthesize_if_missing(data: Data, observer: Observer) -> None:
    """Write stand-in arrays if the config says so and its folder holds no arrays.

    Raises
    ------
    DataError
        If it holds arrays, but none with the config's prefix.
    StorageError
        If the arrays cannot be written.
    """
    if not _would_synthesize(data):
        return
    with _held(data.folder, data.prefix):
        if not _would_synthesize(data):
            return  # another command has done so meanwhile
        seed = _unfinished_seed(data.folder, data.prefix)
        _write(data.folder, data.prefix, 0 if seed is None else seed)
    done = "no arrays; wrote a" if seed is None else "completed the half-written"
    names = ", ".join(path.name for path in array_paths(data.folder, data.prefix).values())
    observer.note(f"{data.folder}: {done} synthetic stand-in ({names})")


def shape_if_missing(data: Data) -> Shape | None:
    """The shape of the stand-in arrays that a run would write; None if it would not.

    Raises
    ------
    DataError
        If a run would.
    """
    if not _would_synthesize(data):
        return None
    return shape_of(N_TRAIN, N_TEST, SIDE * SIDE, data, itemsize=4)


def is_stand_in(files: Mapping[str, RowArray]) -> bool:
    """Whether any of some arrays, by part, is one that was synthesized in their folder."""
    return bool(stand_in_parts(files))


def stand_in_parts(files: Mapping[str, RowArray]) -> tuple[str, ...]:
    """Those of some arrays, by part, that were synthesized in their folder.

    Real files put there later are not, and of arrays in memory nobody knows where they are from.
    """
    part, file = next(iter(files.items()))
    if not isinstance(file, NpyFile):
        return ()
    prefix = file.path.name.removesuffix(f"{part}.npy")
    _, known = _read_marker(file.path.parent, prefix)
    return tuple(part for part, file in files.items() if known.get(part) == file.sha256)


def _would_synthesize(data: Data) -> bool:
    """Whether the config says so and its folder is absent or holds no arrays.

    Arrays with another prefix are not made up for: the prefix or the folder is mistyped.
    """
    if data.if_missing != "synthesize":
        return False
    folder = data.folder
    if any(map(is_there, array_paths(folder, data.prefix).values())):
        return _unfinished_seed(folder, data.prefix) is not None
    others = array_files(folder)
    if others:
        found = f"{shortened(', '.join(others))}, but none with the prefix {data.prefix!r}"
        expected, hint = "its four arrays, or no arrays at all", "see data.path and data.prefix"
        raise DataError(folder, found, expected, hint)
    return True


def _npy_bytes(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
