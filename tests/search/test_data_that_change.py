"""Data that change while a command uses them."""

import os
from pathlib import Path

import pytest

from sgdlab import workflows
from sgdlab.data.npy import NpyFile
from sgdlab.errors import DataError
from sgdlab.observer import Observer
from sgdlab.runs.directory import RunDirectory
from tests.data.test_stamps import in_place, renamed_over
from tests.search.test_session import GRID, TRAIN, contents, only_run

HELD, STREAMED = (), ("run.memory_budget=1",)
CHANGES = [in_place, renamed_over]


@pytest.fixture
def old_files(data_dir):
    """The arrays, older than any clock's tick."""
    for path in data_dir.iterdir():
        os.utime(path, ns=(0, 0))
    return data_dir


class Changing(Observer):
    """Changes a file when something happens for the n-th time."""

    def __init__(self, event, n, change, path):
        self._event, self._n, self._change, self._path = event, n, change, path
        self.shown = None

    def _happens(self, event):
        self._n -= event == self._event
        if event == self._event and not self._n:
            self._change(self._path)

    def begin(self, progress):
        self._happens("begin")

    def advance(self, progress):
        self._happens("advance")

    def end(self):
        self._happens("end")


MOMENTS = {
    "before the first read": ("begin", 1),
    "after the first epoch": ("advance", 1),
    "between two epochs": ("advance", 3),
    "after the last epoch": ("end", 1),
}
NOTHING_COMMITTED = ("before the first read", "after the first epoch")


@pytest.mark.parametrize("budget", [HELD, STREAMED], ids=["held", "streamed"])
@pytest.mark.parametrize("part", ["Xtr", "ytr", "Xte", "yte"])
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_under_a_run_ends_it(
    change, moment, part, budget, write_config, old_files, tmp_path
):
    config, options = write_config("grid", train=TRAIN, grid=GRID), search_options(tmp_path)
    path = old_files / f"{part}.npy"
    good = path.read_bytes()
    observer = Changing(*MOMENTS[moment], change, path)
    with pytest.raises(DataError, match=f"^{path}: changed while in use; expected") as caught:
        workflows.grid_search(config, budget, options, observer)
    assert caught.value.exit_code == 3
    if moment in NOTHING_COMMITTED:
        assert list(Path(options.runs_dir).iterdir()) == []
    else:
        directory = only_run(options)
        assert directory.experiment().status == "failed"
        assert not directory.results_file.exists()
    path.write_bytes(good)
    assert contents(workflows.grid_search(config, budget, options).directory) == contents(
        workflows.grid_search(config, budget, search_options(tmp_path / "fresh")).directory
    )


@pytest.mark.parametrize("moment", ["before the first read", "between two epochs"])
def test_nothing_that_was_trained_on_other_rows_is_stored(
    moment, write_config, old_files, tmp_path
):
    """What stands in the run after the change was trained before it, and stays as it is."""
    config, options = write_config("grid", train=TRAIN, grid=GRID), search_options(tmp_path)
    path = old_files / "Xtr.npy"
    good = path.read_bytes()
    with pytest.raises(DataError):
        workflows.grid_search(config, STREAMED, options, Changing(*MOMENTS[moment], in_place, path))
    runs = [RunDirectory(folder) for folder in Path(options.runs_dir).iterdir()]
    assert len(runs) == (moment not in NOTHING_COMMITTED)
    stored = {name for run in runs for name in contents(run) if "lock" not in name}
    path.write_bytes(good)
    expected = workflows.grid_search(config, STREAMED, search_options(tmp_path / "fresh")).directory
    found = {name: content for run in runs for name, content in contents(run).items()}
    wanted = contents(expected)
    for name in stored - {name for name in stored if name.startswith("state")}:
        assert found[name] == wanted[name]
    assert any(name.startswith("cells/") for name in stored) == (moment == "between two epochs")


def search_options(folder, **more):
    return workflows.SearchOptions(Path(folder) / "runs", **more)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("call", ["evaluate", "solve", "describe"])
def test_no_command_shows_numbers_of_a_file_that_changes_meanwhile(
    call, change, write_config, old_files, tmp_path, monkeypatch
):
    config, options = write_config("one"), search_options(tmp_path)
    workflows.train(config, options=options)
    commands = {
        "evaluate": lambda: workflows.evaluate("latest", options.runs_dir),
        "solve": lambda: workflows.solve(config),
        "describe": lambda: workflows.describe_data(old_files),
    }
    path = old_files / "Xtr.npy"
    original, n_reads = NpyFile._read_into, []

    def then_change(self, offset, buffer):
        original(self, offset, buffer)
        if self.path == path:
            n_reads.append(offset)
            if len(n_reads) == 1:
                change(path)

    monkeypatch.setattr(NpyFile, "_read_into", then_change)
    with pytest.raises(DataError, match="changed while in use"):
        commands[call]()
