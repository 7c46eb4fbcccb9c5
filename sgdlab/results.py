"""What came out of a cell: one object for the log, the table, and the selection."""

import csv
import hashlib
import io
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from sgdlab.config import Train
from sgdlab.engine.blocks import Outcome
from sgdlab.errors import NothingToSelectError
from sgdlab.grid import FIRST_NAMES, Cell
from sgdlab.optim.losses import Losses
from sgdlab.stored import SCHEMA_VERSION

FOLDS_REMARK = (
    "validation losses of a fold are measured where a training stops, after no other epoch"
)
HISTORIES = ("running_loss", "validation_loss", "validation_mae")


@dataclass(frozen=True)
class ReplicateResult:
    """One training of a cell. Losses are half mean squared errors, in squared target units.

    Of a diverged replicate only the histories and ``running_loss`` are known; the rest is None.
    ``fold`` is None where all rows to train were seen. The validation losses of a fold are measured
    where its training stops, so their history is None before; with folds, a training on all rows
    has no validation losses.
    """

    replicate: int
    fold: int | None
    status: str  # completed | diverged
    epochs: int
    running_loss: float | None
    train_loss: float | None
    validation_loss: float | None
    validation_loss_regularized: float | None
    validation_mae: float | None
    bias: float | None
    weights_squared_norm: float | None
    weights_sha256: str | None
    reason: str | None
    history: dict[str, list[float | None]]


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

    @np.errstate(over="ignore", invalid="ignore")
    def mean(self, name: str) -> float:
        """Over replicates and folds, of a number that each training has."""
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
        LookupError, TypeError, ValueError
            If it is no such log.
        """
        cell = Cell(int(log["cell"]), Train.model_validate(log["hyperparameters"]))
        replicates = _REPLICATES.validate_python(log["replicates"])
        last = replicates[-1].fold
        folds = [None] if last is None else list(range(last + 1))
        wanted = list(itertools.product(folds, range(cell.train.replicates)))
        if [(each.fold, each.replicate) for each in replicates] != wanted:
            raise ValueError(f"{len(replicates)} replicates")
        for each in replicates:
            if {len(each.history[name]) for name in HISTORIES} != {each.epochs}:
                raise ValueError(f"histories of other than {each.epochs} epochs")
        return cls(cell, replicates)


_REPLICATES = TypeAdapter(tuple[ReplicateResult, ...])


@np.errstate(over="ignore", invalid="ignore")
def replicate_result(outcome: Outcome, cell: Cell) -> ReplicateResult:
    """The log's view of what the engine yielded."""
    history = {
        "running_loss": _finite(outcome.running_history.tolist()),
        "validation_loss": _finite(outcome.validation_history.tolist()),
        "validation_mae": _finite(outcome.validation_mae_history.tolist()),
    }
    reason = None
    squared_norm = sha256 = None
    if outcome.weights is None:
        reason = f"the running loss of epoch {outcome.epochs} is not finite or far above its start"
    else:
        squared_norm = float(np.sum(np.square(outcome.weights, dtype=np.float64)))
        sha256 = hashlib.sha256(np.ascontiguousarray(outcome.weights).tobytes()).hexdigest()
    penalty = cell.train.l2 / 2 * (squared_norm or 0.0)
    return ReplicateResult(
        replicate=outcome.replicate,
        fold=outcome.fold,
        status=outcome.status,
        epochs=outcome.epochs,
        running_loss=_or_none(outcome.running_loss),
        train_loss=_or_none(outcome.train_loss),
        validation_loss=_or_none(outcome.validation_loss),
        validation_loss_regularized=_or_none(outcome.validation_loss + penalty),
        validation_mae=_or_none(outcome.validation_mae),
        bias=_or_none(outcome.bias),
        weights_squared_norm=squared_norm,
        weights_sha256=sha256,
        reason=reason,
        history=history,
    )


METRICS = {"half_mse": "validation_loss", "mae": "validation_mae"}


def rank(results: Iterable[CellResult], metric: str) -> list[CellResult]:
    """From the best to the worst by the validation metric; ties to the earlier cell.

    Cells without a finite value stand last, in their own order.
    """

    def key(result: CellResult) -> tuple[bool, float, int]:
        value = result.mean(METRICS[metric])
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
    if not math.isfinite(best.mean(METRICS[metric])):
        who = f"all {len(results)} cells" if len(results) > 1 else "the only cell"
        message = f"{who} diverged; expected one that did not"
        raise NothingToSelectError(f"selection: {message} (try smaller learning rates)")
    if rule == "minimum":
        return best
    return min(within_one_standard_error(results, metric), key=_complexity)  # the first, if equal


def within_one_standard_error(results: Iterable[CellResult], metric: str) -> list[CellResult]:
    """The cells whose validation metric is at most the smallest plus its standard error, ranked."""
    ranked, name = rank(results, metric), METRICS[metric]
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
        for name in METRICS.values():
            numbers[f"{name}_standard_error"] = result.standard_error(name)
    return {
        "cell": result.cell.name,
        "status": result.status,
        **{name: getattr(train, name) for name in names},
        **{name: _or_none(value) for name, value in numbers.items()},
    }


def csv_bytes(rows: Iterable[Mapping[str, object]]) -> bytes:
    """Rows with equal keys as CSV, with a header; None is an empty field."""
    text = io.StringIO(newline="")
    rows = list(rows)
    writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _finite(values: list[float]) -> list[float | None]:
    return [_or_none(value) for value in values]
