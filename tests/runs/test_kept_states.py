"""The file that keeps a training's state: damaged, a stranger's, unreadable, on a full disk."""

import errno
import io
import os
import zipfile

import numpy as np
import pytest

from sgdlab import workflows
from sgdlab.errors import DataError, StorageError, UnreadableError
from sgdlab.runs.names import origin_of
from sgdlab.runs.open_run import OpenRun
from sgdlab.runs.stops import sealed_arrays
from sgdlab.search import keeping
from sgdlab.system import files as system_files
from tests.search.test_checkpoints import Trained, run_of, search
from tests.search.test_session import Recorder, contents

pytestmark = pytest.mark.usefixtures("eager")


@pytest.fixture
def path(write_config):
    """Batches of 8, so that a window is open at the end of a chunk of 20 rows."""
    grid = {"learning_rate": [0.01, 0.03]}
    return write_config("kept", train={"epochs": 7, "batch_size": 8}, grid=grid)


@pytest.fixture
def whole(path, tmp_path):
    return contents(search(path, tmp_path / "whole").directory)


@pytest.fixture
def run(path, tmp_path, monkeypatch):
    """Broken off in its sixth epoch, while the fifth waits for its validation."""
    with monkeypatch.context() as patch:
        Trained(patch).breaking_off_after(5 * 7 + 3)
        with pytest.raises(KeyboardInterrupt):
            search(path, tmp_path / "runs")
    return run_of(tmp_path / "runs")


def arrays_of(run):
    with np.load(run.checkpoint_file, allow_pickle=False) as file:
        return dict(file)


def resumed(path, run):
    recorder = Recorder()
    found = search(path, run.path.parent, recorder)
    return contents(found.directory), recorder.notes


def assert_started_anew(path, run, whole):
    """With a note, from the first epoch, and what could not be used is still there."""
    file, before = run.checkpoint_file, run.checkpoint_file.read_bytes()
    found, notes = resumed(path, run)
    assert found.pop("damaged/checkpoint.npz") == before
    assert found == whole
    (note,) = [note for note in notes if "set aside" in note]
    assert note.startswith(f"{file}: ")
    end = f"set aside as {run.path / 'damaged' / file.name}, and its training starts anew"
    assert note.endswith(end)
    assert "going on after" not in notes[-1]


def test_the_state_has_what_this_file_is_about(run, path, whole):
    arrays = arrays_of(run)
    assert arrays["place"].tolist() == [5, 48]
    assert arrays["block-0000.validation.epochs"].tolist() == [5]
    assert len(arrays["block-0000.kernel.held_targets"]) > 0
    found, notes = resumed(path, run)
    assert found == whole
    assert notes[0] == f"{run.path}: going on after epoch 5 of 7"


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_a_file_that_is_cut_is_set_aside(share, run, path, whole):
    content = run.checkpoint_file.read_bytes()
    run.checkpoint_file.write_bytes(content[: int(share * len(content))])
    assert_started_anew(path, run, whole)


@pytest.mark.parametrize("seed", range(6))
def test_a_flipped_bit_changes_no_result(seed, run, path, whole):
    content = bytearray(run.checkpoint_file.read_bytes())
    rng = np.random.default_rng(seed)
    content[rng.integers(len(content))] ^= 1 << rng.integers(8)
    run.checkpoint_file.write_bytes(content)
    found, _ = resumed(path, run)
    found.pop("damaged/checkpoint.npz", None)  # some bits of a zip file say nothing
    assert found == whole


def change(name, make):
    """One array made another, with a seal that is right: what only a stranger can write."""

    def changed(arrays):
        arrays[name] = np.asarray(make(arrays[name]))

    changed.__name__ = name
    return changed


def without(name):
    return lambda arrays: arrays.pop(name)


BLOCK, KERNEL, WAITING = "block-0000.", "block-0000.kernel.", "block-0000.validation."
STRANGE = {
    "no place": without("place"),
    "no state": without(f"{KERNEL}V"),
    "no block": change("blocks", lambda a: a + 1000),
    "an epoch that is none": change("place", lambda a: np.array([10**9, 48])),
    "an epoch below 0": change("place", lambda a: np.array([-3, 48])),
    "another epoch": change("place", lambda a: np.array([4, 48])),
    "between epochs": change("place", lambda a: np.array([5, 0])),
    "a row that is none": change("place", lambda a: np.array([5, 10**12])),
    "no end of a chunk": change("place", lambda a: np.array([5, 61])),
    "a place of floats": change("place", lambda a: a.astype(float)),
    "places": change("place", lambda a: np.stack([a, a])),
    "one number": change(f"{KERNEL}held_targets", lambda a: a[0]),
    "weights of another shape": change(f"{KERNEL}V", lambda a: a[:, :-1]),
    "weights of another precision": change(f"{KERNEL}V", lambda a: a.astype(np.float32)),
    "weights of complex numbers": change(f"{KERNEL}V", lambda a: a.astype(complex)),
    "too many rows": change(f"{KERNEL}held_rows", lambda a: np.concatenate([a, a])),
    "a window in a window": change(f"{KERNEL}place", lambda a: a + np.array([0, 3, 0])),
    "a kernel elsewhere": change(f"{KERNEL}place", lambda a: a * 0),
    "a history too short": change(f"{BLOCK}history", lambda a: a[1:]),
    "a history of words": change(f"{BLOCK}history", lambda a: a.astype(str)),
    "nobody": change(f"{BLOCK}alive", lambda a: a[:0]),
    "an epoch to come waits": change(f"{WAITING}epochs", lambda a: a + 2),
    "members that are none": change(f"{WAITING}members", lambda a: a + 2),
    "members below 0": change(f"{WAITING}members", lambda a: a - 5),
    "too many members": change(f"{WAITING}n_members", lambda a: a + 10**15),
    "a best that is none": change("best", lambda a: [a, a]),
}


@pytest.mark.parametrize("what", STRANGE)
def test_a_state_of_something_else_is_set_aside(what, run, path, whole):
    arrays = arrays_of(run)
    del arrays["seal"]
    STRANGE[what](arrays)
    origin = origin_of(run.experiment())
    with open(run.checkpoint_file, "wb") as stream:
        np.savez(stream, **sealed_arrays(arrays, origin))
    if what in ("no block", "an epoch that is none"):  # nothing that is missing comes of it
        assert resumed(path, run)[0] == whole
    else:
        assert_started_anew(path, run, whole)


def test_the_state_of_another_run_is_set_aside(run, path, whole):
    arrays = arrays_of(run)
    del arrays["seal"]
    with open(run.checkpoint_file, "wb") as stream:
        np.savez(stream, **sealed_arrays(arrays, "another"))
    assert_started_anew(path, run, whole)


def bomb(stream):
    """A small file of many zeros."""
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("place.npy", b"\0" * 10**7)


def pickled(stream):
    np.savez(stream, allow_pickle=True, place=np.array([{"a": 1}], dtype=object))


def claiming(stream):
    """A header that says more than there is."""
    header = io.BytesIO()
    shape = {"descr": "<f8", "fortran_order": False, "shape": (10**12,)}
    np.lib.format.write_array_header_1_0(header, shape)
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr("place.npy", header.getvalue())


def overlapping(stream):
    """Many members that are the same bytes."""
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr("place.npy", b"\0" * 2000)
        info = file.infolist()[0]
        file.filelist.extend([info] * 50)


def huge(stream):
    stream.truncate(10**9)


@pytest.mark.parametrize("write", [bomb, pickled, claiming, overlapping, huge])
def test_a_file_that_asks_for_too_much_is_set_aside(write, run, path, whole):
    with open(run.checkpoint_file, "wb") as stream:
        write(stream)
    found, notes = resumed(path, run)
    assert found.pop("damaged/checkpoint.npz")
    assert found == whole
    assert any("starts anew" in note for note in notes)


@pytest.mark.parametrize("kind", ["folder", "fifo", "link"])
def test_what_is_no_file_is_set_aside(kind, run, path, whole, tmp_path):
    run.checkpoint_file.unlink()
    if kind == "folder":
        run.checkpoint_file.mkdir()
    elif kind == "fifo":
        os.mkfifo(run.checkpoint_file)
    else:
        (tmp_path / "elsewhere").write_bytes(b"mine")
        run.checkpoint_file.symlink_to(tmp_path / "elsewhere")
    found, notes = resumed(path, run)
    assert any("starts anew" in note for note in notes)
    found.pop("damaged/checkpoint.npz", None)
    assert found == whole
    if kind == "link":
        assert (tmp_path / "elsewhere").read_bytes() == b"mine"


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
def test_what_cannot_be_read_now_is_neither_absent_nor_broken(
    number, run, path, whole, refusing, monkeypatch
):
    before = contents(run)
    with monkeypatch.context() as patch:
        original = os.lstat

        def refuse(given, *arguments, **options):
            if str(given) == str(run.checkpoint_file):
                raise OSError(number, os.strerror(number))
            return original(given, *arguments, **options)

        patch.setattr(os, "lstat", refuse)
        with pytest.raises(UnreadableError, match="checkpoint"):
            search(path, run.path.parent)
    after = contents(run)
    after.pop("state/lock.holder", None), before.pop("state/lock.holder", None)
    assert after == before
    assert resumed(path, run)[0] == whole


def test_a_stop_that_was_lost_is_trained_from_the_start(write_config, tmp_path, monkeypatch):
    """What a state can give is what comes after it."""
    grid = {"epochs": [2, 7]}
    path = write_config("stops", grid=grid)
    whole = contents(search(path, tmp_path / "whole").directory)
    with monkeypatch.context() as patch:
        Trained(patch).breaking_off_after(5 * 6 + 3)
        with pytest.raises(KeyboardInterrupt):
            search(path, tmp_path / "runs")
    run = run_of(tmp_path / "runs")
    for file in (*run.stops(), *run.cells_folder.iterdir()):
        file.unlink()
    found, notes = resumed(path, run)
    assert found == whole
    assert not any("going on after" in note for note in notes)


# Disks that take no more


@pytest.fixture
def full(monkeypatch):
    """A disk that takes stops and logs and no state."""
    original = system_files._fill

    def fill(path, content):
        if "checkpoint" in path.name:
            path.write_bytes(b"some of it")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(path, content)

    monkeypatch.setattr(system_files, "_fill", fill)


def test_a_state_that_finds_no_room_stops_no_training(path, tmp_path, whole, full):
    recorder = Recorder()
    found = search(path, tmp_path / "runs", recorder)
    assert contents(found.directory) == whole
    (note,) = [note for note in recorder.notes if "no space left" in note]
    assert note.endswith("; the training goes on, and its state is not kept")


def test_the_last_state_that_found_room_stays(path, run, whole, full, monkeypatch):
    before = run.checkpoint_file.read_bytes()
    with monkeypatch.context() as patch:
        Trained(patch).breaking_off_after(4)
        with pytest.raises(KeyboardInterrupt) as caught:
            search(path, run.path.parent)
    assert caught.value.__notes__ == [
        "0 of 2 cells kept; epoch 5 of 7 kept, and 48 of 104 rows of the next"
    ]
    assert run.checkpoint_file.read_bytes() == before
    assert [file.name for file in run.temporaries()] == []
    assert resumed(path, run)[0] == whole


def test_a_first_session_that_fails_leaves_what_it_has_kept(path, tmp_path, whole, monkeypatch):
    with monkeypatch.context() as patch:
        error = StorageError("disk", "no space left on device")
        patch.setattr(OpenRun, "commit", lambda *given: (_ for _ in ()).throw(error))
        with pytest.raises(StorageError):
            search(path, tmp_path / "runs")
    run = run_of(tmp_path / "runs")
    assert run.experiment().status == "failed"
    found, notes = resumed(path, run)
    assert found == whole
    assert notes[0] == f"{run.path}: going on after epoch 6 of 7"


def test_nothing_is_kept_of_data_that_have_changed(path, tmp_path, data_dir, monkeypatch):
    original = keeping.StateKeeper.keep

    def keep(self, plan_pass, checkpoint):
        if (checkpoint.epoch, checkpoint.row) == (2, 16):
            os.utime(data_dir / "Xtr.npy", ns=(0, 0))
        original(self, plan_pass, checkpoint)

    monkeypatch.setattr(keeping.StateKeeper, "keep", keep)
    with pytest.raises(DataError, match=r"Xtr\.npy: changed"):
        search(path, tmp_path / "runs")
    assert arrays_of(run_of(tmp_path / "runs"))["place"].tolist() == [2, 0]


def test_a_finished_run_keeps_no_state(path, run, whole):
    search(path, run.path.parent)
    assert not run.state_folder.exists()
    workflows.grid_search(path, options=workflows.SearchOptions(runs_dir=run.path.parent))
