"""A lock that dies with its holder."""

import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from sgdlab.errors import StorageError
from sgdlab.system import locks
from sgdlab.system.locks import locked
from tests.system.test_files import checked_message, failing, names, needs_unix

HOLDER = """
import sys, time
from pathlib import Path
from sgdlab.system.locks import locked
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
@pytest.mark.parametrize("kind", ["fifo", "link", "link to nothing", "zeros"])
def test_what_is_no_lock_file_is_not_written_through(kind, tmp_path):
    (tmp_path / "mine").write_bytes(b"mine")
    if kind == "fifo":
        os.mkfifo(tmp_path / "lock")
    else:
        targets = {"link": "mine", "link to nothing": "new", "zeros": "/dev/zero"}
        (tmp_path / "lock").symlink_to(targets[kind])
    before = names(tmp_path)
    with pytest.raises(StorageError) as caught, locked(tmp_path / "lock"):
        pytest.fail("held")
    checked_message(caught.value, tmp_path / "lock")
    assert names(tmp_path) == before
    assert (tmp_path / "mine").read_bytes() == b"mine"


@needs_unix
@pytest.mark.parametrize("kind", ["fifo", "zeros", "long"])
@pytest.mark.usefixtures("holder")
def test_whoever_holds_a_lock_may_write_anything_for_a_name(kind, tmp_path):
    name = tmp_path / "lock.holder"
    while not name.exists():
        time.sleep(0.01)
    name.unlink()
    if kind == "fifo":
        os.mkfifo(name)
    elif kind == "zeros":
        name.symlink_to("/dev/zero")
    else:
        name.write_bytes(b"x" * 10**6)
    with pytest.raises(StorageError, match="in use by another process"), locked(tmp_path / "lock"):
        pytest.fail("held")


@needs_unix
def test_lock_file_that_its_last_holder_removes_meanwhile_is_not_held_alone(tmp_path, monkeypatch):
    """Between opening and locking it, as another process would at its end."""
    acquire = locks.FileLock.acquire
    taken = []

    def late(lock, *arguments, **options):
        held = acquire(lock, *arguments, **options)
        if not taken:
            (tmp_path / "lock").unlink()
        taken.append(lock)
        return held

    monkeypatch.setattr(locks.FileLock, "acquire", late)
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
    release = locks.FileLock.release
    second = contextlib.ExitStack()

    def late(lock, *arguments, **options):
        monkeypatch.undo()
        second.enter_context(locked(tmp_path / "lock"))
        release(lock, *arguments, **options)

    with second:
        with locked(tmp_path / "lock"):
            monkeypatch.setattr(locks.FileLock, "release", late)
        assert locks.FileLock.release is release
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
    acquire = locks.FileLock.acquire

    def refuse_once(lock):
        monkeypatch.undo()
        (tmp_path / "lock").unlink()  # as its holder does at its end
        raise locks.Timeout(str(tmp_path / "lock"))

    monkeypatch.setattr(locks.FileLock, "acquire", refuse_once)
    with locked(tmp_path / "lock"):
        assert names(tmp_path) == ["lock", "lock.holder"]
    assert locks.FileLock.acquire is acquire


@needs_unix
def test_folder_of_the_lock_that_its_last_holder_removes_is_made_again(tmp_path):
    with locked(tmp_path / "state" / "lock") as is_held:
        assert is_held
    with pytest.raises(StorageError), locked(tmp_path / "gone" / "state" / "lock"):
        pytest.fail("held")
    assert not (tmp_path / "gone").exists()


def test_holder_that_says_who_it_is_a_moment_later_is_named(holder, tmp_path):
    (tmp_path / "lock.holder").unlink()
    threading.Timer(0.3, (tmp_path / "lock.holder").write_text, ["pid 7 on mars"]).start()
    with pytest.raises(StorageError, match="in use by pid 7 on mars;"), locked(tmp_path / "lock"):
        pytest.fail("two holders")


def test_lock_is_waited_for(holder, tmp_path):
    start = time.monotonic()
    threading.Timer(0.5, holder.stdin.close).start()
    with locked(tmp_path / "lock", wait_s=30) as is_held:
        assert is_held
        assert 0.4 < time.monotonic() - start < 20
    with locked(tmp_path / "lock"), pytest.raises(StorageError), locked(tmp_path / "lock", 0.2):
        pytest.fail("two holders")


@needs_unix
@pytest.mark.parametrize("is_there", [False, True])
@pytest.mark.parametrize("error", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_simulated_file_system_without_locks(error, is_there, tmp_path, monkeypatch):
    """Work goes on without; a lock file that is there says nothing: nobody could have locked it."""
    import fcntl

    path = tmp_path / "lock"
    if is_there:
        path.write_text(f"{os.getpid()}\n{socket.gethostname()}\n")
    monkeypatch.setattr(fcntl, "flock", failing(fcntl.flock, 0, error))
    with locked(path) as is_held:
        assert not is_held
    assert path.exists()


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


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE])
def test_lock_file_that_can_never_be_looked_at(number, tmp_path, refusing):
    """It is opened and locked, and nobody knows whether it still stands there."""
    refusing(tmp_path / "lock", number, "stat", "lstat")
    what = f"^{tmp_path}/lock: cannot be read now .{os.strerror(number).lower()}"
    with pytest.raises(StorageError, match=what), locked(tmp_path / "lock"):
        pytest.fail("held")


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOMEM])
def test_lock_file_that_cannot_be_looked_at_any_more_is_left(
    number, tmp_path, refusing, monkeypatch
):
    with locked(tmp_path / "lock"):
        refusing(tmp_path / "lock", number, "stat", "lstat")
    monkeypatch.undo()
    assert "lock" in names(tmp_path)
    with locked(tmp_path / "lock"):
        pass
    assert names(tmp_path) == []


@needs_unix
@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EIO, errno.EINTR])
@pytest.mark.parametrize("n_times", [1, 100])
def test_lock_that_the_system_will_not_take_back(n_times, number, tmp_path, monkeypatch):
    import fcntl

    original, refused = fcntl.flock, []

    def flock(descriptor, operation):
        if operation == fcntl.LOCK_UN and len(refused) < n_times:
            refused.append(descriptor)
            raise OSError(number, os.strerror(number))
        return original(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    with locked(tmp_path / "lock") as is_held:
        assert is_held
    assert refused
    assert names(tmp_path) == []
    with locked(tmp_path / "lock") as is_held:
        assert is_held


@needs_unix
def test_lock_file_that_is_another_whenever_it_is_looked_at_is_none(tmp_path, monkeypatch):
    """As on network disks that make up a new inode for every look."""
    original = os.path.samestat
    monkeypatch.setattr(os.path, "samestat", lambda one, other: False)
    with locked(tmp_path / "lock") as is_held:
        assert not is_held
    monkeypatch.setattr(os.path, "samestat", original)
    with locked(tmp_path / "lock") as is_held:
        assert is_held
