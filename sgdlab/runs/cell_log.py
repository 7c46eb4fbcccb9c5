"""What came out of a cell: one object for the log, the table, and the selection."""

import math
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import FailFast, Field

from sgdlab.config.grid import Cell
from sgdlab.config.model import Train
from sgdlab.runs.reading import (
    SCHEMA_VERSION,
    CellName,
    Count,
    Log,
    Number,
    Sentence,
    Sha256,
    check_same,
)
from sgdlab.runs.replicate_log import (
    SMALLEST_NORM,
    ReplicateLog,
    ReplicateResult,
    Status,
    contradictions,
    penalty_of,
)
from sgdlab.uncertainty.means import standard_error

FOLDS_REMARK = (
    "validation losses of a fold are measured where a training stops, after no other epoch"
)


@dataclass(frozen=True)
class CellResult:
    """All trainings of a cell; each number is their mean, and NaN if one of them diverged.

    ``replicates`` has every replicate in fold 0, then in fold 1, and so on.
    """

    cell: Cell
    replicates: tuple[ReplicateResult, ...]

    @property
    def status(self) -> str:
        statuses = {training.status for training in self.replicates}
        return "diverged" if "diverged" in statuses else "completed"

    @property
    def folds(self) -> int | None:
        last = self.replicates[-1].fold
        return None if last is None else last + 1

    @property
    def penalty(self) -> float:
        """The part of L2 in the objective."""
        l2, norm = self.cell.train.l2, self.mean("weights_squared_norm")
        penalty = penalty_of(l2, norm)
        if penalty is not None:
            return penalty
        beside = self.mean("validation_loss_regularized") - self.mean("validation_loss")
        if math.isnan(beside) and norm < SMALLEST_NORM:
            return l2 / 2 * norm
        return beside

    def mean(self, name: str) -> float:
        """Over replicates and folds, of a number that each training has."""
        if len(self.replicates) == 1:  # as nearly always, and many logs are read: without numpy
            value = getattr(self.replicates[0], name)
            return math.nan if value is None else float(value)
        with np.errstate(over="ignore", invalid="ignore"):
            return float(np.mean(self._values(name)))

    @np.errstate(over="ignore", invalid="ignore")
    def standard_error(self, name: str) -> float:
        """That of a mean over folds, or without them over replicates; NaN for a single one."""
        values = self._values(name)
        if len(values) < 2:
            return math.nan
        return standard_error(values)

    def _values(self, name: str) -> NDArray[np.float64]:
        """One of each fold, the mean over its replicates; or one of each replicate."""
        values = [getattr(training, name) for training in self.replicates]
        numbers = np.array([math.nan if value is None else value for value in values])
        return numbers.reshape(self.folds, -1).mean(axis=1) if self.folds else numbers

    def to_log(self, is_synthetic: bool, origin: str) -> dict[str, Any]:
        """The cell's log, as it stands in its JSON file.

        Parameters
        ----------
        origin
            Of what run; see :func:`sgdlab.runs.names.origin_of`.
        """
        names = ("running_loss", "train_loss", "validation_loss", "validation_loss_regularized")
        return {
            "schema_version": SCHEMA_VERSION,
            "origin": origin,
            "cell": self.cell.name,
            "synthetic": is_synthetic,
            "hyperparameters": self.cell.train.model_dump(mode="json"),
            "status": self.status,
            **{name: self.mean(name) for name in (*names, "validation_mae", "bias")},
            **({"remark": FOLDS_REMARK} if self.folds else {}),
            "replicates": [vars(training) for training in self.replicates],
        }

    @classmethod
    def from_log(cls, log: dict[str, Any]) -> "CellResult":
        """The inverse of :meth:`to_log`.

        Raises
        ------
        ValueError
            If it is no such log: a key too few or too many or of another type, or two keys that
            contradict each other.
        """
        form, result = _formed(log)
        cell = result.cell
        wording = {} if form.remark is None else {"remark": form.remark}
        check_same(log, result.to_log(form.synthetic, form.origin) | wording, "", ", by replicates")
        for n, training in enumerate(form.replicates):
            for key, reason in contradictions(training, cell.train):
                raise ValueError(f"replicates.{n}.{key}: {reason}")
        return result

    @classmethod
    def as_it_says(cls, log: dict[str, Any]) -> "CellResult":
        """The same of a log whose keys may contradict each other, as where a number was altered."""
        return _formed(log)[1]


class _CellLog(Log):
    """The keys of a cell's log."""

    schema_version: Count
    origin: Sha256
    cell: CellName
    synthetic: bool
    hyperparameters: Train
    status: Status
    running_loss: Number
    train_loss: Number
    validation_loss: Number
    validation_loss_regularized: Number
    validation_mae: Number
    bias: Number
    remark: Sentence | None = None
    replicates: Annotated[tuple[ReplicateLog, ...], FailFast(), Field(min_length=1, strict=False)]


def _formed(log: dict[str, Any]) -> tuple[_CellLog, CellResult]:
    """A log with the keys that it must have, and what it says; ValueError if it has others."""
    form = _CellLog.model_validate(log)
    cell = Cell(int(form.cell), form.hyperparameters)
    last, n_replicates = form.replicates[-1].fold, cell.train.replicates
    n_wanted = n_replicates if last is None else n_replicates * (last + 1)
    found_places = [(training.fold, training.replicate) for training in form.replicates]
    if len(found_places) != n_wanted or found_places != [
        (None if last is None else n // n_replicates, n % n_replicates) for n in range(n_wanted)
    ]:
        found = f"{len(form.replicates)} of other folds or replicates than {n_wanted}"
        raise ValueError(f"replicates: fold and replicate: {found}")
    return form, CellResult(cell, form.replicates)
