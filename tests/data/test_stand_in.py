"""Stand-in arrays: written only where nothing is, and never mistaken for real ones."""

import hashlib
import json
import os
import threading

import numpy as np
import pytest

from sgdlab.config.model import Data
from sgdlab.data.dataset import PARTS, array_paths, open_dataset
from sgdlab.data.npy import NpyFile
from sgdlab.data.stand_in import (
    is_stand_in,
    marker_path,
    shape_if_missing,
    stand_in_parts,
    synthesize,
    synthesize_if_missing,
)
from sgdlab.errors import DataError, StorageError, UsageError
from sgdlab.lab.describe.measure import describe
from sgdlab.observer import Observer

pytestmark = pytest.mark.usefixtures("generated")


class Notes(Observer):
    def __init__(self):
        self.notes = []

    def note(self, message):
        self.notes.append(message)


def config(folder, if_missing="synthesize", **data):
    return Data(path=str(folder), if_missing=if_missing, **data)


def contents(folder):
    """What is in a folder, by name; links as they are."""
    if not folder.is_dir():
        return {}
    return {
        path.name: os.readlink(path) if path.is_symlink() else path.read_bytes()
        for path in folder.iterdir()
    }


def known_as_stand_in(folder, prefix="", parts=PARTS):
    files = {part: NpyFile(array_paths(folder, prefix)[part]) for part in parts}
    try:
        return is_stand_in(files)
    finally:
        for file in files.values():
            file.close()


# Writing


@pytest.mark.parametrize("prefix", ["", "age_"])
def test_four_arrays_and_their_marker_are_written(prefix, folder, generated):
    paths = synthesize(folder, prefix, seed=5)
    assert generated == [(5, 4000, 2500)]
    names = [f"{prefix}{part}.npy" for part in PARTS]
    assert [path.name for path in paths.values()] == names
    assert set(contents(folder)) == {*names, f"{prefix}stand-in.json"}
    marker = json.loads((folder / f"{prefix}stand-in.json").read_bytes())
    assert (marker["schema_version"], marker["seed"]) == (1, 5)
    assert marker["sha256"] == {
        part: hashlib.sha256(paths[part].read_bytes()).hexdigest() for part in PARTS
    }
    with open_dataset(config(folder, prefix=prefix)) as dataset:
        assert dataset.shape.n_test == 4


@pytest.mark.parametrize("part", PARTS)
def test_nothing_is_overwritten(part, folder, generated):
    folder.mkdir(parents=True)
    (folder / f"{part}.npy").write_bytes(b"precious")
    before = contents(folder)
    with pytest.raises(StorageError, match=rf"{part}\.npy already there; expected none of the"):
        synthesize(folder, "")
    assert contents(folder) == before
    assert generated == []


def test_a_link_to_a_file_that_is_away_is_not_overwritten(folder):
    folder.mkdir(parents=True)
    (folder / "Xte.npy").symlink_to("not-mounted.npy")
    before = contents(folder)
    with pytest.raises(StorageError, match="already there"):
        synthesize(folder, "")
    synthesize_if_missing(config(folder), Notes())
    assert contents(folder) == before


def test_other_prefixes_are_left_alone(folder):
    synthesize(folder, "a_")
    before = contents(folder)
    synthesize(folder, "b_", seed=1)
    assert before.items() <= contents(folder).items()
    assert known_as_stand_in(folder, "a_")
    assert known_as_stand_in(folder, "b_")


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="expected a writable folder"):
        synthesize(tmp_path / "file" / "below", "")


def test_name_that_is_too_long(folder):
    with pytest.raises(StorageError, match="too long") as caught:
        synthesize_if_missing(config(folder, prefix="a" * 300), Notes())
    assert len(str(caught.value).splitlines()) == 1


# Where arrays are missing


def test_all_four_missing_are_written_once_and_noted(folder, generated):
    observer = Notes()
    for _ in range(2):
        synthesize_if_missing(config(folder, prefix="age_"), observer)
    assert generated == [(0, 4000, 2500)]
    assert observer.notes == [
        f"{folder}: no arrays; wrote a synthetic stand-in"
        " (age_Xtr.npy, age_ytr.npy, age_Xte.npy, age_yte.npy)"
    ]
    assert known_as_stand_in(folder, "age_")


@pytest.mark.parametrize(
    "missing",
    [["Xtr"], ["ytr"], ["Xte"], ["yte"], ["Xte", "yte"], ["ytr", "Xte", "yte"]],
    ids=",".join,
)
def test_some_missing_are_an_error_that_names_the_first(missing, folder, generated):
    synthesize(folder, "")
    marker_path(folder, "").unlink()
    for part in missing:
        (folder / f"{part}.npy").unlink()
    before, observer = contents(folder), Notes()
    synthesize_if_missing(config(folder), observer)
    assert shape_if_missing(config(folder)) is None
    with (
        pytest.raises(DataError, match=rf"^{folder}/{missing[0]}\.npy: no such file"),
        open_dataset(config(folder)),
    ):
        pass
    assert contents(folder) == before
    assert observer.notes == []
    assert len(generated) == 1


def test_fail_writes_nothing(folder, generated):
    data = config(folder, if_missing="fail")
    synthesize_if_missing(data, Notes())
    assert shape_if_missing(data) is None
    assert generated == []
    assert not folder.exists()
    with pytest.raises(DataError, match=r"new: no such file or dir"), open_dataset(data):
        pass


def test_shape_is_known_before_anything_is_written(folder, generated):
    shape = shape_if_missing(config(folder, validation={"fraction": 0.1}))
    assert (shape.n_train, shape.n_validation, shape.n_test) == (3600, 400, 2500)
    assert shape.n_features == 48 * 48
    assert generated == []
    assert not folder.exists()


@pytest.mark.parametrize("names", [["Xtr.npy", "yte.npy"], ["face_Xtr.npy"], ["notes.npy"]])
def test_a_folder_with_other_arrays_is_a_mistake_that_names_them(names, folder, generated):
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_bytes(b"precious")
    before, data = contents(folder), config(folder, prefix="faces_")
    for act in (lambda: synthesize_if_missing(data, Notes()), lambda: shape_if_missing(data)):
        with pytest.raises(DataError) as caught:
            act()
        assert str(caught.value) == (
            f"{folder}: {', '.join(names)}, but none with the prefix 'faces_'; expected its four"
            " arrays, or no arrays at all (see data.path and data.prefix)"
        )
    assert contents(folder) == before
    assert generated == []


def test_a_folder_with_other_files_has_no_arrays(folder, generated):
    folder.mkdir(parents=True)
    (folder / "README.md").write_bytes(b"faces go here")
    synthesize_if_missing(config(folder), Notes())
    assert len(generated) == 1


@pytest.mark.parametrize("name", ["file", "file/below", "a" * 300])
def test_a_path_that_can_be_no_folder_is_a_mistake_of_the_data(name, tmp_path, generated):
    (tmp_path / "file").write_bytes(b"precious")
    with pytest.raises(DataError, match="; expected a folder of arrays") as caught:
        synthesize_if_missing(config(tmp_path / name), Notes())
    assert len(str(caught.value).splitlines()) == 1
    assert (tmp_path / "file").read_bytes() == b"precious"
    assert generated == []


@pytest.mark.parametrize("prefix", ["../", "a/b", "/tmp/", "a/"])
def test_a_prefix_does_not_lead_out_of_the_folder(prefix, folder, generated):
    data = config(folder, prefix=prefix)
    for act in (
        lambda: synthesize(folder, prefix),
        lambda: synthesize_if_missing(data, Notes()),
        lambda: shape_if_missing(data),
        lambda: describe(folder, prefix),
    ):
        with pytest.raises(UsageError) as caught:
            act()
        assert str(caught.value) == (
            f"prefix {prefix!r}: leads to another folder than {folder};"
            " expected the start of file names"
        )
    assert not folder.exists()
    assert generated == []


# Telling them from real arrays


@pytest.mark.parametrize("parts", [PARTS, ("Xtr", "ytr"), ("Xte", "yte"), ("yte",)])
def test_stand_in_is_known_by_any_of_its_files(parts, folder):
    synthesize(folder, "age_")
    assert known_as_stand_in(folder, "age_", parts)


@pytest.mark.parametrize("n_replaced", range(5))
def test_a_folder_is_synthetic_while_any_of_its_files_is(n_replaced, folder):
    paths = synthesize(folder, "")
    for part in PARTS[:n_replaced]:
        np.save(paths[part], np.load(paths[part]) + 1)
    files = {part: NpyFile(path) for part, path in paths.items()}
    assert stand_in_parts(files) == PARTS[n_replaced:]
    assert is_stand_in(files) == (n_replaced < 4)
    for file in files.values():
        file.close()


def test_arrays_without_a_marker_are_real(data_dir):
    assert not known_as_stand_in(data_dir)


def test_marker_of_another_prefix_says_nothing(folder):
    paths = synthesize(folder, "a_")
    for part, path in paths.items():
        (folder / f"b_{part}.npy").write_bytes(path.read_bytes())
    assert not known_as_stand_in(folder, "b_")


@pytest.mark.parametrize(
    "marker",
    [
        *(b"", b"{", b"[]", b"3", b"null", b"{}", b"\xff\xfe", b"[" * 100_000),
        *(b'{"sha256": 1}', b'{"sha256": []}', b'{"sha256": {"Xtr": null}}'),
        b'{"sha256": ' + b"9" * 5000 + b"}",
    ],
    ids=lambda marker: marker[:20],
)
def test_broken_marker_is_no_marker(marker, folder):
    synthesize(folder, "")
    marker_path(folder, "").write_bytes(marker)
    assert not known_as_stand_in(folder)


def test_marker_that_is_a_folder_is_no_marker(folder):
    synthesize(folder, "")
    marker_path(folder, "").unlink()
    marker_path(folder, "").mkdir()
    assert not known_as_stand_in(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_marker_that_is_a_fifo_is_not_waited_for(folder):
    synthesize(folder, "")
    marker_path(folder, "").unlink()
    os.mkfifo(marker_path(folder, ""))
    found = []
    thread = threading.Thread(target=lambda: found.append(known_as_stand_in(folder)), daemon=True)
    thread.start()
    thread.join(5)
    assert found == [False]
