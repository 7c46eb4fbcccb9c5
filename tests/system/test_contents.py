"""Whole files, or an error: a system that has nothing to give now is not at a file's end."""

import builtins
import io
import os

import numpy as np
import pytest
import yaml

from sgdlab.config.reading import load_config
from sgdlab.data.npy import NpyFile
from sgdlab.data.stand_in import is_stand_in, marker_path
from sgdlab.errors import SgdlabError, UnreadableError
from sgdlab.runs.reading import check_hash, read_bytes
from sgdlab.runs.seals import sha256_of
from sgdlab.system.contents import PIECE_BYTES, pieces
from sgdlab.system.regular import read_regular
from tests.system.test_files import needs_unix

LATER = "resource temporarily unavailable"


@pytest.mark.parametrize("n_bytes", [0, 1, 4096, PIECE_BYTES, 2 * PIECE_BYTES + 1])
def test_all_of_a_file_or_its_first_bytes(n_bytes, tmp_path):
    content = np.random.default_rng(0).bytes(n_bytes)
    (tmp_path / "file").write_bytes(content)
    assert read_regular(tmp_path / "file", n_bytes) == content
    for most in (None, 0, 1, n_bytes, n_bytes + 1):
        with open(tmp_path / "file", "rb", buffering=0) as stream:
            assert b"".join(pieces(stream, most=most)) == content[:most]


@needs_unix
@pytest.mark.parametrize("before", [b"", b"the first half"])
def test_nothing_now_is_no_end(before):
    """Python's own ``readall`` gives what came before it, as if that were all."""
    end, other_end = os.pipe()
    os.set_blocking(end, False)
    with open(other_end, "wb", buffering=0) as writer, open(end, "rb", buffering=0) as reader:
        writer.write(before)
        found = pieces(reader)
        if before:
            assert next(found) == before
        with pytest.raises(BlockingIOError):
            next(found)


class _Waiting(io.FileIO):
    """Gives so many pieces of a file, then nothing for now."""

    n_left = 0

    def read(self, size=-1):
        self.n_left -= 1
        return None if self.n_left < 0 else super().read(size)

    def readinto(self, buffer):
        self.n_left -= 1
        return None if self.n_left < 0 else super().readinto(buffer)


@pytest.fixture
def waiting(monkeypatch):
    original = io.open

    def make(file, n_pieces):
        def opened(path, *arguments, **options):
            if path != file:
                return original(path, *arguments, **options)
            stream = _Waiting(path)
            stream.n_left = n_pieces
            return stream

        monkeypatch.setattr(builtins, "open", opened)
        monkeypatch.setattr(io, "open", opened)

    return make


@pytest.mark.parametrize("n_pieces", [0, 1])
@pytest.mark.parametrize("look", [read_bytes, lambda file: check_hash(file, sha256_of(b"log"))])
def test_a_file_of_a_run_of_which_nothing_comes_now_is_not_broken(
    look, n_pieces, tmp_path, waiting
):
    file = tmp_path / "log"
    file.write_bytes(b"log")
    waiting(file, n_pieces)
    with pytest.raises(UnreadableError, match=f"cannot be read now .{LATER}"):
        look(file)


@pytest.mark.parametrize("n_pieces", [0, 1])
def test_a_config_of_which_nothing_comes_now_is_not_taken_for_a_shorter_one(
    n_pieces, tmp_path, waiting
):
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump({"train": {"batch_size": 1, "learning_rate": 1, "epochs": 1}}))
    waiting(file, n_pieces)
    with pytest.raises(SgdlabError, match=LATER):
        load_config(file)


@pytest.mark.parametrize("n_pieces", [0, 2])
def test_an_array_of_which_nothing_comes_now_has_not_changed(n_pieces, tmp_path, waiting):
    file = tmp_path / "array.npy"
    np.save(file, np.zeros((3, 2)))
    waiting(file, n_pieces)
    message = f"{LATER}; expected a readable file"
    with pytest.raises(SgdlabError, match=message), NpyFile(file) as array:
        array.read_rows(slice(3))


def test_a_marker_of_which_nothing_comes_now_may_be_one(tmp_path, waiting):
    np.save(tmp_path / "Xtr.npy", np.zeros((3, 2)))
    marker_path(tmp_path, "").write_text("{}")
    waiting(marker_path(tmp_path, ""), 0)
    with NpyFile(tmp_path / "Xtr.npy") as array, pytest.raises(UnreadableError, match=LATER):
        is_stand_in({"Xtr": array})
