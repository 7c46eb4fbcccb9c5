"""A parameter in an error is an option of some command."""

import ast
import re
from pathlib import Path

import pytest
import typer

import sgdlab
from sgdlab.cli.app import app
from sgdlab.cli.flags import as_option, shown
from sgdlab.errors import Problem

PACKAGE = Path(sgdlab.__file__).parent
PARAMETER = re.compile(r"(?<!`)`([a-z][a-z0-9_]*)(?:=[^`]*)?`(?!`)")


def options(command) -> set[str]:
    """The options of a command, or of all commands of a group."""
    own = {name for parameter in command.params for name in parameter.opts}
    return own.union(*(options(one) for one in getattr(command, "commands", {}).values()))


def texts(tree):
    """Every text of a module that is no docstring; values that are put into it are dots."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    left_out = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            left_out |= {id(part) for part in node.values}
            parts = (
                part.value if isinstance(part, ast.Constant) else "..." for part in node.values
            )
            yield "".join(parts)
        elif isinstance(node, ast.Constant) and id(node) not in left_out:
            yield str(node.value)


OF_PYTHON_ALONE = {"arrays"}  # those in memory, which nobody can type


def parameters(source: str) -> set[str]:
    """The parameters that a module's errors may name: nothing else stands in backticks."""
    return {name for text in texts(ast.parse(source)) for name in PARAMETER.findall(text)}


def unknown(source: str) -> set[str]:
    """Those that are no options of the application."""
    known = options(typer.main.get_command(app))
    named = parameters(source) - OF_PYTHON_ALONE
    return {name for name in named if as_option(name).split()[0] not in known}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.stem)
def test_the_parameters_in_errors_are_options(path):
    assert unknown(path.read_text()) == set()


def test_parameters_are_found_wherever_an_error_is_put_together():
    source = '''
def check(cell):
    """Not ``this`` and not `this`."""
    place = f"`cell={cell}`"
    raise UsageError(place, "no such cell", hint="see `n_trials` and `colour`")
'''
    assert parameters(source) == {"cell", "n_trials", "colour"}
    assert unknown(source) == {"colour"}


def test_the_package_has_some():
    found = set().union(*(parameters(path.read_text()) for path in PACKAGE.rglob("*.py")))
    assert {"cell", "fresh", "mae_step", "keep_weights", "batch_sizes"} <= found


@pytest.mark.parametrize(
    ("name", "value", "option"),
    [
        ("mae_step", None, "--mae-step"),
        ("mae_step", "-1.0", "--mae-step -1.0"),
        ("fresh", "True", "--fresh"),
        ("n_trials", "1", "--trials 1"),
        ("n_rows", None, "--n"),
        ("overrides", "train.l2", "--set train.l2"),
    ],
)
def test_a_parameter_has_the_name_of_its_option(name, value, option):
    assert as_option(name, value) == option


def test_a_problem_is_shown_with_options():
    problem = Problem("`cell=7`", "no such cell", "0 to 3", "see `n_rows`")
    assert shown(problem) == "--cell 7: no such cell; expected 0 to 3 (see --n)"
