"""What must hold of a command that is given a hostile run, and what is counted."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sgdlab.runs.directory import RunDirectory
from sgdlab.runs.names import origin_of
from tests.faults.hostile_runs import neighbours
from tests.faults.hostile_runs.changes import HostileRun
from tests.faults.hostile_runs.sandbox import Outcome, Sandbox, give
from tests.flipped_bits import Kind

CODES = (0, 2, 3, 4, 5)
LONGEST_S = 1.0  # of the processor, beyond what the command takes on a valid run
MOST_BYTES = 500 * 10**6
LONGEST_LINE = 4000  # of an error, with the path of the sandbox in it


@dataclass
class Tally:
    """What came of many hostile runs."""

    complaints: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    codes: Counter[int] = field(default_factory=Counter)
    n_runs: int = 0
    peak_bytes: int = 0
    longest_s: float = 0.0

    def add(self, outcome: Outcome, wrong: list[tuple[str, str]], where: str) -> None:
        self.n_runs += 1
        self.peak_bytes = max(self.peak_bytes, outcome.peak_bytes)
        self.longest_s = max(self.longest_s, *(found.processor_s for found in outcome.given), 0.0)
        self.codes.update(found.code for found in outcome.given)
        self.kinds.update({kind for kind, _ in wrong})
        self.complaints += [f"{where}: {kind}: {what}" for kind, what in wrong]

    def merge(self, other: "Tally") -> None:
        self.complaints += other.complaints
        self.kinds += other.kinds
        self.codes += other.codes
        self.n_runs += other.n_runs
        self.peak_bytes = max(self.peak_bytes, other.peak_bytes)
        self.longest_s = max(self.longest_s, other.longest_s)


class Judge:
    """Makes hostile runs out of valid ones, gives commands, and judges what comes of it."""

    def __init__(self, kinds: list[Kind], folder: Path) -> None:
        self._kinds, self._sandbox = kinds, Sandbox(folder)
        self._origins = {
            kind.name: origin_of(RunDirectory(kind.pristine).experiment()) for kind in kinds
        }
        self._usual: dict[str, Outcome] = {}
        for kind in kinds:
            self._sandbox.prepare(kind)
            give(self._commands(kind))  # so that what is made once is made
            self._sandbox.prepare(kind)
            self._usual[kind.name] = outcome = give(self._commands(kind))
            assert not outcome.end, outcome

    def judge(self, number: int, seed: int, tally: Tally) -> None:
        """Make the hostile run of a number, and judge it."""
        kind, rng = self._kinds[number % len(self._kinds)], np.random.default_rng([seed, number])

        def change(run: HostileRun) -> None:
            if rng.random() < 0.1:
                run.done.append(neighbours.add(self._sandbox, run.path, rng))
            else:
                run.change(rng)

        hostile, outcome, wrong = self.judged(kind, change)
        tally.add(outcome, wrong, f"{number} {kind.name}: {'; '.join(hostile.done)}")

    def judged(
        self, kind: Kind, change: Callable[[HostileRun], None]
    ) -> tuple[HostileRun, Outcome, list[tuple[str, str]]]:
        """Change a valid run, give the commands, and say what is wrong with what comes of it."""
        run = self._sandbox.prepare(kind)
        hostile = HostileRun(run, self._sandbox.outside, self._origins[kind.name])
        change(hostile)
        before = self._sandbox.untouched()
        outcome = give(self._commands(kind))
        wrong = list(self._complaints(kind, outcome))
        if (after := self._sandbox.untouched()) != before:
            changed = [name for name in before | after if before.get(name) != after.get(name)]
            wrong.append(("outside", f"changed: {changed}"))
        return hostile, outcome, wrong

    def _commands(self, kind: Kind) -> tuple[tuple[str, ...], ...]:
        run, runs = str(self._sandbox.runs / kind.path.name), str(self._sandbox.runs)
        searches = [given for given in kind.commands if given[0] not in ("evaluate", "verify")]
        search = list(searches[-1])
        search[search.index("--runs-dir") + 1] = runs
        search[search.index("--format") + 1] = "table"
        return (
            ("evaluate", run),
            ("evaluate", run, "--format", "json"),
            ("evaluate", "latest", "--runs-dir", runs),
            tuple(search),
        )

    def _complaints(self, kind: Kind, outcome: Outcome) -> Iterator[tuple[str, str]]:
        usual = self._usual[kind.name]
        if outcome.end:
            done = len(outcome.given)
            yield outcome.end, str(self._commands(kind)[done : done + 1])
        if outcome.peak_bytes > MOST_BYTES:
            yield "memory", f"{outcome.peak_bytes / 1e6:.0f} MB"
        for given, before in zip(outcome.given, usual.given, strict=False):
            name = " ".join((given.command[0], *given.command[2:])).replace(
                str(self._sandbox.folder), ""
            )
            if given.code not in CODES or "Traceback" in given.err:
                yield "traceback", f"{name} ends with {given.code}: {given.err[-600:]}"
                continue
            if given.processor_s > before.processor_s + LONGEST_S:
                yield "slow", f"{name} takes {given.processor_s:.1f} s"
            yield from self._about_text(name, given.out, given.err, given.code)

    def _about_text(self, name: str, out: str, err: str, code: int) -> Iterator[tuple[str, str]]:
        for stream in (out, err):
            raw = {char for char in stream if not char.isprintable() and char != "\n"}
            if raw:
                yield "characters", f"{name} shows {sorted(raw)!a}"
        errors = [line for line in err.splitlines() if line.startswith("sgdlab: error: ")]
        if code in (2, 3, 4, 5) and len(errors) != 1:
            yield "lines", f"{name} ends with {code} and {len(errors)} lines of errors: {err[:400]}"
        if any(len(line) > LONGEST_LINE for line in err.splitlines()):
            yield "lines", f"{name} says a line of {max(map(len, err.splitlines()))} characters"
        if "memory" in err and "enough memory" in err:
            yield "memory", f"{name} asks for more than there is: {err[:400]}"
