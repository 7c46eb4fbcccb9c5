"""The lowest versions that pyproject.toml allows, for a check that the program works with them.

``python tests/lowest.py`` prints them as constraints for pip; with ``--tests``, the tests that are
run with them. These need nothing but pytest and what the program itself needs.
"""

import re
import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[1]
TESTS = [
    "tests/test_config_file.py",
    "tests/test_config_schema.py",
    "tests/test_engine.py",
    "tests/test_search.py",
    "tests/test_runs.py",
    "tests/test_system.py",
    "tests/test_blas.py",
    "tests/test_cli.py",
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
