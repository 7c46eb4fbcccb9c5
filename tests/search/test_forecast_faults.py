"""Where a forecast cannot write what it wants to time."""

import errno
import os
import tempfile

import numpy as np
import pytest

from sgdlab.config.reading import load_config
from sgdlab.errors import StorageError
from sgdlab.search.forecast import sample, writing
from sgdlab.search.forecast.sample import open_source, sample_dataset
from sgdlab.system.files import temporary_folder
from tests.system.test_files import failing


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_no_folder_for_temporary_files(number, monkeypatch):
    monkeypatch.setattr(os, "mkdir", failing(os.mkdir, 0, number))
    what = f"{os.strerror(number).lower()}; expected a writable folder .TMPDIR names another one"
    with pytest.raises(StorageError, match=what), temporary_folder():
        pytest.fail("made")


def test_no_folder_at_all_for_temporary_files(monkeypatch):
    def refuse():
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", refuse)
    with (
        pytest.raises(StorageError, match=r"^the folder for temporary files: no usable"),
        temporary_folder(),
    ):
        pytest.fail("made")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_disk_that_takes_no_sample(order, number, write_config, tmp_path, monkeypatch):
    config = load_config(write_config())
    for part in ("Xtr", "Xte"):
        file = tmp_path / "data" / f"{part}.npy"
        np.save(file, np.asarray(np.load(file), order=order))
    monkeypatch.setattr(np, "save", failing(np.save, 0, number))
    write_header = sample.npy_format.write_array_header_1_0
    monkeypatch.setattr(
        sample.npy_format, "write_array_header_1_0", failing(write_header, 0, number)
    )
    with (
        open_source(config.data) as (source, _),
        pytest.raises(StorageError, match=f"X.*npy: {os.strerror(number).lower()};"),
        sample_dataset(source, 10, in_files=True),
    ):
        pytest.fail("made")


def test_runs_that_cannot_be_written_are_timed_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setattr(os, "mkdir", failing(os.mkdir, 0, errno.ENOSPC))
    with (
        pytest.raises(StorageError, match="no space left on device; expected a writable folder"),
        writing._folder(tmp_path / "runs"),
    ):
        pytest.fail("made")
