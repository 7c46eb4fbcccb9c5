"""Large files, of which the fingerprint knows pieces, and a run all bytes."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from sgdlab import workflows
from sgdlab.data import row_array
from sgdlab.data.dataset import PARTS
from sgdlab.errors import DataError
from tests.search.test_session import GRID, TRAIN, Recorder, Stopping, contents

FOLDS = {"validation": {"folds": 3}}


def search_options(folder, **more):
    return workflows.SearchOptions(Path(folder) / "runs", **more)


@pytest.fixture
def old_files(data_dir):
    """The arrays, older than any clock's tick."""
    for path in data_dir.iterdir():
        os.utime(path, ns=(0, 0))
    return data_dir


@pytest.fixture
def small_samples(monkeypatch):
    """Files of more than 1000 bytes count as large: 20 pieces of 50 bytes are hashed."""
    monkeypatch.setattr(row_array, "HASHED_WHOLE_BYTES", 1000)
    monkeypatch.setattr(row_array, "HASHED_PIECES", 20)


def between_pieces(folder):
    """Corrects some training rows in place, none of which is in a piece that is hashed."""
    path = folder / "Xtr.npy"
    content = bytearray(path.read_bytes())
    length = len(content)
    starts = np.linspace(0, length - 50, 20, dtype=np.int64)
    free = [n for n in range(136, length - 8, 8) if not any(s - 8 < n < s + 50 for s in starts)]
    values = np.frombuffer(bytes(content)[128:]).copy()
    for place in free[::7]:
        values[(place - 128) // 8] = 3.0
    with open(path, "r+b") as stream:
        stream.seek(128)
        stream.write(values.tobytes())
    os.utime(path, ns=(0, 0))


@pytest.fixture
def hashed(monkeypatch):
    """The names of arrays that are read whole for a hash, as it happens."""
    names = []
    original = row_array._hash_all

    def noted(n_bytes, read_into):
        if n_bytes > row_array.HASHED_WHOLE_BYTES:
            names.append(n_bytes)
        return original(n_bytes, read_into)

    monkeypatch.setattr(row_array, "_hash_all", noted)
    return names


@pytest.mark.usefixtures("small_samples")
@pytest.mark.parametrize("sections", [{"train": TRAIN, "grid": GRID}, {"data": FOLDS}])
def test_rows_that_are_corrected_between_the_samples_are_trained_anew(
    sections, write_config, old_files, tmp_path
):
    config, options = write_config("large", **sections), search_options(tmp_path)
    stale = workflows.grid_search(config, options=options)
    kept = contents(stale.directory)
    between_pieces(old_files)
    recorder = Recorder()
    found = workflows.grid_search(config, options=options, observer=recorder)
    assert found.directory.name == f"{stale.directory.name}-2"
    assert any(note.startswith(f"{stale.directory.path}: of other data") for note in recorder.notes)
    fresh = workflows.grid_search(config, options=search_options(tmp_path / "fresh"))
    assert contents(found.directory) == contents(fresh.directory) != kept
    assert contents(stale.directory) == kept
    again = workflows.grid_search(config, options=options)
    assert again.directory == found.directory
    assert again.rows() == fresh.rows() != stale.rows()


@pytest.mark.usefixtures("small_samples")
def test_evaluate_refuses_rows_that_were_corrected_between_the_samples(
    write_config, old_files, tmp_path
):
    options = search_options(tmp_path)
    config = write_config("large")
    directory = workflows.train(config, options=options).directory
    good = (old_files / "Xtr.npy").read_bytes()
    assert workflows.evaluate(directory.name, options.runs_dir).warnings == ()
    between_pieces(old_files)
    with pytest.raises(DataError, match=r"not the arrays that .* was trained on"):
        workflows.evaluate(directory.name, options.runs_dir)
    arrays = {part: np.load(old_files / f"{part}.npy") for part in PARTS}
    (rows, *_) = workflows.evaluate(directory.name, options.runs_dir, arrays=arrays).evaluated
    assert rows.rows == "Xtr"  # as of any others
    (old_files / "Xtr.npy").write_bytes(good)
    assert workflows.evaluate(directory.name, options.runs_dir).warnings == ()


@pytest.mark.usefixtures("small_samples")
@pytest.mark.parametrize("is_fresh", [False, True])
def test_an_interrupted_run_is_not_finished_on_other_rows(
    is_fresh, write_config, old_files, tmp_path
):
    config = write_config("large", train=TRAIN, grid=GRID | {"order": ["in_order", "shuffle_once"]})
    options = search_options(tmp_path, fresh=is_fresh)
    if is_fresh:
        workflows.grid_search(config, options=options)
    with pytest.raises(KeyboardInterrupt):
        workflows.grid_search(config, options=options, observer=Stopping(6))
    before = {path: contents_of(path) for path in Path(options.runs_dir).iterdir()}
    between_pieces(old_files)
    found = workflows.grid_search(config, options=options)
    expected = workflows.grid_search(config, options=search_options(tmp_path / "elsewhere"))
    assert found.directory.path not in before
    assert contents(found.directory) == contents(expected.directory)
    assert {path: contents_of(path) for path in before} == before


def contents_of(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.usefixtures("small_samples")
def test_a_large_file_is_read_whole_once_as_long_as_nobody_touches_it(
    write_config, old_files, tmp_path, hashed
):
    config, options = write_config("large"), search_options(tmp_path)
    recorder = Recorder()
    directory = workflows.train(config, options=options, observer=recorder).directory
    large = [part for part in PARTS if (old_files / f"{part}.npy").stat().st_size > 1000]
    assert sorted(hashed) == sorted((old_files / f"{part}.npy").stat().st_size for part in large)
    assert sum("for a hash" in note for note in recorder.notes) == len(large)
    known = json.loads(directory.experiment_file.read_bytes())["data"]["whole"]
    assert sorted(known) == sorted(large)
    hashed.clear()
    workflows.train(config, options=options)
    workflows.evaluate("latest", options.runs_dir)
    assert hashed == []


@pytest.mark.usefixtures("small_samples")
def test_large_files_that_were_moved_are_read_whole_once_more(
    write_config, old_files, tmp_path, hashed
):
    config, options = write_config("large"), search_options(tmp_path)
    directory = workflows.train(config, options=options).directory
    before = contents(directory)
    shutil.copytree(old_files, tmp_path / "copied")
    moved = [f"data.path={tmp_path / 'copied'}"]
    hashed.clear()
    assert workflows.train(config, moved, options).directory == directory
    assert len(hashed) > 0
    hashed.clear()
    assert workflows.train(config, moved, options).directory == directory
    assert workflows.evaluate("latest", options.runs_dir).warnings == ()
    assert hashed == []
    assert contents(directory) == before


@pytest.mark.usefixtures("small_samples")
def test_large_arrays_in_memory_are_known_by_all_of_their_bytes(
    write_config, old_files, tmp_path, arrays
):
    config, options = write_config("large"), search_options(tmp_path)
    first = workflows.train(config, options=options, arrays=arrays)
    between_pieces(old_files)
    corrected = arrays | {"Xtr": np.load(old_files / "Xtr.npy")}
    second = workflows.train(config, options=options, arrays=corrected)
    assert second.directory.name == f"{first.directory.name}-2"
    assert second.rows() != first.rows()
    assert workflows.train(config, options=options, arrays=arrays).directory == first.directory
    assert workflows.train(config, options=options).directory == second.directory


@pytest.mark.usefixtures("small_samples")
def test_a_change_with_the_old_time_put_back_is_no_stamp_that_is_known(
    write_config, old_files, tmp_path
):
    """Between two commands: the time of modification says nothing, that of the inode does."""
    config, options = write_config("large"), search_options(tmp_path)
    first = workflows.train(config, options=options).directory
    status = (old_files / "Xtr.npy").stat()
    between_pieces(old_files)
    changed = (old_files / "Xtr.npy").stat()
    assert (status.st_size, status.st_mtime_ns, status.st_ino) == (
        changed.st_size, changed.st_mtime_ns, changed.st_ino,
    )  # fmt: skip
    assert workflows.train(config, options=options).directory.name == f"{first.name}-2"
