"""What ``experiment.json`` says while a command works on a run, and when it has ended."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from sgdlab.errors import StorageError
from sgdlab.planning.cost import Forecast
from sgdlab.runs.experiment import Experiment, Session
from sgdlab.runs.open_run import OpenRun
from sgdlab.system import machine
from sgdlab.system.blas import blas_threads


class Record:
    """The experiment of a run that is worked on, as it is now."""

    def __init__(self, run: OpenRun, experiment: Experiment) -> None:
        self._run = run
        self.experiment = experiment

    def update(self, **values: Any) -> None:
        self.experiment = self.experiment.replaced(**values)

    def write(self) -> None:
        self._run.write_experiment(self.experiment)


@contextmanager
def recorded(
    run: OpenRun, experiment: Experiment, threads: int, known: Forecast | None
) -> Iterator[Record]:
    """Record when a command worked on a run, how that ended, and its forecast.

    Of a session that broke off the reason is what counts, also where that cannot be written down.
    """
    session = Session(started=_now(), ended=None, threads=threads, forecast=known)
    clock = time.perf_counter()
    record, earlier = Record(run, experiment), experiment.sessions
    record.update(sessions=(*earlier, session), status="running")
    record.write()

    def end(**values: Any) -> None:
        elapsed_s = time.perf_counter() - clock
        ended = session.after(_now(), elapsed_s, machine.peak_memory_bytes())
        record.update(sessions=(*earlier, ended), **values)
        record.write()

    try:
        with blas_threads(threads):
            yield record
    except BaseException as error:
        with suppress(StorageError):
            end(status="failed" if isinstance(error, Exception) else "interrupted")
        raise
    end()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
