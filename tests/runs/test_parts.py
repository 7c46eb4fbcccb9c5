"""Finished parts of an experiment: kept, found again, and harmless whatever stands there."""

import errno
import os
from functools import partial

import numpy as np
import pytest

from sgdlab.errors import DataError, NothingToSelectError, StorageError
from sgdlab.observer import Observer
from sgdlab.runs import parts as parts_module
from sgdlab.runs import parts_folder
from sgdlab.runs.parts import KeptParts, array_of, kept_until_shown
from sgdlab.runs.parts_folder import LAB, MOST_BYTES, open_parts
from sgdlab.runs.reading import reading
from sgdlab.system import contents, regular
from sgdlab.system import files as system_files
from sgdlab.system.locks import locked

N = 6


class Killed(BaseException):
    """The process is no more."""


class Notes(Observer):
    def __init__(self):
        self.notes = []

    def note(self, message):
        self.notes.append(message)


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Every part is written as soon as it is finished."""
    monkeypatch.setattr(parts_module, "FIRST_S", 0.0)
    monkeypatch.setattr(parts_module, "LARGEST_SHARE", np.inf)


@pytest.fixture
def runs(tmp_path):
    return tmp_path / "runs"


def experiment(runs, error=None, at=None, what="a", notes=None, check=lambda: None):
    """Squares of numbers; which were computed, and all of them."""
    computed, found = [], []
    read = partial(array_of, name="square", dtype=np.float64, shape=(2,))
    with KeptParts(runs, "squares", lambda: what, notes or Observer(), check) as parts:
        parts.expect(N)
        for n in range(N):
            if (square := parts.find(f"n/{n}", read)) is None:
                if n == at:
                    raise error
                square = np.array([n, n * n], np.float64)
                computed.append(n)
                parts.keep(f"n/{n}", partial(dict, square=square))
            found.append(square.tolist())
    return computed, found


EXPECTED = [[n, n * n] for n in range(N)]


def interrupted(runs, at=4, error=None, **options):
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - any, also Killed
        experiment(runs, error or Killed(), at, **options)
    return caught.value


def folder(runs):
    [found] = (runs / LAB).iterdir()
    return found


def is_empty(runs):
    """Whether nothing is kept; a folder of runs that was there before stays."""
    return not runs.exists() or not list(runs.iterdir())


@pytest.mark.parametrize("at", range(1, N))
def test_what_was_finished_is_not_computed_again(runs, at):
    error = interrupted(runs, at)
    assert error.__notes__ == [f"{at} of {N} parts kept"]
    notes = Notes()
    assert experiment(runs, notes=notes) == (list(range(at, N)), EXPECTED)
    assert notes.notes[0].endswith(f": going on with {at} of {N} parts kept before")
    assert is_empty(runs)


def test_what_depends_on_something_else_has_a_folder_of_its_own(runs):
    interrupted(runs)
    assert experiment(runs, what="b")[0] == list(range(N))
    assert experiment(runs)[0] == [4, 5]
    assert is_empty(runs)


def test_a_quick_experiment_touches_no_disk(runs, monkeypatch):
    monkeypatch.setattr(parts_module, "FIRST_S", 60.0)

    def refuse(*_, **__):
        raise AssertionError

    for name in ("make_folder", "write_files"):
        monkeypatch.setattr(system_files, name, refuse)
    assert experiment(runs) == (list(range(N)), EXPECTED)
    error = interrupted(runs)
    assert not hasattr(error, "__notes__")
    assert not runs.exists()


def test_writing_takes_little_of_the_time(runs, monkeypatch):
    """A write that takes a second is followed by another half a minute later."""
    now, written = [0.0], []
    monkeypatch.setattr(parts_module, "FIRST_S", 1.0)
    monkeypatch.setattr(parts_module, "LARGEST_SHARE", 0.03)
    monkeypatch.setattr(parts_module.time, "monotonic", lambda: now[0])

    def write(folder, parts):
        written.append(now[0])
        now[0] += 1.0

    monkeypatch.setattr(parts_folder.PartsFolder, "write", write)
    with KeptParts(runs, "squares", lambda: "a", Observer()) as parts:
        for n in range(1000):
            now[0] += 0.1
            parts.keep(str(n), dict)
    assert written[0] == pytest.approx(1.0, abs=0.11)
    assert len(written) == 3
    assert np.diff(written) == pytest.approx(34.4, abs=0.2)


def test_a_part_that_goes_on_is_kept_once(runs):
    def begin():
        with KeptParts(runs, "long", lambda: 0, Observer()) as parts:
            parts.keep("other", partial(dict, x=np.zeros(2)))
            for n in range(1, 30):
                parts.keep("weights", partial(dict, x=np.full(3, n)), n)
                assert len(list(folder(runs).glob("parts-*"))) == 2
            raise Killed

    with pytest.raises(Killed):
        begin()
    with KeptParts(runs, "long", lambda: 0, notes := Notes()) as parts:
        parts.expect(100, "steps")
        assert parts.find("weights", lambda arrays: arrays["x"].tolist()) == [29, 29, 29]
        assert parts.find("other", lambda arrays: arrays["x"].tolist()) == [0, 0]
    assert notes.notes[0].endswith("going on with 30 of 100 steps kept before")


def flipped(content, place):
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


DAMAGES = {
    "flipped": lambda content: flipped(content, len(content) // 2),
    "flipped seal": lambda content: flipped(content, len(content) - 3),
    "short": lambda content: content[:-1],
    "empty": lambda content: b"",
    "zeros": lambda content: bytes(len(content)),
    "of another": lambda content: content.replace(b"n/1", b"n/2"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_what_is_damaged_is_set_aside_and_computed_again(runs, damage):
    interrupted(runs)
    file = sorted(folder(runs).glob("parts-*"))[1]
    content = damage(file.read_bytes())
    file.write_bytes(content)
    path, notes = folder(runs), Notes()
    assert experiment(runs, notes=notes) == ([1, 4, 5], EXPECTED)
    assert notes.notes[0].startswith(f"{file}: broken; set aside as {path / 'damaged'}")
    assert [kept.read_bytes() for kept in (path / "damaged").iterdir()] == [content]
    assert [entry.name for entry in path.iterdir()] == ["damaged"]


def write_parts(runs, parts, what="a"):
    """What whoever knows the folder's name can write there."""
    kept = KeptParts(runs, "squares", lambda: what, Observer())
    origin, name = kept._origin()
    with open_parts(runs, name, origin) as open_folder:
        open_folder.write(parts)


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"square": np.zeros(3)},
        {"square": np.zeros(2, np.float32)},
        {"square": np.zeros((2, 0))},
        {"square": np.array(["a", "b"])},
        {"other": np.zeros(2)},
    ],
    ids=str,
)
def test_parts_of_another_form_are_computed_again(runs, arrays):
    amount = {"amount": np.array(1)}
    write_parts(runs, {"n/2": arrays | amount, "n/3": {"square": np.array([3.0, 9.0])} | amount})
    write_parts(runs, {"n/4": {"square": np.zeros(2)}, "n/5": {"amount": np.array("x")}})
    assert experiment(runs) == ([0, 1, 2, 4, 5], EXPECTED)
    assert is_empty(runs)


def stranger(kind, place, elsewhere):
    """Puts something at a place that is no regular file of one's own."""
    match kind:
        case "link":
            place.symlink_to(elsewhere)
        case "fifo":
            os.mkfifo(place)
        case "folder":
            place.mkdir()
        case "loop":
            place.symlink_to(place.name)


@pytest.mark.parametrize("kind", ["link", "fifo", "folder", "loop"])
@pytest.mark.parametrize("name", ["parts-000002.npz", "lock", "lock.holder"])
def test_nothing_is_read_or_written_through_what_is_no_file(runs, tmp_path, kind, name):
    interrupted(runs)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"mine")
    (folder(runs) / name).unlink(missing_ok=True)
    stranger(kind, folder(runs) / name, elsewhere)
    before, notes = sorted(folder(runs).iterdir()), Notes()
    assert experiment(runs, notes=notes) == (list(range(N)), EXPECTED)
    assert str(folder(runs) / name) in notes.notes[0]
    assert sorted(folder(runs).iterdir()) == before
    assert elsewhere.read_bytes() == b"mine"


@pytest.mark.parametrize("kind", ["link", "fifo", "loop"])
@pytest.mark.parametrize("place", ["lab", "squares", "damaged"])
def test_folders_that_lead_elsewhere_are_not_used(runs, tmp_path, kind, place):
    interrupted(runs)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    path = {"lab": runs / LAB, "squares": folder(runs), "damaged": folder(runs) / "damaged"}[place]
    if place != "damaged":
        path.rename(tmp_path / "moved")
    else:
        [*_, last] = sorted(path.parent.glob("parts-*"))
        last.write_bytes(b"broken")
    stranger(kind, path, elsewhere)
    notes = Notes()
    assert experiment(runs, notes=notes) == (list(range(N)), EXPECTED)
    assert "no finished parts are kept" in notes.notes[0]
    assert not list(elsewhere.iterdir())


def test_a_huge_file_is_not_read(runs, monkeypatch):
    interrupted(runs)
    file = sorted(folder(runs).glob("parts-*"))[0]
    os.truncate(file, MOST_BYTES + 1)
    read, given = contents.pieces, []
    monkeypatch.setattr(
        regular, "pieces", lambda stream, **most: given.append(stream.name) or read(stream, **most)
    )
    assert experiment(runs) == ([0, 4, 5], EXPECTED)
    assert given
    assert str(file) not in given


@pytest.mark.parametrize("number", [errno.EACCES, errno.EMFILE, errno.EIO])
def test_what_cannot_be_read_now_is_left_alone(runs, monkeypatch, number):
    interrupted(runs)
    path = folder(runs)
    before = {file.name: file.read_bytes() for file in path.iterdir()}
    read, notes = parts_folder.read_bytes, Notes()

    def refused(file, *arguments, **options):
        with reading(file):
            if file.name == "parts-000002.npz":
                raise OSError(number, os.strerror(number), str(file))
        return read(file, *arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(parts_folder, "read_bytes", refused)
        assert experiment(runs, notes=notes) == (list(range(N)), EXPECTED)
    assert "no finished parts are kept" in notes.notes[0]
    assert "parts-000002.npz" in notes.notes[0]
    assert {file.name: file.read_bytes() for file in path.iterdir()} == before


@pytest.mark.parametrize("n_written", [0, 2])
def test_a_full_disk_ends_no_experiment(runs, monkeypatch, n_written):
    write, calls, notes = system_files.write_files, [], Notes()

    def full(files):
        if any(file.suffix == ".npz" for file in files):
            calls.append(files)
            if len(calls) > n_written:
                raise StorageError(next(iter(files)), "no space left on device")
        write(files)

    monkeypatch.setattr(system_files, "write_files", full)
    error = interrupted(runs, notes=notes)
    assert error.__notes__ == [f"{n_written} of {N} parts kept"]
    assert len(calls) == n_written + 1
    [note] = notes.notes
    assert note.startswith("from here on no finished parts are kept: ")
    assert note.endswith("no space left on device")
    calls.clear()
    assert experiment(runs, notes=notes) == (list(range(n_written, N)), EXPECTED)
    assert is_empty(runs)


def test_a_place_where_nothing_can_be_written_ends_no_experiment(tmp_path):
    (tmp_path / "file").touch()
    notes = Notes()
    assert experiment(tmp_path / "file", notes=notes) == (list(range(N)), EXPECTED)
    [note] = notes.notes
    assert "no finished parts are kept" in note
    assert (tmp_path / "file").read_bytes() == b""


def test_a_second_process_computes_by_itself(runs):
    interrupted(runs)
    path, notes = folder(runs), Notes()
    before = sorted(path.iterdir())
    with locked(path / "lock"):
        assert experiment(runs, notes=notes) == (list(range(N)), EXPECTED)
    assert f"in use by pid {os.getpid()} on" in notes.notes[0]
    assert sorted(path.iterdir()) == before
    assert experiment(runs)[0] == [4, 5]


def test_leftovers_of_a_killed_process_are_removed(runs):
    interrupted(runs)
    path = folder(runs)
    (path / ".parts-000009.npz.77-0123abcd.tmp").write_bytes(b"half")
    (path / "lock").touch()
    (path / "lock.holder").write_text("pid 1 on nowhere")
    assert experiment(runs)[0] == [4, 5]
    assert is_empty(runs)


def test_data_that_changed_are_an_error_and_nothing_is_kept_of_them(runs):
    changes = iter([False, False, True, True, True])

    def check():
        if next(changes):
            raise DataError("Xtr.npy", "changed")

    error = interrupted(runs, error=Killed(), check=check)
    assert isinstance(error, DataError)
    assert experiment(runs)[0] == [2, 3, 4, 5]


@pytest.mark.parametrize(
    ("error", "stays"),
    [
        (NothingToSelectError("k = 1", "diverged"), False),
        (StorageError("memory", "too little"), True),
        (BrokenPipeError(), True),
        (MemoryError(), True),
    ],
)
def test_parts_stay_where_another_try_may_do(runs, error, stays):
    notes = Notes()
    assert interrupted(runs, error=error, notes=notes) is error
    assert runs.exists() == stays
    assert len(notes.notes) == stays
    if stays:
        assert notes.notes[0].endswith("4 of 6 parts kept; the same command goes on from there")


def test_parts_stay_until_the_result_is_shown(runs):
    def shown(error=None):
        with kept_until_shown():
            computed, found = experiment(runs)
            assert found == EXPECTED
            assert len(list(folder(runs).glob("parts-*"))) == N
            if error:
                raise error
        return computed

    with pytest.raises(BrokenPipeError):
        shown(BrokenPipeError())
    assert shown() == []
    assert is_empty(runs)


def test_folders_of_others_stay(runs):
    experiment(runs)
    assert not runs.exists()
    runs.mkdir()
    experiment(runs)
    assert list(runs.iterdir()) == []
    (runs / LAB / "orders-00000000").mkdir(parents=True)
    experiment(runs)
    assert [entry.name for entry in (runs / LAB).iterdir()] == ["orders-00000000"]


def test_what_other_packages_multiply_with_is_another_matter(runs, monkeypatch):
    numpy_blas = {"filepath": "/x/numpy.libs/libblas.so", "internal_api": "openblas"}
    other_blas = {"filepath": "/x/scipy.libs/libblas.so", "internal_api": "openblas"}
    loaded = [numpy_blas | {"version": "1", "architecture": "Zen", "num_threads": 1}]

    class Found:
        def info(self):
            return loaded

    monkeypatch.setattr("sgdlab.system.blas._found", Found)
    interrupted(runs)
    loaded.append(other_blas | {"version": "2", "architecture": "Haswell"})
    loaded[0]["num_threads"] = 2
    assert experiment(runs)[0] == [4, 5]
    interrupted(runs)
    loaded[0]["architecture"] = "Haswell"
    assert experiment(runs)[0] == list(range(N))
