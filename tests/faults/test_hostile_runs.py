"""A few of the runs that ``python -m tests.faults.hostile_runs`` makes, and that it complains."""

import os

import numpy as np
import pytest

from sgdlab.runs import kept, reading
from sgdlab.runs.directory import RunDirectory
from tests.faults.hostile_runs import places, sandbox
from tests.faults.hostile_runs.changes import _arrays_of
from tests.faults.hostile_runs.judge import Judge, Tally
from tests.faults.hostile_runs.kinds import hostile_kinds

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="every run has a process")


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "100")
        folder = tmp_path_factory.mktemp("hostile").resolve()
        yield {kind.name: kind for kind in hostile_kinds(folder)}


@pytest.fixture(scope="module")
def judge(kinds, tmp_path_factory):
    return Judge(list(kinds.values()), tmp_path_factory.mktemp("sandbox").resolve() / "box")


def complaints(judge, kind, change):
    return {what for what, _ in judge.judged(kind, change)[2]}


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_hostile_runs_harm_nobody(judge):
    tally = Tally()
    for number in range(28):
        judge.judge(number, 5, tally)
    assert tally.n_runs == 28
    assert tally.complaints == []
    assert set(tally.codes) >= {0, 2, 4}


# What it complains of where a check is left out


def test_it_complains_where_any_file_is_opened(judge, kinds, monkeypatch):
    def put_fifo(run):
        places._remove(run.path / "weights.npz")
        os.mkfifo(run.path / "weights.npz")

    assert complaints(judge, kinds["plain"], put_fifo) == set()
    monkeypatch.setattr(sandbox, "LONGEST_S", 3.0)
    monkeypatch.setattr(reading, "read_regular", lambda path, most_bytes: path.read_bytes())
    assert complaints(judge, kinds["plain"], put_fifo) == {"hangs"}


def test_it_complains_where_shapes_are_believed(judge, kinds, monkeypatch):
    def cut_features(run):
        file = run.path / "weights.npz"
        arrays = _arrays_of(file)
        run.put_arrays(file, arrays | {"weights": arrays["weights"][..., :-2]})
        run.done.append("weights")
        run.make_right()

    assert complaints(judge, kinds["plain"], cut_features) == set()
    monkeypatch.setattr(kept, "_form", lambda shape, n_replicates: None)
    assert complaints(judge, kinds["plain"], cut_features) == {"traceback"}


def test_it_complains_where_folders_are_followed(judge, kinds, monkeypatch):
    def link_stops(run):
        places._remove(run.path / "state" / "stops")
        (run.path / "state" / "stops").symlink_to(run.outside / "new")
        (run.outside / "new").mkdir()

    assert complaints(judge, kinds["interrupted"], link_stops) == set()
    monkeypatch.setattr(RunDirectory, "check_folders", lambda self: None)
    assert "outside" in complaints(judge, kinds["interrupted"], link_stops)


def test_it_complains_of_pickles_that_are_loaded(judge, kinds, monkeypatch):
    def put_pickle(run):
        content = np.array([_Leaves(str(run.outside / "unpickled"))], object)
        np.savez(run.path / "weights.npz", weights=content)
        run.done.append("weights")
        run.make_right()

    assert complaints(judge, kinds["plain"], put_pickle) == set()

    def load(path, content, form):
        with np.load(path, allow_pickle=True) as file:
            return {name: file[name] for name in file.files}

    monkeypatch.setattr(kept, "npz_arrays", load)
    assert "outside" in complaints(judge, kinds["plain"], put_pickle)


class _Leaves:
    """Leaves a folder where it is unpickled."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return os.mkdir, (self.place,)
