"""Every key of every file of a run, deleted, retyped or cut short, one at a time."""

import copy
import json
import shutil
from pathlib import Path

import pytest

from sgdlab import workflows
from sgdlab.config.grid import expand
from sgdlab.config.reading import load_config
from sgdlab.data import row_array
from sgdlab.errors import NothingToSelectError, StorageError
from sgdlab.observer import Observer
from sgdlab.report import evaluation
from sgdlab.report.numbers import setting
from sgdlab.runs.directory import RunDirectory
from sgdlab.runs.seals import SEAL
from tests.runs.damage import write_sealed

GRID = {"learning_rate": [0.01, 0.05], "epochs": [2, 3], "l2": [0.0, 0.1]}
FOLDS = {"validation": {"folds": 3}}

# What may be without changing anything that is shown: by the last key, the values put there.
STILL_VALID = {
    "path": [None],  # as of a run on arrays in memory
    "prefix": [""],
    "target_unit": [""],
    **{key: [7] for key in ("memory_budget", "threads", "trajectories_per_block")},
    "window_rows": [None, 7],
    "forecast": [None],
    "peak_memory_bytes": [None],
    "processor": [""],
    "blas": [[]],
    "internal_api": [""],
    **{key: [None, ""] for key in ("version", "architecture", "threading_layer", "num_threads")},
    "git": [None],
}


OF_ANY_LENGTH = ("command_line", "blas")  # lists that may be shorter; a process may load a BLAS


def places(value, place=()):
    """The path of every key, and of the first and last item of every list."""
    if place:
        yield place
    inner = value if isinstance(value, dict) else {}
    if isinstance(value, list) and value:
        inner = {n: value[n] for n in {0, len(value) - 1}}
    for key, each in inner.items():
        yield from places(each, (*place, key))


def damages(value):
    """Values of another type, and shorter ones."""
    if value is not None:
        yield None
    match value:
        case bool():
            yield "true"
        case int() | float():
            yield "x"
        case str():
            yield 7
            yield ""
        case None:
            yield "x"
            yield 7
        case list():
            yield {}
            yield from ([], value[:-1]) if value else ()
        case dict():
            yield []
            yield from ({},) if value else ()


def damaged(content):
    """(key, what was done, content) for every key, and everything that can be done to it."""
    for place in places(content):
        changed = copy.deepcopy(content)
        parent = changed
        for key in place[:-1]:
            parent = parent[key]
        value = parent[place[-1]]
        name = next(key for key in reversed(place) if isinstance(key, str))
        for damage in damages(value):
            parent[place[-1]] = damage
            yield place, name, damage, changed
        if isinstance(parent, dict):
            del parent[place[-1]]
            yield place, name, "deleted", changed


def outcome_of(call):
    """The line of a StorageError with which a call ends, and what it gives otherwise."""
    try:
        return None, call()
    except StorageError as error:
        return str(error), None
    except NothingToSelectError as error:
        return None, str(error)


def check_all(file, read, *commands, still_valid=STILL_VALID):
    """Whatever is done to a key, one line names it; or else nothing that is shown is another."""
    good = file.read_bytes()
    shown = [outcome_of(command) for command in commands]
    n_refused, wrong = 0, []
    log = json.loads(good)
    del log[SEAL]  # which flipped_bits is about
    for place, name, damage, content in damaged(log):
        write_sealed(file, content)
        line, _ = outcome_of(read)
        if line is None:  # a command may compare it with more than the file itself
            found = [outcome_of(command) for command in commands]
            lines = [line for line, _ in found if line is not None]
            line = lines[0] if lines else None
            wrong += [(place, damage) for each in found if each[0] is None and each not in shown]
        if line is not None:
            n_refused += 1
            reason = line.removeprefix(f"{file}: cannot be used (")
            if reason == line or name not in reason or len(line.splitlines()) != 1:
                wrong.append((place, damage, line))
        elif damage not in still_valid.get(name, ()) and name not in OF_ANY_LENGTH:
            wrong.append((place, damage, "accepted"))
        write_sealed(file, log)
    assert file.read_bytes() == good
    assert wrong == []
    assert n_refused > 100


class Run:
    """A finished search, and the commands that show it."""

    def __init__(self, config, runs_dir, cell=None):
        self.config, self.cell = config, cell
        self.options = workflows.SearchOptions(
            runs_dir, measure=True, test_losses="all", keep_weights="all"
        )
        outcome_of(self.search)
        [path] = runs_dir.iterdir()
        self.directory = RunDirectory(path)
        self.cell_1 = expand(load_config(config)).cells[-1 if cell is None else 1]

    def search(self):
        return workflows.grid_search(self.config, options=self.options)

    def evaluate(self):
        found = workflows.evaluate(self.directory.path, cell=self.cell)
        return evaluation.document(found)


@pytest.fixture
def finished(write_config, tmp_path):
    def make(cell=None, **sections):
        return Run(write_config("keys", **sections), tmp_path / "runs", cell)

    return make


def test_keys_of_a_finished_experiment(finished):
    run = finished(grid=GRID)
    check_all(run.directory.experiment_file, run.directory.experiment, run.search, run.evaluate)


def test_keys_of_a_finished_experiment_with_folds(finished):
    run = finished(cell=1, grid=GRID, data=FOLDS)
    check_all(run.directory.experiment_file, run.directory.experiment, run.search, run.evaluate)


def test_keys_of_what_is_known_of_large_files(finished, monkeypatch):
    monkeypatch.setattr(row_array, "HASHED_WHOLE_BYTES", 1000)
    run = finished(grid=GRID)
    file = run.directory.experiment_file
    good, shown = file.read_bytes(), [run.search(), run.evaluate()]
    log = json.loads(good)
    del log[SEAL]
    n_refused = 0
    for place, name, damage, content in damaged(log):
        if place[:2] != ("data", "whole"):
            continue
        write_sealed(file, content)
        for command, before in zip((run.search, run.evaluate), shown, strict=True):
            line, found = outcome_of(command)
            if line is None:  # the file is read whole, and is the same
                assert (name, damage, found) == ("stamp", None, before)
            else:
                assert line.startswith(f"{file}: cannot be used (data.whole")
                assert name in line
                n_refused += 1
        write_sealed(file, log)
    assert n_refused > 50


def test_keys_of_an_experiment_without_a_best_cell(finished):
    run = finished(train={"learning_rate": 1e9})
    check_all(run.directory.experiment_file, run.directory.experiment, run.search)


class StopInTheEnd(Observer):
    """Breaks off the training on all rows, which follows that of the folds."""

    n_begun = 0

    def begin(self, progress):
        self.n_begun += 1
        if self.n_begun == 2:
            raise KeyboardInterrupt


def test_keys_of_an_unfinished_experiment(write_config, tmp_path):
    config = write_config("keys", train={"epochs": 2}, data=FOLDS)
    options = workflows.SearchOptions(tmp_path / "runs", measure=True)
    with pytest.raises(KeyboardInterrupt):
        workflows.train(config, options=options, observer=StopInTheEnd())
    [path] = Path(options.runs_dir).iterdir()
    shutil.copytree(path, tmp_path / "unfinished")

    def search():
        """Finishes the run, to the digits that are shown; leaves it as it was."""
        try:
            found = workflows.train(config, options=workflows.SearchOptions(tmp_path / "runs"))
            return [setting(value) for value in found.rows()[0].values()]
        finally:
            shutil.rmtree(path)
            shutil.copytree(tmp_path / "unfinished", path)

    directory = RunDirectory(path)
    assert directory.experiment().final_plan
    still_valid = STILL_VALID | {"final_plan": [[]]}  # it is planned anew
    check_all(directory.experiment_file, directory.experiment, search, still_valid=still_valid)


def test_keys_of_a_cells_log(finished):
    run = finished(cell=1, grid=GRID, train={"replicates": 2})
    file = run.directory.cell_file(1)
    check_all(file, lambda: run.directory.logs([run.cell_1]), run.search, run.evaluate)


def test_keys_of_a_cells_logs_with_folds(finished):
    run = finished(cell=1, grid={"l2": [0.0, 0.1]}, data=FOLDS)
    for file in (run.directory.cell_file(1), run.directory.final_file(1)):
        check_all(
            file, lambda: (run.directory.logs([run.cell_1]), run.directory.final_logs([run.cell_1]))
        )


def test_keys_of_the_log_of_a_cell_that_diverged(finished):
    run = finished(grid={"learning_rate": [0.05, 1e9]})
    check_all(run.directory.cell_file(1), lambda: run.directory.logs([run.cell_1]), run.search)
