"""How all benchmarks measure: programs in turn, on a machine that does nothing else, medians."""

import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.idle import BusyError, Idle

ATTEMPTS = 4
PAUSE_S = 0.3  # before every run: the threads of OpenBLAS and others stay awake for a while


@dataclass(frozen=True)
class Stopwatch:
    """Median seconds of ``runs`` runs; a run that was disturbed is made again, a few times.

    With ``may_be_busy`` whatever else runs is ignored, for trying a benchmark out.
    """

    runs: int = 3
    may_be_busy: bool = False

    def medians(self, programs: Mapping[str, Callable[[], Any]]) -> dict[str, float]:
        """Median seconds of each program: all once, all again ..., so that they can be compared."""
        seconds: dict[str, list[float]] = {name: [] for name in programs}
        for n in range(self.runs):
            for name, program in programs.items():
                print(f"  run {n + 1} of {self.runs}: {name}", file=sys.stderr)
                seconds[name].append(self.undisturbed(lambda program=program: _timed(program)))
        return {name: statistics.median(each) for name, each in seconds.items()}

    def undisturbed(self, measure: Callable[[], Any]) -> Any:
        """What a measurement found while the machine did nothing else.

        Raises
        ------
        BusyError
            If none of a few attempts was undisturbed.
        """
        if self.may_be_busy:
            return measure()
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with Idle():
                    found = measure()
            except BusyError:
                if attempt == ATTEMPTS:
                    raise
            else:
                break
        return found


def _timed(program: Callable[[], Any]) -> float:
    time.sleep(PAUSE_S)
    start = time.perf_counter()
    program()
    return time.perf_counter() - start
