"""The constraints of the check with the lowest versions."""

import importlib.metadata

import pytest

from tests.whole.lowest import PROJECT, TESTS, constraints, dependencies


def test_every_dependency_has_a_lowest_version_that_is_not_above_the_installed_one():
    for each in constraints(dependencies()):
        name, _, lowest = each.partition("==")
        installed = importlib.metadata.version(name)
        assert numbers(lowest) <= numbers(installed)


def numbers(version):
    return [int(part) for part in version.split(".")]


def test_constraints_are_the_bounds():
    assert constraints(["a>=1.20", "b-c>=3"]) == ["a==1.20", "b-c==3"]


@pytest.mark.parametrize("requirement", ["a", "a==1", "a>=1,<2", "a~=1.2"])
def test_a_requirement_without_a_mere_lower_bound_is_refused(requirement):
    with pytest.raises(ValueError, match="expected name>=version"):
        constraints(["b>=1", requirement])


def test_the_tests_are_there():
    assert all((PROJECT / each).is_file() for each in TESTS)
