"""Only regular files of a sane size are read."""

import os
import socket

import pytest

from sgdlab.system import regular
from sgdlab.system.regular import NotRegularError, open_regular, read_regular
from tests.system.test_files import needs_unix


def make(path, kind):
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as made:
            os.chdir(path.parent)
            made.bind(path.name)
    else:
        target = {"zeros": "/dev/zero", "loop": path.name, "link": "file"}[kind]
        path.symlink_to(target)


@needs_unix
@pytest.mark.parametrize("kind", ["fifo", "folder", "socket", "zeros", "loop", "link"])
def test_what_is_no_regular_file_is_refused_at_once(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_bytes(b"content")
    make(tmp_path / "place", kind)
    with pytest.raises(NotRegularError):
        read_regular(tmp_path / "place", 10**9)


@needs_unix
def test_links_are_followed_where_that_is_asked_for(tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    assert read_regular(tmp_path / "link", 7, follow_links=True) == b"content"
    (tmp_path / "zeros").symlink_to("/dev/zero")
    with pytest.raises(NotRegularError):
        read_regular(tmp_path / "zeros", 7, follow_links=True)


@needs_unix
@pytest.mark.parametrize("kind", ["fifo", "zeros", "link", "folder"])
def test_what_takes_the_place_of_a_file_meanwhile_is_refused_too(kind, tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"content")
    status = os.stat(tmp_path / "file")
    make(tmp_path / "place", kind)
    monkeypatch.setattr(regular.os, "lstat", lambda path: status)
    with pytest.raises(NotRegularError):
        open_regular(tmp_path / "place")


@pytest.mark.parametrize("n_bytes", [0, 9, 10])
def test_files_up_to_the_limit_are_read_whole(n_bytes, tmp_path):
    (tmp_path / "file").write_bytes(b"x" * n_bytes)
    assert read_regular(tmp_path / "file", 10) == b"x" * n_bytes


@pytest.mark.parametrize("n_bytes", [11, 2**40])
def test_larger_ones_are_not_read(n_bytes, tmp_path):
    with open(tmp_path / "file", "wb") as stream:
        stream.truncate(n_bytes)
    with pytest.raises(ValueError, match=f"{n_bytes} bytes, of at most 10"):
        read_regular(tmp_path / "file", 10)


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"x" * 11)
    monkeypatch.setattr(regular, "check_size", lambda stream, most_bytes: None)
    with pytest.raises(ValueError, match="11 bytes, of at most 10"):
        read_regular(tmp_path / "file", 10)
