"""The disk is tried in a folder of its own, of which nothing is left."""

import os
import threading

import pytest

from sgdlab.search.forecast.writing import _folder


def test_what_a_killed_measurement_has_left_is_removed_by_the_next(tmp_path):
    runs = tmp_path / "runs"
    runs.mkdir()
    (runs / ".sgdlab-measure" / "run" / "state").mkdir(parents=True)
    (runs / ".sgdlab-measure" / "run" / "experiment.json").write_text("{}")
    with _folder(runs) as folder:
        assert folder.parent == runs
        assert list(folder.iterdir()) == []
    assert list(runs.iterdir()) == []


@pytest.mark.parametrize("names", [("absent",), ("absent", "deep")])
def test_runs_that_are_not_there_yet_are_not_made(names, tmp_path):
    with _folder(tmp_path.joinpath(*names)) as folder:
        assert folder.parent == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_two_measurements_at_once_come_one_after_the_other(tmp_path):
    inside, most = [], []

    def measure():
        with _folder(tmp_path) as folder:
            inside.append(folder)
            most.append(len(inside))
            (folder / "file").write_text("mine alone")
            assert [path.name for path in folder.iterdir()] == ["file"]
            inside.pop()

    threads = [threading.Thread(target=measure) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 4
    assert os.listdir(tmp_path) == []
