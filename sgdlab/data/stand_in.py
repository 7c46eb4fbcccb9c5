"""Writes the synthetic arrays where real ones are absent, and tells the one from the other."""

import hashlib
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgdlab.config.model import Data
from sgdlab.data.dataset import PARTS, array_paths
from sgdlab.data.npy import NpyFile
from sgdlab.data.row_array import RowArray
from sgdlab.data.shape import Shape, shape_of
from sgdlab.data.synthetic import SIDE, generate_faces
from sgdlab.errors import DataError, StorageError, reason
from sgdlab.observer import Observer
from sgdlab.system import files as system_files
from sgdlab.system import strict_json
from sgdlab.system.safe_text import shortened

N_TRAIN, N_TEST = 4000, 2500


def marker_path(folder: Path, prefix: str) -> Path:
    """The file beside stand-in arrays that holds the hashes by which they are known."""
    return folder / f"{prefix}stand-in.json"


def synthesize(folder: Path, prefix: str, seed: int = 0) -> dict[str, Path]:
    """Write four stand-in arrays and their marker; returns the arrays' paths.

    Raises
    ------
    StorageError
        If one of the arrays is there already, or they cannot be written.
    UsageError
        If the prefix leads to another folder.
    """
    paths = array_paths(folder, prefix)
    if present := [path.name for path in paths.values() if os.path.lexists(path)]:
        found = f"{', '.join(present)} already there"
        hint = "move them away, or give another `prefix`"
        raise StorageError(folder, found, "none of the four arrays", hint)
    system_files.make_folder(folder)
    faces = generate_faces(seed, N_TRAIN, N_TEST)
    arrays: dict[str, NDArray[Any]] = dict(zip(PARTS, faces, strict=True))
    contents = {part: _npy_bytes(array) for part, array in arrays.items()}
    marker = {
        "schema_version": 1,
        "what": "synthetic stand-in arrays, no real faces",
        "seed": seed,
        "sha256": {part: hashlib.sha256(content).hexdigest() for part, content in contents.items()},
    }
    files = {paths[part]: content for part, content in contents.items()}
    # The marker first: arrays that are there without it pass for real ones.
    system_files.write_files({marker_path(folder, prefix): strict_json.encode(marker)} | files)
    return paths


def synthesize_if_missing(data: Data, observer: Observer) -> None:
    """Write stand-in arrays if the config says so and its folder holds no arrays.

    Raises
    ------
    DataError
        If it holds arrays, but none with the config's prefix.
    StorageError
        If the arrays cannot be written.
    """
    if _would_synthesize(data):
        paths = synthesize(data.folder, data.prefix)
        where = f"{data.folder}: no arrays; wrote a synthetic stand-in"
        observer.note(f"{where} ({', '.join(path.name for path in paths.values())})")


def shape_if_missing(data: Data) -> Shape | None:
    """The shape of the stand-in arrays that a run would write; None if it would not.

    Raises
    ------
    DataError
        If a run would.
    """
    if not _would_synthesize(data):
        return None
    return shape_of(N_TRAIN, N_TEST, SIDE * SIDE, data.validation, itemsize=4)


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
    path = marker_path(file.path.parent, prefix)
    try:
        if not path.is_file():
            return ()
        known = json.loads(path.read_bytes())["sha256"]
        return tuple(part for part, file in files.items() if known.get(part) == file.sha256)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ()  # whatever it is, it was not written here


def _would_synthesize(data: Data) -> bool:
    """Whether the config says so and its folder is absent or holds no arrays.

    Arrays with another prefix are not made up for: the prefix or the folder is mistyped.
    """
    if data.if_missing != "synthesize":
        return False
    folder = data.folder
    if any(map(os.path.lexists, array_paths(folder, data.prefix).values())):
        return False
    others = _arrays_in(folder)
    if others:
        found = f"{shortened(', '.join(others))}, but none with the prefix {data.prefix!r}"
        expected, hint = "its four arrays, or no arrays at all", "see data.path and data.prefix"
        raise DataError(folder, found, expected, hint)
    return True


def _arrays_in(folder: Path) -> list[str]:
    """The names of all .npy files of a folder; none of one that is absent."""
    try:
        return sorted(name for name in os.listdir(folder) if name.endswith(".npy"))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DataError(folder, reason(error), "a folder of arrays") from None


def _npy_bytes(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
