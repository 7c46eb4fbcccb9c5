"""What came out of one training of a cell: how it is logged, and what a log cannot say."""

import hashlib
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import FailFast

from sgdlab.config.grid import Cell
from sgdlab.config.model import Train
from sgdlab.engine.running_block import Outcome
from sgdlab.runs.reading import LARGE, ROUNDING, Count, Index, Logged, Sentence, Sha256, keys
from sgdlab.words.orders import ORDERS

Status = Literal["completed", "diverged"]
SMALLEST_NORM = 1e-290  # squared; less may have lost digits, as L2 may have where it is halved
LARGEST_NORM = sys.float_info.max  # squared; stands for all that is more
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


ReplicateLog = Annotated[
    ReplicateResult,
    Logged(
        replicate=Index,
        fold=Index | None,
        status=Status,
        epochs=Count,
        weights_sha256=Sha256 | None,
        reason=Sentence | None,
        history=Annotated[dict[str, Annotated[list[float | None], FailFast()]], keys(*HISTORIES)],
    ),
]


@np.errstate(over="ignore", invalid="ignore")
def replicate_result(outcome: Outcome, cell: Cell) -> ReplicateResult:
    """The log's view of what the engine yielded."""
    history = {
        "running_loss": _finite(outcome.running_history.tolist()),
        "validation_loss": _finite(outcome.validation_history.tolist()),
        "validation_mae": _finite(outcome.validation_mae_history.tolist()),
    }
    reason = squared_norm = sha256 = regularized = None
    if outcome.weights is None:
        reason = f"the running loss of epoch {outcome.epochs} is not finite or far above its start"
    else:
        squared_norm = float(np.sum(np.square(outcome.weights, dtype=np.float64)))
        squared_norm = min(squared_norm, LARGEST_NORM)
        penalty = penalty_of(cell.train.l2, squared_norm)
        if penalty is None:
            weighed = math.sqrt(cell.train.l2) * outcome.weights.astype(np.float64)
            penalty = float(np.sum(np.square(weighed))) / 2
        regularized = or_none(outcome.validation_loss + penalty)
        sha256 = weights_sha256(outcome.weights)
    return ReplicateResult(
        replicate=outcome.replicate,
        fold=outcome.fold,
        status=outcome.status,
        epochs=outcome.epochs,
        running_loss=or_none(outcome.running_loss),
        train_loss=or_none(outcome.train_loss),
        validation_loss=or_none(outcome.validation_loss),
        validation_loss_regularized=regularized,
        validation_mae=or_none(outcome.validation_mae),
        bias=or_none(outcome.bias),
        weights_squared_norm=squared_norm,
        weights_sha256=sha256,
        reason=reason,
        history=history,
    )


def weights_sha256(weights: NDArray[Any]) -> str:
    """The hash of a model's weights, shape (n_features,), in the precision of its training."""
    return hashlib.sha256(np.ascontiguousarray(weights).tobytes()).hexdigest()


def contradictions(training: ReplicateResult, train: Train) -> Iterator[tuple[str, str]]:
    """Keys of a training with what is wrong with their values, as others say."""
    is_completed = training.status == "completed"
    known = ("weights_sha256", "train_loss", "validation_loss", "validation_mae", "bias")
    if not is_completed:
        for name in (*known, "validation_loss_regularized", "weights_squared_norm"):
            if getattr(training, name) is not None:
                yield name, "of a training that diverged"
    if (training.weights_sha256 is None) == is_completed:
        yield "weights_sha256", f"{training.weights_sha256}, {training.status}"
    if (training.reason is None) != is_completed:
        yield "reason", f"{training.reason}, {training.status}"
    if training.epochs > train.epochs or (is_completed and training.epochs < train.epochs):
        yield "epochs", f"{training.epochs} of {train.epochs}, {training.status}"
    for name, values in training.history.items():
        if len(values) != training.epochs:
            yield f"history.{name}", f"{len(values)} numbers of {training.epochs} epochs"
        elif (is_completed or name == "running_loss") and values[-1] != getattr(training, name):
            yield name, f"{getattr(training, name)}, but its history ends with {values[-1]}"
    is_known = training.fold is None or ORDERS[train.order].sees_all
    if is_known and (
        None in training.history["running_loss"][:-1]
        or (is_completed and training.running_loss is None)
    ):
        yield "history.running_loss", "null before the end"
    for half_mse, mae in zip(*(training.history[name] for name in HISTORIES[1:]), strict=True):
        if (half_mse is None and mae is not None and mae < LARGE) or (mae is None) > (
            half_mse is None
        ):
            yield "history.validation_mae", f"{mae} beside a validation_loss of {half_mse}"
    if is_completed and training.weights_squared_norm is None and training.train_loss is not None:
        yield "weights_squared_norm", "null, although train_loss is a number"
    elif is_completed:
        yield from _contradictions_of_l2(training, train)


def _contradictions_of_l2(training: ReplicateResult, train: Train) -> Iterator[tuple[str, str]]:
    norm, loss = float(training.weights_squared_norm or 0.0), training.validation_loss
    found, penalty = training.validation_loss_regularized, penalty_of(train.l2, norm)
    if loss is None or penalty is not None:
        wanted = None if loss is None or penalty is None else or_none(loss + penalty)
        if found != wanted:
            yield "validation_loss_regularized", f"not validation_loss + L2, {wanted}"
    elif found is not None and found < (1 - ROUNDING) * (loss + train.l2 / 2 * norm):
        yield "validation_loss_regularized", f"{found}, less than validation_loss + L2"


def penalty_of(l2: float, squared_norm: float) -> float | None:
    """The part of L2 in the objective; None where the norm has lost its digits."""
    if l2 == 0:
        return 0.0
    if l2 < SMALLEST_NORM or not SMALLEST_NORM <= squared_norm < LARGEST_NORM:
        return None
    return l2 / 2 * squared_norm


def or_none(value: float) -> float | None:
    """JSON and tables have nothing where a number is not finite."""
    return value if math.isfinite(value) else None


def _finite(values: list[float]) -> list[float | None]:
    return [or_none(value) for value in values]
