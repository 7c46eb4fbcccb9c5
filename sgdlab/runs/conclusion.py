"""How a run ended, as ``experiment.json`` says it: with a best cell, or without and why."""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import FailFast, Field, model_validator

from sgdlab.optim.losses import Losses
from sgdlab.runs.reading import (
    LARGE,
    MANY,
    CellName,
    Count,
    Index,
    Log,
    Logged,
    Number,
    Sentence,
    Sha256,
    keys,
)
from sgdlab.uncertainty.differences import Difference
from sgdlab.words.metrics import METRICS


class Counts(Log):
    """How many cells ended in which way."""

    completed: Index
    diverged: Index

    @property
    def total(self) -> int:
        return self.completed + self.diverged


RESULTS, WEIGHTS, PREDICTIONS = "results.csv", "weights.npz", "predictions.npz"
FINAL_LOG = re.compile(r"final/[0-9]{4,7}\.json")


def final_logs(files: Iterable[str]) -> set[str]:
    """Which files of a run are logs of cells that were trained on all rows, as with folds."""
    return {name for name in files if FINAL_LOG.fullmatch(name)}


def _check_names(files: Mapping[str, str], cells: Counts, *tables: str) -> None:
    """Raise ValueError unless these are the files of a run of so many cells."""
    found = files.keys() - final_logs(files)
    if cells.total > len(found) + MANY:  # before so many names are made
        raise ValueError(f"files: {len(found)}, but cells are {cells.total}")
    wanted = {f"cells/{n:04d}.json" for n in range(cells.total)} | set(tables)
    for name in sorted(found ^ wanted):
        what = "unknown" if name in found else "not there"
        raise ValueError(f"files.{name}: {what}, of {cells.total} cells")


LossesLog = Annotated[Losses, Logged(half_mse=Number, mae=Number)]
DifferenceLog = Annotated[
    Difference, Logged(metric=Literal[METRICS.names_for_config()], mean=Number, n_rows=Count)
]


class WithoutBest(Log):
    """The end of a run in which no cell could be selected, and why."""

    cells: Counts
    best: None
    reason: Sentence
    files: dict[str, Sha256]

    @model_validator(mode="after")
    def _has_the_hash_of_every_file(self) -> Self:
        _check_names(self.files, self.cells, RESULTS)
        return self


class WithBest(Log):
    """The end of a run with a best cell.

    Attributes
    ----------
    constant
        What the constant predictor predicts.
    differences
        Of the best cell's metric to the constant predictor's, on held-out rows.
    findings
        What the numbers mean, a sentence each.
    test_losses
        Of the best cell, or of all that have weights; by name.
    files
        sha256 of every other file of the run, by its name in it.
    """

    cells: Counts
    best: CellName
    constant: Number
    constant_losses: Annotated[dict[str, LossesLog], keys("training", "validation", "test")]
    differences: Annotated[dict[str, DifferenceLog], keys("validation", "test")]
    findings: Annotated[tuple[Sentence, ...], FailFast(), Field(min_length=1, strict=False)]
    test_losses: dict[CellName, LossesLog]
    files: dict[str, Sha256]

    @model_validator(mode="after")
    def _has_the_hash_of_every_file(self) -> Self:
        _check_names(self.files, self.cells, RESULTS, WEIGHTS, PREDICTIONS)
        return self

    @model_validator(mode="after")
    def _nulls_stand_for_overflows(self) -> "WithBest":
        """Numbers are null where they are beyond float64, and then so are those made of them."""
        if math.isnan(self.constant) and math.isfinite(self.constant_losses["training"].mae):
            raise ValueError("constant: null, although its losses are numbers")
        named = {f"constant_losses.{name}": losses for name, losses in self.constant_losses.items()}
        named |= {f"test_losses.{name}": losses for name, losses in self.test_losses.items()}
        for place, losses in named.items():
            if math.isnan(losses.half_mse) and losses.mae < LARGE:
                raise ValueError(f"{place}.half_mse: null, although mae is {losses.mae}")
            if math.isnan(losses.mae) and math.isfinite(losses.half_mse):
                raise ValueError(f"{place}.mae: null, although half_mse is {losses.half_mse}")
        if self.best not in self.test_losses:
            raise ValueError(f"test_losses: without the best cell, {self.best}")
        for name, difference in self.differences.items():
            both = [self.constant_losses[name]]
            both += [self.test_losses[self.best]] if name == "test" else []
            known = all(
                math.isfinite(METRICS.make(difference.metric).of(losses)) for losses in both
            )
            if math.isnan(difference.mean) and known:
                raise ValueError(f"differences.{name}.mean: null, although losses are numbers")
        return self


Conclusion = WithBest | WithoutBest


def conclusion_of(log: Mapping[str, Any]) -> Conclusion:
    """What the keys say that a run has when it is finished.

    Raises
    ------
    ValueError
        If they say nothing of the kind.
    """
    if "best" not in log:
        raise ValueError("best: not there")
    if (log["best"] is None) != ("reason" in log):
        reason = "with" if "reason" in log else "without"
        raise ValueError(f"best: {log['best']!r}, {reason} a reason")
    kind = WithoutBest if log["best"] is None else WithBest
    return kind.model_validate(log)
