"""What a long command tells while it works; the base class keeps silent."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far a training has come.

    Attributes
    ----------
    epoch, n_epochs
        Of all passes together.
    n_rows
        Rows that one epoch reads.
    n_alive, n_cells
        Cells that have not diverged, and all.
    best
        The smallest validation metric seen after any epoch so far; None before the first.
    """

    epoch: int
    n_epochs: int
    n_rows: int
    n_alive: int
    n_cells: int
    best: float | None = None


class Observer:
    """Receives notes, and progress after every epoch."""

    def note(self, message: str) -> None:
        """Something that the user should know; one line."""

    def begin(self, progress: Progress) -> None:
        """Training starts."""

    def advance(self, progress: Progress) -> None:
        """An epoch is done."""

    def end(self) -> None:
        """Training has ended, for whatever reason."""
