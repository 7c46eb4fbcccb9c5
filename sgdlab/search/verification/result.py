"""What came of executing a run again: what was compared, and where it is not what is stored."""

import math
from dataclasses import dataclass

from sgdlab.config.model import Config
from sgdlab.runs.directory import RunDirectory
from sgdlab.search.verification.environment import Fact

Value = float | int | str | None


@dataclass(frozen=True)
class Place:
    """Where a number of a run stands, and what it is of.

    Attributes
    ----------
    file
        Its name in the run.
    quantity
        What it is called there.
    epoch
        From 1; all others count from 0, and what plays no part is None.
    """

    file: str
    quantity: str
    cell: str | None = None
    fold: int | None = None
    replicate: int | None = None
    epoch: int | None = None
    row: int | None = None
    feature: int | None = None

    def __str__(self) -> str:
        names = ("cell", "fold", "replicate", "epoch", "row", "feature")
        known = [(name, getattr(self, name)) for name in names]
        where = [f"{name} {value}" for name, value in known if value is not None]
        return ", ".join([self.file, *where, self.quantity])


@dataclass(frozen=True)
class Mismatch:
    """A number that is another than the one that is stored; None where it is not finite."""

    place: Place
    stored: Value
    recomputed: Value

    @property
    def relative(self) -> float | None:
        """Their distance relative to what is stored; None where that is no number."""
        stored, found = self.stored, self.recomputed
        if not isinstance(stored, int | float) or not isinstance(found, int | float):
            return None
        distance = abs(found - stored)
        return distance / abs(stored) if stored and math.isfinite(distance) else None


@dataclass
class Tally:
    """How many numbers were compared, and how many are others than are stored.

    Attributes
    ----------
    file
        The name of a file in the run, or of a folder of logs.
    """

    file: str
    n_compared: int = 0
    n_different: int = 0


@dataclass(frozen=True)
class Sample:
    """Of which cells the blocks were trained again, where not all were.

    Attributes
    ----------
    best
        The name of the best cell, which is always in a sample; None if there is none.
    drawn
        The names of all, which but for the best were drawn with a seed.
    n_executed
        How many cells these blocks train in all of their folds and replicates.
    """

    best: str | None
    drawn: tuple[str, ...]
    seed: int
    n_executed: int


@dataclass(frozen=True)
class Verification:
    """A run that was executed again from its own record, beside what it has stored.

    Attributes
    ----------
    facts
        What of the environment decides about the last bits, then and now.
    n_cells
        Of the run.
    sample
        None if all of them were trained again.
    tallies
        Of all files that numbers were compared with, folders of logs as one.
    mismatch
        The first number that is another than is stored; None if all are the same.
    remarks
        What else there is to know, a sentence each.
    """

    directory: RunDirectory
    config: Config
    is_synthetic: bool
    facts: tuple[Fact, ...]
    n_cells: int
    sample: Sample | None
    tallies: tuple[Tally, ...]
    mismatch: Mismatch | None
    remarks: tuple[str, ...]

    @property
    def is_exact(self) -> bool:
        """Whether bytes were compared, since the environment is that of the run."""
        return all(fact.is_same for fact in self.facts)

    @property
    def is_same(self) -> bool:
        return self.mismatch is None
