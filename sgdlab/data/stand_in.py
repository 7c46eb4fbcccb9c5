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

from sgdlab import strict_json, system
from sgdlab.config import Data
from sgdlab.data.dataset import PARTS, Shape, array_paths, split_sizes
from sgdlab.data.npy import NpyFile
from sgdlab.data.synthetic import SIDE, generate_faces
from sgdlab.errors import StorageError
from sgdlab.observer import Observer

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
    """
    paths = array_paths(folder, prefix)
    if present := [path.name for path in paths.values() if os.path.lexists(path)]:
        found = f"{', '.join(present)} already there; expected none of the four arrays"
        raise StorageError(f"{folder}: {found} (move them away, or give another --prefix)")
    system.make_folder(folder)
    faces = generate_faces(seed, N_TRAIN, N_TEST)
    arrays: dict[str, NDArray[Any]] = dict(zip(PARTS, faces, strict=True))
    contents = {part: _npy_bytes(array) for part, array in arrays.items()}
    marker = {
        "schema_version": 1,
        "what": "synthetic stand-in arrays, no real faces",
        "seed": seed,
        "sha256": {part: hashlib.sha256(each).hexdigest() for part, each in contents.items()},
    }
    files = {paths[part]: content for part, content in contents.items()}
    # The marker first: arrays that are there without it pass for real ones.
    system.write_files({marker_path(folder, prefix): strict_json.encode(marker)} | files)
    return paths


def synthesize_if_missing(data: Data, observer: Observer) -> None:
    """Write stand-in arrays if the config says so and none of the four files is there."""
    if _would_synthesize(data):
        paths = synthesize(Path(data.path), data.prefix)
        where = f"{Path(data.path)}: no arrays; wrote a synthetic stand-in"
        observer.note(f"{where} ({', '.join(path.name for path in paths.values())})")


def shape_if_missing(data: Data) -> Shape | None:
    """The shape of the stand-in arrays that a run would write; None if it would not."""
    if not _would_synthesize(data):
        return None
    n_train, n_validation = split_sizes(N_TRAIN, data.validation.fraction)
    return Shape(n_train, n_validation, N_TEST, SIDE * SIDE)


def is_stand_in(files: Mapping[str, NpyFile]) -> bool:
    """Whether arrays, by part, are those that were synthesized in their folder.

    Real files put there later are not.
    """
    part, file = next(iter(files.items()))
    prefix = file.path.name.removesuffix(f"{part}.npy")
    path = marker_path(file.path.parent, prefix)
    try:
        known = json.loads(path.read_bytes())["sha256"] if path.is_file() else {}
        return all(known.get(part) == file.sha256 for part, file in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False  # whatever it is, it was not written here


def _would_synthesize(data: Data) -> bool:
    paths = array_paths(Path(data.path), data.prefix).values()
    return data.if_missing == "synthesize" and not any(map(os.path.lexists, paths))


def _npy_bytes(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
