"""What must hold whatever call was refused."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from tests.faults.injection import ERRORS, Fault, counted
from tests.faults.scenarios import Scenario
from tests.flipped_bits import Answer


def faults_of(scenario: Scenario) -> list[Fault]:
    """Every error at every call that a scenario makes, once and from there on."""
    scenario.restore()
    with counted(scenario.folder) as calls:
        scenario.give()
    return [
        Fault(call, k, number, is_lasting)
        for call, n_calls in sorted(calls.counts.items())
        for k, number, is_lasting in itertools.product(
            range(1, n_calls + 1), ERRORS[call], (False, True)
        )
    ]


def try_faults(scenarios: list[Scenario], n: int, seed: int) -> Iterator[tuple[str, list[str]]]:
    """Disturb a scenario after the other, ``n`` times in all: what was done, and what is wrong."""
    rng, left = np.random.default_rng(seed), {}
    for scenario in scenarios:
        faults = faults_of(scenario)
        left[scenario.name] = [faults[place] for place in rng.permutation(len(faults))]
    for number in range(n):
        scenario = scenarios[number % len(scenarios)]
        if left[scenario.name]:
            fault = left[scenario.name].pop()
            where, wrong = complaints(scenario, fault)
            yield f"{scenario.name}: {fault} ({where})", wrong


def complaints(scenario: Scenario, fault: Fault) -> tuple[str, list[str]]:
    """Disturb a command once: the path that was refused, and what is wrong then or afterwards."""
    where = ""

    def disturbed() -> Answer:
        nonlocal where
        with counted(scenario.folder, fault) as calls:
            found = scenario.give()
        where = calls.where.removeprefix(f"{scenario.folder}/")
        return found

    wrong = judged(scenario, disturbed)
    return where, wrong


def judged(scenario: Scenario, disturbed: Callable[[], Answer]) -> list[str]:
    """What is wrong when a scenario's command is given in a way that disturbs it, or afterwards.

    A complaint begins with its kind and a colon.
    """
    scenario.restore()
    before = scenario.results()
    wrong = list(_about_answer(disturbed(), scenario))
    wrong += _about_files(before, scenario)
    if scenario.is_finished and "evaluate" not in scenario.command:
        # Either as it was or, if it ended before it was refused, as it is after the command.
        for *shown, now in zip(scenario.shown, scenario.shown_then, scenario.show(), strict=True):
            if now.code != 0 or now.out not in [answer.out for answer in shown]:
                wrong.append(f"the finished run is not shown any more: {now.code} {now.err}")
    again = scenario.give()
    if again.code != 0 or again.out != scenario.answer.out:
        wrong.append(f"the command given again ends otherwise: {again.code} {again.err}")
    if (results := scenario.results()) != scenario.expected:
        different = [
            name
            for name in sorted(results.keys() | scenario.expected.keys())
            if results.get(name) != scenario.expected.get(name)
        ]
        wrong.append(f"other files after the command is given again: {different}")
    return wrong


def _about_answer(found: Answer, scenario: Scenario) -> Iterator[str]:
    errors = [line for line in found.err.splitlines() if line.startswith("sgdlab: error: ")]
    if "Traceback" in found.err or found.code not in (0, 2, 3, 4):
        yield f"a traceback, or no exit code of the program: {found.code} {found.err}"
    elif found.code == 0 and found.out != scenario.answer.out:
        yield f"a false success: shows {found.out}"
    elif found.code == 0 and (names := _not_as_expected(scenario)):
        yield f"a false success: leaves {names}"
    elif found.code != 0 and len(errors) != 1:
        yield f"not one line of an error: {found.code} {found.err}"
    if "delete it" in found.err:
        yield f"advises to delete what is whole: {found.err}"


def _not_as_expected(scenario: Scenario) -> list[str]:
    """The files that a command which ended well has not left as it does undisturbed.

    What replaces a file of a finished run is read where it was made until it can be moved.
    """
    results, expected = scenario.results(), scenario.expected
    wrong = [name for name in results if name not in expected and "/state/" not in name]
    for name, content in expected.items():
        made = "/".join((*name.split("/")[:2], "state/next", *name.split("/")[2:]))
        if content not in (results.get(name), results.get(made)):
            wrong.append(name)
    return wrong


def _about_files(before: Mapping[str, bytes], scenario: Scenario) -> Iterator[str]:
    """Every file is as it was, or as it is when the command has done its work."""
    after, expected = scenario.results(), scenario.expected
    is_done = all(after.get(name) == content for name, content in expected.items())
    for name, content in before.items():
        if after.get(name) == content or (is_done and name not in expected):
            continue
        if name.endswith("/state/checkpoint.npz") and name in after:
            continue  # a later one has taken its place
        if name not in expected or after.get(name) != expected[name]:
            yield f"{'changed' if name in after else 'gone'}: {name}"
    if damaged := [name for name in after if "/damaged/" in name]:
        yield f"called damaged: {damaged}"


def counted_kinds(names: list[str]) -> Counter[str]:
    return Counter(name.split(":")[0] for name in names)
