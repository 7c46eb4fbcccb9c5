"""Files that are whole or untouched, and a lock that dies with its holder."""

import contextlib
import errno
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sgdlab.errors import StorageError
from sgdlab.system import files as system_files
from sgdlab.system.files import MANY_FILES, locked, write_files

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


def test_folder_is_made_with_its_parents_and_may_be_there(tmp_path):
    for _ in range(2):
        system_files.make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


# The lock

HOLDER = """
import sys, time
from pathlib import Path
from sgdlab.system.files import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock until its standard input is closed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout.readline().strip() == b"held"
        yield process
        process.kill()


def test_second_holder_is_told_at_once_who_the_first_is(holder, tmp_path):
    start = time.monotonic()
    with pytest.raises(StorageError) as caught, locked(tmp_path / "lock"):
        pytest.fail("two holders")
    assert time.monotonic() - start < 2
    assert checked_message(caught.value, tmp_path) == (
        f"{tmp_path}: in use by pid {holder.pid} on {socket.gethostname()};"
        " expected one command at a time (wait for it to end)"
    )


def test_lock_is_free_when_its_holder_has_ended(holder, tmp_path):
    holder.communicate()
    with locked(tmp_path / "lock"):
        assert str(os.getpid()) in (tmp_path / "lock.holder").read_text()


@needs_unix
def test_lock_of_a_killed_process_does_not_block(holder, tmp_path):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / "lock.holder").exists()  # the process had no time to tidy up
    with locked(tmp_path / "lock"):
        assert str(os.getpid()) in (tmp_path / "lock.holder").read_text()
    assert not (tmp_path / "lock.holder").exists()


def test_second_holder_without_a_name_of_the_first(holder, tmp_path):
    (tmp_path / "lock.holder").unlink()
    with pytest.raises(StorageError, match="in use by another process;"), locked(tmp_path / "lock"):
        pytest.fail("two holders")


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt])
def test_lock_is_given_back_whatever_happens_inside(error, tmp_path):
    for _ in range(2):
        with pytest.raises(error) as caught, locked(tmp_path / "lock"):
            raise error
        assert caught.type is error
        assert not (tmp_path / "lock.holder").exists()


def test_same_process_cannot_hold_a_lock_twice(tmp_path):
    with (
        locked(tmp_path / "lock"),
        pytest.raises(StorageError, match=f"in use by pid {os.getpid()} on"),
        locked(tmp_path / "lock"),
    ):
        pytest.fail("two holders")


def test_folder_that_is_moved_away_is_no_crash(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    with locked(folder / "lock"):
        folder.rename(tmp_path / "elsewhere")
    assert not folder.exists()


@pytest.mark.parametrize("name", ["folder", "loop", "a\0b"])
def test_lock_that_cannot_be_taken(name, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(StorageError) as caught, locked(tmp_path / name):
        pytest.fail("held")
    checked_message(caught.value, tmp_path / name)


@needs_unix
def test_lock_file_that_its_last_holder_removes_meanwhile_is_not_held_alone(tmp_path, monkeypatch):
    """Between opening and locking it, as another process would at its end."""
    acquire = system_files.FileLock.acquire
    taken = []

    def late(lock, *arguments, **options):
        held = acquire(lock, *arguments, **options)
        if not taken:
            (tmp_path / "lock").unlink()
        taken.append(lock)
        return held

    monkeypatch.setattr(system_files.FileLock, "acquire", late)
    with (
        locked(tmp_path / "lock"),
        pytest.raises(StorageError, match="in use by"),
        locked(tmp_path / "lock"),
    ):
        pytest.fail("two holders")
    assert len(taken) == 2


@needs_unix
def test_third_holder_is_refused_while_the_first_gives_back_what_the_second_has(
    tmp_path, monkeypatch
):
    """The second comes between the removal of the lock file and the release of the lock on it."""
    release = system_files.FileLock.release
    second = contextlib.ExitStack()

    def late(lock, *arguments, **options):
        monkeypatch.undo()
        second.enter_context(locked(tmp_path / "lock"))
        release(lock, *arguments, **options)

    with second:
        with locked(tmp_path / "lock"):
            monkeypatch.setattr(system_files.FileLock, "release", late)
        assert system_files.FileLock.release is release
        with pytest.raises(StorageError, match="in use by"), locked(tmp_path / "lock"):
            pytest.fail("two holders")
    assert list(tmp_path.iterdir()) == []


@needs_unix
def test_lock_of_another_process_in_a_folder_made_anew_is_left_alone(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    with contextlib.ExitStack() as first, contextlib.ExitStack() as second:
        first.enter_context(locked(folder / "lock"))
        folder.rename(tmp_path / "elsewhere")
        folder.mkdir()
        second.enter_context(locked(folder / "lock"))
        first.close()
        assert names(folder) == ["lock", "lock.holder"]


@needs_unix
def test_lock_that_is_given_back_while_it_is_asked_for_is_nobodys(tmp_path, monkeypatch):
    acquire = system_files.FileLock.acquire

    def refuse_once(lock):
        monkeypatch.undo()
        (tmp_path / "lock").unlink()  # as its holder does at its end
        raise system_files.Timeout(str(tmp_path / "lock"))

    monkeypatch.setattr(system_files.FileLock, "acquire", refuse_once)
    with locked(tmp_path / "lock"):
        assert names(tmp_path) == ["lock", "lock.holder"]
    assert system_files.FileLock.acquire is acquire


@needs_unix
@pytest.mark.parametrize("is_there", [False, True])
@pytest.mark.parametrize("error", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_simulated_file_system_without_locks(error, is_there, tmp_path, monkeypatch):
    """A lock file that is there says nothing: nobody could have locked it."""
    import fcntl

    path = tmp_path / "lock"
    if is_there:
        path.write_text(f"{os.getpid()}\n{socket.gethostname()}\n")
    monkeypatch.setattr(fcntl, "flock", failing(fcntl.flock, 0, error))
    with pytest.raises(StorageError) as caught, locked(path):
        pytest.fail("held")
    reason = os.strerror(error).lower()
    message = f"{path}: {reason}; expected a file system that can lock files"
    assert checked_message(caught.value, path) == message
    assert caught.value.exit_code == 4


def test_lock_file_is_gone_at_the_end_and_was_there_until_then(tmp_path):
    with locked(tmp_path / "lock"):
        assert (tmp_path / "lock").exists()
    assert list(tmp_path.iterdir()) == []


def test_simulated_full_disk_while_taking_the_lock_gives_it_back(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", failing(os.fsync, 0))
    with pytest.raises(StorageError, match="no space left"), locked(tmp_path / "lock"):
        pytest.fail("held")
    monkeypatch.undo()
    with locked(tmp_path / "lock"):
        pass
