"""Stand-in arrays that a killed process, another one or a passing error meets half-written."""

import errno
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from sgdlab.data import stand_in
from sgdlab.data.dataset import PARTS, open_dataset
from sgdlab.data.stand_in import (
    is_stand_in,
    shape_if_missing,
    synthesize,
    synthesize_if_missing,
)
from sgdlab.errors import DataError, StorageError
from sgdlab.lab.describe.measure import describe
from sgdlab.observer import Observer
from tests.data.test_stand_in import Notes, config, contents, known_as_stand_in

pytestmark = pytest.mark.usefixtures("generated")


class Killed(BaseException):
    """Nothing is tidied up after it."""


@pytest.fixture
def killed_after(monkeypatch):
    """A process that writes the stand-in is killed after some of its renames."""

    def kill(n_done, folder, prefix="", seed=0):
        replace, done = os.replace, []

        def replace_some(source, target):
            if not str(target).endswith(".holder"):
                if len(done) == n_done:
                    raise Killed
                done.append(target)
            replace(source, target)

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", replace_some)
            patch.setattr(Path, "unlink", lambda path, missing_ok=False: None)
            with pytest.raises(Killed):
                synthesize(folder, prefix, seed)

    return kill


@pytest.mark.parametrize("n_done", range(5))
def test_arrays_of_a_synthesis_that_died_are_known(n_done, folder, killed_after):
    killed_after(n_done, folder)
    present = [part for part in PARTS if (folder / f"{part}.npy").exists()]
    assert len(present) == max(0, n_done - 1)
    assert any(name.endswith(".tmp") for name in contents(folder))
    assert not present or known_as_stand_in(folder, parts=present)


@pytest.mark.parametrize("seed", [0, 5])
@pytest.mark.parametrize("n_done", range(5))
def test_what_a_killed_process_has_written_is_completed(n_done, seed, folder, killed_after):
    synthesize(folder.with_name("whole"), "p_", seed)
    killed_after(n_done, folder, "p_", seed)
    observer = Notes()
    assert shape_if_missing(config(folder, prefix="p_")) is not None
    synthesize_if_missing(config(folder, prefix="p_"), observer)
    if n_done or not seed:  # else nothing says what was begun
        assert contents(folder) == contents(folder.with_name("whole"))
    begun = "completed the half-written" if n_done else "no arrays; wrote a"
    assert [note.partition(" synthetic")[0] for note in observer.notes] == [f"{folder}: {begun}"]


@pytest.mark.parametrize("n_done", [1, 3])
def test_the_command_completes_what_it_had_begun_itself_alone(n_done, folder, killed_after):
    killed_after(n_done, folder, seed=5)
    if n_done > 1:
        with pytest.raises(StorageError, match="already there"):
            synthesize(folder, "", 6)
    synthesize(folder, "", 5)
    assert set(contents(folder)) == {"stand-in.json", *(f"{part}.npy" for part in PARTS)}


@pytest.mark.parametrize("n_done", [2, 3])
def test_own_arrays_beside_half_a_stand_in_are_not_completed(n_done, folder, killed_after):
    killed_after(n_done, folder)
    np.save(folder / "Xtr.npy", np.ones((4, 4)))
    before = contents(folder)
    synthesize_if_missing(config(folder), Notes())
    assert contents(folder) == before


def test_two_commands_at_once_write_once(folder, generated, monkeypatch):
    write, observers = stand_in._write, [Notes() for _ in range(4)]
    monkeypatch.setattr(stand_in, "_write", lambda *what: (time.sleep(0.2), write(*what)))
    start = threading.Barrier(len(observers))

    def command(observer):
        start.wait()
        synthesize_if_missing(config(folder), observer)

    threads = [threading.Thread(target=command, args=[observer]) for observer in observers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(generated) == 1
    assert sum(len(observer.notes) for observer in observers) == 1
    assert set(contents(folder)) == {"stand-in.json", *(f"{part}.npy" for part in PARTS)}


# What cannot be looked at now


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.ESTALE])
def test_arrays_that_cannot_be_looked_at_are_never_written_over(
    number, folder, refusing, monkeypatch
):
    folder.mkdir(parents=True)
    for part in PARTS:
        np.save(folder / f"{part}.npy", np.arange(3.0))
    before = {path: path.read_bytes() for path in folder.iterdir()}
    for part in PARTS:
        refusing(folder / f"{part}.npy", number, "lstat", "stat")
    for call in (
        lambda: synthesize(folder, ""),
        lambda: synthesize_if_missing(config(folder), Observer()),
    ):
        with pytest.raises(StorageError, match="cannot be read now"):
            call()
    monkeypatch.undo()
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO])
def test_a_stand_in_whose_marker_cannot_be_read_is_not_taken_for_real_arrays(
    number, folder, monkeypatch
):
    synthesize(folder, "")

    def refuse(path, *_, **__):
        raise OSError(number, os.strerror(number), str(path))

    with open_dataset(config(folder)) as dataset:
        assert is_stand_in(dataset.arrays)
        monkeypatch.setattr("sgdlab.data.stand_in.read_regular", refuse)
        with pytest.raises(StorageError, match="cannot be read now"):
            is_stand_in(dataset.arrays)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EACCES])
def test_a_folder_that_cannot_be_listed_is_not_empty(number, folder, refusing):
    synthesize(folder, "")
    refusing(folder, number, "listdir", "scandir")
    with pytest.raises(DataError, match=os.strerror(number).lower()):
        describe(folder, None)
