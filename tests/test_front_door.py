"""What ``import sgdlab`` gives, and what it leaves for later."""

import inspect
import subprocess
import sys

import pytest

import sgdlab
from sgdlab import errors, workflows
from sgdlab.search import workflows as search_workflows


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True)


@pytest.mark.parametrize("name", sgdlab.__all__)
def test_every_name_is_that_of_the_workflows_or_errors(name):
    if name == "__version__":
        assert isinstance(sgdlab.__version__, str)
        return
    home = errors if name.endswith("Error") else workflows
    assert getattr(sgdlab, name) is getattr(home, name)


def test_every_workflow_is_to_be_had():
    functions = {
        name
        for name, value in vars(workflows).items()
        if inspect.isfunction(value)
        and value.__module__ in (workflows.__name__, search_workflows.__name__)
    }
    assert {name for name in functions if not name.startswith("_")} <= set(sgdlab.__all__)


def test_completion_knows_the_names():
    assert set(sgdlab.__all__) <= set(dir(sgdlab))


def test_other_names_are_not_there():
    with pytest.raises(AttributeError, match=r"^module 'sgdlab' has no attribute 'grid_serach'$"):
        _ = sgdlab.grid_serach


def test_the_import_leaves_what_takes_long_for_later():
    done = python("-X", "importtime", "-c", "import sgdlab")
    imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert "sgdlab.errors" in imported
    slow = {"numpy", "pydantic", "typer", "rich", "yaml", "sgdlab.workflows"}
    assert imported & slow == set()


def test_words_can_be_added_before_the_first_call():
    program = """
from dataclasses import dataclass
import sgdlab
from sgdlab.words.losses import LOSSES, Squared

@LOSSES.add
@dataclass(frozen=True)
class Quadratic(Squared):
    name = "quadratic"

text = str(sgdlab.schema())
assert "quadratic" in text
"""
    python("-c", program)


def test_type_checkers_see_the_functions(tmp_path):
    """And nothing that is not there."""
    program = tmp_path / "program.py"
    program.write_text(
        "import sgdlab\n"
        "reveal_type(sgdlab.grid_search)\n"
        "reveal_type(sgdlab.SearchOptions().fresh)\n"
        "sgdlab.grid_serach\n"
    )
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path / "cache"), str(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    function, switch, unknown, *_ = done.stdout.splitlines()
    assert function.endswith('-> sgdlab.search.result.SearchResult"')
    assert switch.endswith('bool"')
    assert 'program.py:4: error: Module has no attribute "grid_serach"' in unknown
