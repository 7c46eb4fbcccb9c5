"""What came out of one training of a cell: how it is logged, and what a log cannot say."""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from sgdlab.config.grid import Cell
from sgdlab.config.model import Train
from sgdlab.engine.running_block import Outcome
from sgdlab.runs.reading import LARGE, Count, Index, Logged, Sha256, Word, keys

Status = Literal["completed", "diverged"]
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
        reason=Word | None,
        history=Annotated[dict[str, list[float | None]], keys(*HISTORIES)],
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
    reason = None
    squared_norm = sha256 = None
    if outcome.weights is None:
        reason = f"the running loss of epoch {outcome.epochs} is not finite or far above its start"
    else:
        squared_norm = float(np.sum(np.square(outcome.weights, dtype=np.float64)))
        sha256 = weights_sha256(outcome.weights)
    return ReplicateResult(
        replicate=outcome.replicate,
        fold=outcome.fold,
        status=outcome.status,
        epochs=outcome.epochs,
        running_loss=or_none(outcome.running_loss),
        train_loss=or_none(outcome.train_loss),
        validation_loss=or_none(outcome.validation_loss),
        validation_loss_regularized=_regularized(outcome.validation_loss, cell.train, squared_norm),
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
    if None in training.history["running_loss"][:-1] or (
        is_completed and training.running_loss is None
    ):
        yield "history.running_loss", "null before the end"
    for half_mse, mae in zip(*(training.history[name] for name in HISTORIES[1:]), strict=True):
        if (half_mse is None and mae is not None and mae < LARGE) or (mae is None) > (
            half_mse is None
        ):
            yield "history.validation_mae", f"{mae} beside a validation_loss of {half_mse}"
    norm = training.weights_squared_norm
    if is_completed and norm is None and training.train_loss is not None:
        yield "weights_squared_norm", "null, although train_loss is a number"
    regularized = _regularized(training.validation_loss, train, norm)
    if regularized != training.validation_loss_regularized:
        yield "validation_loss_regularized", f"not validation_loss + L2, {regularized}"


def _regularized(loss: float | None, train: Train, squared_norm: float | None) -> float | None:
    """With the part of L2 in the objective; None where it is not finite."""
    if loss is None or squared_norm is None:
        return None
    return or_none(loss + train.l2 / 2 * squared_norm)


def or_none(value: float) -> float | None:
    """JSON and tables have nothing where a number is not finite."""
    return value if math.isfinite(value) else None


def _finite(values: list[float]) -> list[float | None]:
    return [or_none(value) for value in values]
