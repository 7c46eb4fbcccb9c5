"""An exception that nobody expected is a line and a file, also where an import fails."""

import subprocess
import sys

import pytest

from sgdlab.errors import SgdlabError

START = "import sys\n{before}\nfrom sgdlab.__main__ import start\nstart()\n"


def run(before, tmp_path):
    """The program in which something is broken."""
    environment = {"TMPDIR": str(tmp_path), "PATH": "", "COLUMNS": "100"}
    command = [sys.executable, "-c", START.format(before=before)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)


@pytest.mark.parametrize(
    ("before", "word"),
    [
        ("sys.modules['typer'] = None", "ModuleNotFoundError"),
        ("import types; sys.modules['typer'] = types.ModuleType('typer')", "AttributeError"),
    ],
)
def test_an_import_that_fails_is_a_bug_with_a_report(before, word, tmp_path):
    done = run(before, tmp_path)
    assert done.returncode == SgdlabError.exit_code == 70
    [report] = tmp_path.iterdir()
    assert done.stdout == ""
    assert done.stderr.startswith(f"sgdlab: error: this is a bug in sgdlab ({word}: ")
    assert done.stderr.endswith(f"; please report it with {report}, its traceback\n")
    assert len(done.stderr.splitlines()) == 1
    lines = report.read_text().splitlines()
    assert lines[-1].startswith(word)
    assert any(line.startswith("python: ") for line in lines)
