"""Shows the progress of a training on stderr: live on a terminal, as plain lines elsewhere."""

import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from sgdlab import observer
from sgdlab.report.numbers import number
from sgdlab.system.safe_text import printable

SECONDS_BETWEEN_LINES = 5.0


def make_observer(console: Console, is_quiet: bool) -> observer.Observer:
    """The observer that fits a console."""
    if is_quiet:
        return observer.Observer()
    # The variables that force colours upon a file make rich call it a terminal; bars are for those.
    is_watched = console.file.isatty() and console.is_terminal
    if is_watched and not console.is_dumb_terminal:
        return LiveProgress(console)
    return PlainProgress(console)


class PlainProgress(observer.Observer):
    """A line every few seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = self._last = time.monotonic()
        self._first = 0  # the epoch that the training begins after

    def note(self, message: str) -> None:
        self._console.print(f"sgdlab: {printable(message)}", soft_wrap=True)

    def begin(self, progress: observer.Progress) -> None:
        self._started = self._last = time.monotonic()
        self._first = progress.epoch

    def advance(self, progress: observer.Progress) -> None:
        now = time.monotonic()
        if now - self._last >= SECONDS_BETWEEN_LINES:
            self._last = now
            elapsed, n_done = now - self._started, progress.epoch - self._first
            left = elapsed / n_done * (progress.n_epochs - progress.epoch)
            self.note(f"{status(progress, n_done, elapsed)}, {left:.0f} s left")


class LiveProgress(PlainProgress):
    """A bar that is redrawn in place."""

    def begin(self, progress: observer.Progress) -> None:
        super().begin(progress)
        columns = (
            BarColumn(20),
            TextColumn("{task.description}"),
            TimeRemainingColumn(compact=True),
        )
        self._bar = Progress(*columns, console=self._console, transient=True)
        self._task: TaskID = self._bar.add_task(
            "starting", total=progress.n_epochs, completed=progress.epoch
        )
        self._bar.start()

    def advance(self, progress: observer.Progress) -> None:
        elapsed, n_done = time.monotonic() - self._started, progress.epoch - self._first
        text = status(progress, n_done, elapsed)
        self._bar.update(self._task, completed=progress.epoch, description=text)

    def end(self) -> None:
        self._bar.stop()


def status(progress: observer.Progress, n_done: int, elapsed_s: float) -> str:
    """``epoch 12/64, 93,000 rows/s, 250/256 cells alive, best 112.3``

    ``n_done`` epochs were trained in the time given.
    """
    rows_per_s = n_done * progress.n_rows / elapsed_s if elapsed_s > 0 else 0.0
    alive = f"{progress.n_alive}/{progress.n_cells} cells alive"
    best = f", best {number(progress.best)}" if progress.best is not None else ""
    return f"epoch {progress.epoch}/{progress.n_epochs}, {rows_per_s:,.0f} rows/s, {alive}{best}"
