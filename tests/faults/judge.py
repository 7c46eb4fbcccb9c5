"""What must hold whatever call was refused."""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np

from tests.faults.injection import ERRORS, Fault, counted
from tests.faults.scenarios import Scenario
from tests.flipped_bits import Answer


def faults_of(scenario: Scenario) -> list[Fault]:
    """Every error at every call that a scenario makes."""
    scenario.restore()
    with counted(scenario.folder) as calls:
        scenario.give()
    return [
        Fault(call, k, number)
        for call, n_calls in sorted(calls.counts.items())
        for k, number in itertools.product(range(1, n_calls + 1), ERRORS[call])
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
    scenario.restore()
    before = scenario.results()
    with counted(scenario.folder, fault) as calls:
        disturbed = scenario.give()
    wrong = list(_about_answer(disturbed, scenario))
    wrong += _about_files(before, scenario)
    if scenario.is_finished and "evaluate" not in scenario.command:
        # Either as it was or, if it ended before it was refused, as it is after the command.
        for *shown, now in zip(scenario.shown, scenario.shown_then, scenario.show(), strict=True):
            if now.code != 0 or now.out not in [answer.out for answer in shown]:
                wrong.append(f"the finished run is not shown any more: {now.code} {now.err}")
    again = scenario.give()
    if again.code != 0 or again.out != scenario.answer.out:
        wrong.append(f"the command given again ends with {again.code}: {again.err}")
    if (results := scenario.results()) != scenario.expected:
        different = [
            name
            for name in sorted(results.keys() | scenario.expected.keys())
            if results.get(name) != scenario.expected.get(name)
        ]
        wrong.append(f"other files after the command is given again: {different}")
    return calls.where.removeprefix(f"{scenario.folder}/"), wrong


def _about_answer(found: Answer, scenario: Scenario) -> Iterator[str]:
    errors = [line for line in found.err.splitlines() if line.startswith("sgdlab: error: ")]
    if "Traceback" in found.err or found.code not in (0, 2, 3, 4):
        yield f"ends with {found.code}: {found.err}"
    elif found.code == 0 and found.out != scenario.answer.out:
        yield f"ends with 0 and shows something else: {found.out}"
    elif found.code == 0 and scenario.results() != scenario.expected:
        names = scenario.results().keys() ^ scenario.expected.keys()
        if any("/state/" not in name for name in names):
            yield f"ends with 0 and leaves other files: {sorted(names)}"
    elif found.code != 0 and len(errors) != 1:
        yield f"ends with {found.code} and {len(errors)} lines of errors: {found.err}"
    if "delete it" in found.err:
        yield f"advises to delete what is whole: {found.err}"


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
            yield f"{name} is {'changed' if name in after else 'gone'}"
    if damaged := [name for name in after if "/damaged/" in name]:
        yield f"called damaged: {damaged}"


def counted_kinds(names: list[str]) -> Counter[str]:
    return Counter(name.split(":")[0] for name in names)
