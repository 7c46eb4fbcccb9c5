"""Has the kernel refuse system calls of commands, with strace, and judges what becomes of runs.

    python -m tests.faults.system_calls [--n 1000] [--seed 0] [--jobs 1] [--only PATTERN]

Every error that a manual page names, at every system call by which a search, one with folds, an
evaluation, a resumed search, and a finished one that is shown or asked for more touch their run,
data and config: about 50,000, of 6,000 kinds, which differ in more than the command and the number
of a call, a cell or a block. They come in a random order that the seed says, one of every kind
first. ``--n 0`` is all, and ``--only "resume: *EIO*fsync*"`` those whose line looks so.

It takes about 0.2 s an error and job, and ends with exit code 1 if there is a traceback, a success
that is none, a file that is gone though nobody found it damaged, a finished run that is not shown
any more, or if the same command then ends with other bytes.
"""

import argparse
import multiprocessing
import os
import re
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from unittest import mock

import numpy as np

from sgdlab.runs import provenance
from tests.faults.judge import judged
from tests.faults.manual import MANUAL
from tests.faults.scenarios import Scenario, make_scenarios
from tests.faults.strace import IS_THERE, Effect, traced
from tests.flipped_bits import Answer

Counts = Counter[str]
TOLD_EVERY = 200


@dataclass(frozen=True)
class Sample:
    """Which errors are tried.

    Attributes
    ----------
    n
        How many; 0: all.
    seed
        Of the order in which they come.
    only
        What the line looks like that says what is done.
    """

    n: int
    seed: int
    only: str = "*"

    def of(self, scenarios: list[Scenario]) -> list[tuple[str, Scenario, Effect]]:
        """The line, the scenario and the error of every trial."""
        pairs = [
            (line, scenario, effect)
            for scenario in scenarios
            for effect in errors_of(scenario)
            if fnmatchcase(line := f"{scenario.name}: {effect}", self.only)
        ]
        order = np.random.default_rng(self.seed).permutation(len(pairs))
        mixed = [pairs[place] for place in order]
        ranks, earlier = [], Counts()
        for _, _, effect in mixed:
            kind = re.sub("[0-9]+", "0", str(effect))
            ranks.append(earlier[kind])
            earlier[kind] += 1
        return [mixed[place] for place in np.argsort(ranks, kind="stable")[: self.n or None]]


def errors_of(scenario: Scenario) -> list[Effect]:
    """Every error at every system call that a scenario makes."""
    scenario.restore()
    found = traced(scenario.command, scenario.folder)
    assert found.answer == scenario.answer, found.answer
    return [Effect(site, f"error={error}") for site in found.sites for error in MANUAL[site.call]]


def complaints(scenario: Scenario, effect: Effect) -> tuple[bool, list[str]]:
    """Whether the very call that was meant was refused, and what is wrong.

    A command may once ask a little more of the system, and another one of its calls is refused.
    """
    changed = []

    def disturbed() -> Answer:
        found = traced(scenario.command, scenario.folder, effect)
        changed.extend(found.changed)
        return found.answer

    wrong = judged(scenario, disturbed)
    return changed == [effect.site], wrong


@dataclass
class Tally:
    """What was tried, in which command, and what was wrong."""

    tried: Counts = field(default_factory=Counter)
    wrong: Counts = field(default_factory=Counter)
    n_elsewhere: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.tried + other.tried,
            self.wrong + other.wrong,
            self.n_elsewhere + other.n_elsewhere,
        )


def try_errors(folder: Path, sample: Sample, job: int, jobs: int) -> Tally:
    """Have every ``jobs``-th error happen; whatever is wrong is printed at once."""
    tally = Tally()
    # What git is asked is nothing that this is about, and takes longer than all the rest.
    with mock.patch.object(provenance, "_git_revision", return_value=None):
        scenarios = make_scenarios(folder.resolve())
        for line, scenario, effect in sample.of(scenarios)[job::jobs]:
            was_meant, found = complaints(scenario, effect)
            tally.tried[scenario.name] += 1
            tally.n_elsewhere += not was_meant
            tally.wrong.update({complaint.partition(":")[0] for complaint in found})
            for complaint in found:
                print(f"{line}: {complaint}", flush=True)
            if tally.tried.total() % TOLD_EVERY == 0:
                print(f"{tally.tried.total()} errors tried by job {job}", file=sys.stderr)
        os.chdir("/")
    return tally


def _job(sample: Sample, job: int, jobs: int, results: "multiprocessing.SimpleQueue") -> None:
    with tempfile.TemporaryDirectory(prefix="sgdlab-") as name:
        results.put(try_errors(Path(name), sample, job, jobs))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.system_calls")
    parser.add_argument("--n", type=int, default=1000, help="errors (default: 1000; 0: all)")
    parser.add_argument("--seed", type=int, default=0, help="of the order in which they come")
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    parser.add_argument("--only", default="*", help="those whose line looks so")
    options = parser.parse_args(arguments)
    sample = Sample(options.n, options.seed, options.only)
    if not IS_THERE:
        sys.exit("strace is not installed")
    os.environ["COLUMNS"] = "100"
    context, start = multiprocessing.get_context("fork"), time.perf_counter()
    results = context.SimpleQueue()
    processes = [
        context.Process(target=_job, args=(sample, job, options.jobs, results))
        for job in range(options.jobs)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert all(process.exitcode == 0 for process in processes)
    tally = sum((results.get() for _ in processes), Tally())
    elapsed, elsewhere = time.perf_counter() - start, "at another call than was meant"
    print(f"{tally.tried.total()} errors in {elapsed:.0f} s: {_listed(tally.tried)}")
    print(f"{elsewhere}: {tally.n_elsewhere}")
    print(f"wrong: {_listed(tally.wrong) or 'nothing'}")
    sys.exit(tally.wrong.total() > 0)


def _listed(counts: Counts) -> str:
    return ", ".join(f"{number} {what}" for what, number in sorted(counts.items()))


if __name__ == "__main__":
    main()
