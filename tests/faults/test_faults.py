"""A few of the errors that ``python -m tests.faults`` injects, and the injection itself."""

import errno
import os
from pathlib import Path

import pytest

from sgdlab.errors import StorageError
from sgdlab.runs import open_run
from sgdlab.runs.open_run import OpenRun
from tests.faults.injection import ERRORS, Fault, counted
from tests.faults.judge import complaints, faults_of, try_faults
from tests.faults.scenarios import make_scenarios


@pytest.fixture(scope="module")
def scenarios(tmp_path_factory):
    here = Path.cwd()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "100")
        yield make_scenarios(tmp_path_factory.mktemp("faults").resolve())
    os.chdir(here)


def test_errors_of_the_system_never_harm_a_run(scenarios):
    tried = list(try_faults(scenarios, 24, seed=0))
    assert len(tried) == 24
    assert [(what, wrong) for what, wrong in tried if wrong] == []


def test_every_kind_of_call_is_made_by_some_scenario(scenarios):
    called = {fault.call for scenario in scenarios for fault in faults_of(scenario)}
    assert called == ERRORS.keys() - {"os.scandir"}


@pytest.mark.parametrize("call", ["os.stat", "open", "os.listdir", "os.mkdir", "os.replace"])
def test_a_call_is_refused_once(call, tmp_path):
    def work():
        for n in range(3):
            (tmp_path / f"{n}").write_text("a")
            (tmp_path / f"folder-{n}").mkdir()
            os.replace(tmp_path / f"{n}", tmp_path / f"folder-{n}" / "a")
            assert os.listdir(tmp_path / f"folder-{n}") == ["a"]
            os.stat(tmp_path / f"folder-{n}")

    with (
        counted(tmp_path, Fault(call, 3, errno.EIO)) as calls,
        pytest.raises(OSError, match="Input/output error"),
    ):
        work()
    assert calls.counts[call] == 3


def test_the_judge_sees_a_finished_run_that_is_finished_no_more(scenarios, monkeypatch):
    """As where "running" is written over its record when more is asked for."""
    [more] = [scenario for scenario in scenarios if scenario.name == "more"]
    monkeypatch.setattr(OpenRun, "going_on", lambda self, finished, observer: finished)
    flushes = [fault for fault in faults_of(more) if fault.call == "os.fsync"]
    assert any("not shown any more" in str(complaints(more, fault)[1]) for fault in flushes[::9])


def test_the_judge_sees_what_is_called_damaged_and_is_not(scenarios, monkeypatch):
    """As where a file that cannot be read now is taken for a broken one."""
    [resume] = [scenario for scenario in scenarios if scenario.name == "resume"]
    original = open_run.read_bytes

    def read_or_break(file, **options):
        try:
            return original(file, **options)
        except StorageError:
            return b""

    monkeypatch.setattr(open_run, "read_bytes", read_or_break)
    readings = [fault for fault in faults_of(resume) if fault.call == "read"]
    chosen = [fault for fault in readings if fault.number == errno.EIO and not fault.is_lasting]
    assert any("called damaged" in str(complaints(resume, fault)) for fault in chosen)
