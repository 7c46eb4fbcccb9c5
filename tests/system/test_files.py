"""Files that are whole or untouched."""

import errno
import os
import re
import stat
import sys
from pathlib import Path

import pytest

from sgdlab.errors import StorageError
from sgdlab.system import files as system_files
from sgdlab.system.files import MANY_FILES, write_files

needs_unix = pytest.mark.skipif(sys.platform == "win32", reason="signals and limits of Unix")


def old_files(folder, n_files=3):
    """Some files to be replaced, and what is to replace them."""
    paths = [folder / f"{n}.json" for n in range(n_files)]
    for path in paths:
        path.write_bytes(b"old")
    return {path: f"new {path.name}".encode() for path in paths}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def checked_message(error, path):
    message = str(error)
    assert len(message.splitlines()) == 1
    assert message.startswith(f"{path}: ")
    assert "; expected " in message
    return message


def failing(function, n_good, error=errno.ENOSPC):
    """A function that reports a disk error after some good calls; the disk itself is fine."""
    calls = []

    def wrapped(*args):
        calls.append(args)
        if len(calls) > n_good:
            raise OSError(error, os.strerror(error))
        return function(*args)

    return wrapped


# Writing


@pytest.mark.parametrize("n_files", [1, 3, MANY_FILES + 1])
def test_files_are_written_and_replaced(n_files, tmp_path):
    files = old_files(tmp_path, n_files) | {tmp_path / "added": bytes(range(256)) * 5000}
    write_files(files)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == files


def test_no_files_are_fine(tmp_path):
    write_files({})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("n_files", [2, MANY_FILES])
def test_files_are_flushed_before_they_are_renamed_and_folders_after(
    n_files, tmp_path, monkeypatch
):
    events = []
    fsync, replace = os.fsync, os.replace

    def record_fsync(descriptor):
        events.append(("flush", os.fstat(descriptor).st_ino))
        fsync(descriptor)

    def record_replace(source, target):
        assert Path(source).parent == Path(target).parent
        events.append(("rename", os.stat(source).st_ino))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "replace", record_replace)
    files = old_files(tmp_path, n_files)
    write_files(files)
    inodes = [path.stat().st_ino for path in files]
    expected = [("flush", inode) for inode in inodes] + [("rename", inode) for inode in inodes]
    if os.name != "nt":
        expected.append(("flush", tmp_path.stat().st_ino))
    assert events == expected


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("n_good", range(3))
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_simulated_disk_error_leaves_every_file_whole(call, n_good, error, tmp_path, monkeypatch):
    files = old_files(tmp_path)
    monkeypatch.setattr(os, call, failing(getattr(os, call), n_good, error))
    with pytest.raises(StorageError) as caught:
        write_files(files)
    path = list(files)[n_good]
    assert checked_message(caught.value, path).startswith(f"{path}: {os.strerror(error).lower()}; ")
    assert names(tmp_path) == ["0.json", "1.json", "2.json"]
    n_replaced = n_good if call == "replace" else 0
    for n, (path, content) in enumerate(files.items()):
        assert path.read_bytes() == (content if n < n_replaced else b"old")


@pytest.mark.skipif(os.name == "nt", reason="folders are not flushed on Windows")
def test_simulated_error_of_the_last_flush_is_reported(tmp_path, monkeypatch):
    files = old_files(tmp_path)
    monkeypatch.setattr(os, "fsync", failing(os.fsync, len(files), errno.EIO))
    with pytest.raises(StorageError, match="input/output error"):
        write_files(files)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == files


@needs_unix
def test_file_beyond_the_size_limit_leaves_the_old_one(tmp_path):
    import resource

    files = old_files(tmp_path, 1) | {tmp_path / "large": bytes(50_000)}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(StorageError, match="too large") as caught:
            write_files(files)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    checked_message(caught.value, tmp_path / "large")
    assert names(tmp_path) == ["0.json"]
    assert (tmp_path / "0.json").read_bytes() == b"old"


def test_interruption_leaves_no_temporary_file(tmp_path, monkeypatch):
    files = old_files(tmp_path)

    def interrupt(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_files(files)
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {b"old"}


def test_temporary_names_are_hidden_and_known(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(system_files, "_flush", lambda path: seen.extend(names(path.parent)))
    write_files({tmp_path / "a.json": b""})
    (name,) = seen
    assert re.fullmatch(rf"\.a\.json\.{os.getpid()}-[0-9a-f]{{8}}\.tmp", name)
    assert name.endswith(system_files.TEMPORARY_SUFFIX)


@pytest.mark.parametrize("name", ["absent/a", "a\0b", "a" * 300, "folder", "\ud800"])
def test_path_that_cannot_be_written(name, tmp_path):
    (tmp_path / "folder").mkdir()
    good, bad = tmp_path / "good", tmp_path / name
    good.write_bytes(b"old")
    with pytest.raises(StorageError) as caught:
        write_files({bad: b"new", good: b"new"})
    checked_message(caught.value, bad)
    assert names(tmp_path) == ["folder", "good"]
    assert good.read_bytes() == b"old"


@pytest.mark.parametrize("name", ["file", "file/below", "a\0b", "a" * 300])
def test_folder_that_cannot_be_made(name, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError) as caught:
        system_files.make_folder(tmp_path / name)
    checked_message(caught.value, tmp_path / name)


@needs_unix
@pytest.mark.parametrize("error", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF])
def test_simulated_folder_that_cannot_be_flushed_stops_no_work(error, tmp_path, monkeypatch):
    fsync = os.fsync

    def of_files_alone(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(error, os.strerror(error))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", of_files_alone)
    write_files({tmp_path / "a": b"1"})
    assert (tmp_path / "a").read_bytes() == b"1"


@needs_unix
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
def test_simulated_failing_flush_of_a_folder_is_an_error(error, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", failing(os.fsync, 1, error))
    with pytest.raises(StorageError, match=re.escape(os.strerror(error).lower())):
        write_files({tmp_path / "a": b"1"})


@needs_unix
def test_folders_that_are_made_are_flushed_from_the_top(tmp_path, monkeypatch):
    flushed = []
    monkeypatch.setattr(os, "fsync", lambda number: flushed.append(os.fstat(number).st_ino))
    for _ in range(2):  # nothing is made the second time
        system_files.make_folder(tmp_path / "a" / "b")
    assert flushed == [tmp_path.stat().st_ino, (tmp_path / "a").stat().st_ino]


def test_folder_is_made_with_its_parents_and_may_be_there(tmp_path):
    for _ in range(2):
        system_files.make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
