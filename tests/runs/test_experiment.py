"""``experiment.json`` is written as a run goes on, and read once."""

import json
import sys

from sgdlab import workflows
from sgdlab.runs import directory as runs_directory
from sgdlab.runs.experiment import read_experiment
from sgdlab.runs.seals import sealed
from sgdlab.system import files as system_files


def test_the_end_of_a_session_is_written_once_with_its_result(config, options, monkeypatch):
    statuses = []
    write = system_files.write_files

    def record(files):
        statuses.extend(
            json.loads(content)["status"]
            for path, content in files.items()
            if path.name == "experiment.json"
        )
        write(files)

    monkeypatch.setattr(system_files, "write_files", record)
    found = workflows.grid_search(config, options=options)
    assert statuses == ["running", "completed"]
    (session,) = found.directory.experiment().sessions
    assert session.ended


def test_the_experiment_of_a_finished_run_is_read_once(config, options, finished, monkeypatch):
    read = []
    monkeypatch.setattr(
        runs_directory,
        "read_experiment",
        lambda path, *more: read.append(path) or read_experiment(path, *more),
    )
    workflows.grid_search(config, options=options)
    workflows.evaluate(finished.name, options.runs_dir)
    assert read == [finished.experiment_file] * 2


def test_an_experiment_is_written_as_it_is_read(finished, interrupted_elsewhere):
    for directory in (finished, interrupted_elsewhere):
        written = directory.experiment_file.read_bytes()
        assert sealed(directory.experiment().to_json()) == written


def test_a_command_line_that_is_no_unicode_is_kept(config, options, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["sgdlab", "caf\udce9.yaml"])
    directory = workflows.grid_search(config, options=options).directory
    assert directory.experiment().environment.command_line == ("sgdlab", "caf\udce9.yaml")
    assert workflows.grid_search(config, options=options).directory == directory
