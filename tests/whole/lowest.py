"""The lowest versions that pyproject.toml allows, for a check that the program works with them.

``python tests/whole/lowest.py`` prints them as constraints for pip; with ``--tests``, the tests
that are
run with them. These need nothing but pytest and what the program itself needs.
"""

import re
import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[2]
TESTS = [
    "tests/config/test_reading.py",
    "tests/config/test_schema.py",
    "tests/engine/test_passes.py",
    "tests/search/test_session.py",
    "tests/runs/test_directory.py",
    "tests/system/test_files.py",
    "tests/system/test_blas.py",
    "tests/cli/test_app.py",
]


def constraints(requirements: list[str]) -> list[str]:
    """``name==bound`` of requirements ``name>=bound``.

    Raises
    ------
    ValueError
        If one of them has another form.
    """
    found = [re.fullmatch(r"([A-Za-z0-9_-]+)>=([0-9.]+)", each) for each in requirements]
    if not all(found):
        raise ValueError(f"{requirements}: expected name>=version everywhere")
    return [f"{match[1]}=={match[2]}" for match in found if match]


def dependencies() -> list[str]:
    """What the program itself needs, by pyproject.toml."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project["dependencies"]


if __name__ == "__main__":
    print("\n".join(TESTS if sys.argv[1:] == ["--tests"] else constraints(dependencies())))
