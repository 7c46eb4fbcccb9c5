"""What came out of a cell: one object for the log, the table, and the selection."""

import csv
import io
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sgdlab.config.grid import FIRST_NAMES, Cell
from sgdlab.config.model import Train
from sgdlab.errors import NothingToSelectError
from sgdlab.optim.losses import Losses
from sgdlab.runs.reading import SCHEMA_VERSION, CellName, Count, Log, Number, Word, check_same
from sgdlab.runs.replicate_log import ReplicateLog, ReplicateResult, Status, contradictions, or_none
from sgdlab.words.metrics import METRICS

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
        statuses = {each.status for each in self.replicates}
        return "diverged" if "diverged" in statuses else "completed"

    @property
    def folds(self) -> int | None:
        last = self.replicates[-1].fold
        return None if last is None else last + 1

    @property
    def penalty(self) -> float:
        """The part of L2 in the objective."""
        return self.cell.train.l2 / 2 * self.mean("weights_squared_norm")

    def mean(self, name: str) -> float:
        """Over replicates and folds, of a number that each training has."""
        if len(self.replicates) == 1:  # as nearly always, and many logs are read: without numpy
            value = getattr(self.replicates[0], name)
            return math.nan if value is None else float(value)
        with np.errstate(over="ignore", invalid="ignore"):
            return float(np.mean(self._values(name)))

    @np.errstate(over="ignore", invalid="ignore")
    def standard_error(self, name: str) -> float:
        """Of the mean over folds, or without them over replicates; NaN for a single one."""
        values = self._values(name)
        if len(values) < 2:
            return math.nan
        return float(np.std(values, ddof=1) / math.sqrt(len(values)))

    def _values(self, name: str) -> NDArray[np.float64]:
        """One of each fold, the mean over its replicates; or one of each replicate."""
        values = [getattr(each, name) for each in self.replicates]
        numbers = np.array([math.nan if value is None else value for value in values])
        return numbers.reshape(self.folds, -1).mean(axis=1) if self.folds else numbers

    def to_log(self, is_synthetic: bool) -> dict[str, Any]:
        """The cell's log, as it stands in its JSON file."""
        names = ("running_loss", "train_loss", "validation_loss", "validation_loss_regularized")
        return {
            "schema_version": SCHEMA_VERSION,
            "cell": self.cell.name,
            "synthetic": is_synthetic,
            "hyperparameters": self.cell.train.model_dump(mode="json"),
            "status": self.status,
            **{name: self.mean(name) for name in (*names, "validation_mae", "bias")},
            **({"remark": FOLDS_REMARK} if self.folds else {}),
            "replicates": [vars(each) for each in self.replicates],
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
        form = _CellLog.model_validate(log)
        cell = Cell(int(form.cell), form.hyperparameters)
        last = form.replicates[-1].fold
        folds = [None] if last is None else list(range(last + 1))
        wanted = list(itertools.product(folds, range(cell.train.replicates)))
        if [(each.fold, each.replicate) for each in form.replicates] != wanted:
            found = f"{len(form.replicates)} of other folds or replicates than {len(wanted)}"
            raise ValueError(f"replicates: fold and replicate: {found}")
        result = cls(cell, form.replicates)
        wording = {} if form.remark is None else {"remark": form.remark}
        check_same(log, result.to_log(form.synthetic) | wording, "", ", by replicates")
        for n, each in enumerate(form.replicates):
            for key, reason in contradictions(each, cell.train):
                raise ValueError(f"replicates.{n}.{key}: {reason}")
        return result


class _CellLog(Log):
    """The keys of a cell's log."""

    schema_version: Count
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
    remark: Word | None = None
    replicates: Annotated[tuple[ReplicateLog, ...], Field(min_length=1, strict=False)]


def rank(results: Iterable[CellResult], metric: str) -> list[CellResult]:
    """From the best to the worst by the validation metric; ties to the earlier cell.

    Cells without a finite value stand last, in their own order.
    """

    def key(result: CellResult) -> tuple[bool, float, int]:
        value = result.mean(METRICS[metric].logged_as)
        is_finite = math.isfinite(value)
        return (not is_finite, value if is_finite else 0.0, result.cell.index)

    return sorted(results, key=key)


def select(results: Sequence[CellResult], metric: str, rule: str) -> CellResult:
    """The cell with the smallest validation metric, or the simplest of those that come near it.

    Parameters
    ----------
    rule
        ``minimum``, or ``one_standard_error`` of the smallest mean over folds (Breiman et al. 1984,
        Classification and Regression Trees, section 3.4.3).

    Raises
    ------
    NothingToSelectError
        If no cell has a finite one.
    """
    best = rank(results, metric)[0]
    if not math.isfinite(best.mean(METRICS[metric].logged_as)):
        who = f"all {len(results)} cells" if len(results) > 1 else "the only cell"
        message = f"{who} diverged; expected one that did not"
        raise NothingToSelectError(f"selection: {message} (try smaller learning rates)")
    if rule == "minimum":
        return best
    return min(within_one_standard_error(results, metric), key=_complexity)  # the first, if equal


def within_one_standard_error(results: Iterable[CellResult], metric: str) -> list[CellResult]:
    """The cells whose validation metric is at most the smallest plus its standard error, ranked."""
    ranked, name = rank(results, metric), METRICS[metric].logged_as
    limit = ranked[0].mean(name) + ranked[0].standard_error(name)
    return [each for each in ranked if each.mean(name) <= limit]


def _complexity(result: CellResult) -> tuple[float, float]:
    """Least where training is most restrained: by L2, then by the way that it can go."""
    train = result.cell.train
    return (-train.l2, train.learning_rate * train.epochs)


def result_row(
    result: CellResult,
    axes: Sequence[str],
    test: Losses | None,
    final: CellResult | None = None,
) -> dict[str, str | int | float | None]:
    """A cell as a row of ``results.csv`` and of ``--format csv|json``.

    The four usual hyperparameters, further axes of the grid, and the losses; None where a number is
    not known. With folds or replicates also the standard errors of the validation losses.

    Parameters
    ----------
    final
        With folds, the cell trained on all rows, which the test losses are of.
    """
    train = result.cell.train
    names = (*FIRST_NAMES, *(axis for axis in axes if axis not in FIRST_NAMES))
    validation = Losses(result.mean("validation_loss"), result.mean("validation_mae"))
    test = test or Losses(math.nan, math.nan)
    numbers = {
        "running_loss": result.mean("running_loss"),
        "train_loss": result.mean("train_loss"),
        "validation_loss": validation.half_mse,
        "validation_loss_regularized": result.mean("validation_loss_regularized"),
        "validation_rmse": validation.rmse,
        "validation_mae": validation.mae,
        "test_loss": test.half_mse,
        "test_loss_regularized": test.half_mse + (final or result).penalty,
        "test_rmse": test.rmse,
        "test_mae": test.mae,
    }
    if len(result.replicates) > 1:
        for name in (METRICS[each].logged_as for each in METRICS):
            numbers[f"{name}_standard_error"] = result.standard_error(name)
    return {
        "cell": result.cell.name,
        "status": result.status,
        **{name: getattr(train, name) for name in names},
        **{name: or_none(value) for name, value in numbers.items()},
    }


def csv_bytes(rows: Iterable[Mapping[str, object]]) -> bytes:
    """Rows with equal keys as CSV, with a header; None is an empty field."""
    text = io.StringIO(newline="")
    rows = list(rows)
    writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
