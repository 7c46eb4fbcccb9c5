"""A run's weights on any rows: its own, to reproduce the log, or other arrays."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sgdlab.config import Config
from sgdlab.data.dataset import Dataset, array_paths, check_pair, open_dataset, read_targets
from sgdlab.data.npy import NpyFile
from sgdlab.data.rows import READ_BYTES, Chunk, RowSet, Transform, rows_in
from sgdlab.data.stand_in import is_stand_in
from sgdlab.engine.evaluation import prediction_errors
from sgdlab.errors import DataError, UsageError
from sgdlab.lab.mae import MaeStep, mae_step
from sgdlab.optim.losses import Losses, losses_of
from sgdlab.results import CellResult
from sgdlab.runs import RunDirectory, kept_transform, kept_weights

NamedRows = dict[str, RowSet]
PAIRS = (("Xtr", "ytr"), ("Xte", "yte"))


@dataclass(frozen=True)
class EvaluatedRows:
    """A cell on one set of rows.

    ``losses`` are means over replicates, ``logged_loss`` is the same number as the run's log has it
    (None if it has not), and ``step`` starts at the first replicate's weights.
    """

    rows: str
    n_rows: int
    losses: Losses
    logged_loss: float | None
    step: MaeStep | None


@dataclass(frozen=True)
class EvaluationResult:
    """A cell of a run on one or more sets of rows."""

    directory: RunDirectory
    config: Config
    result: CellResult
    is_synthetic: bool
    evaluated: tuple[EvaluatedRows, ...]


def evaluate_run(
    directory: RunDirectory,
    cell: int | None = None,
    folder: Path | None = None,
    prefix: str | None = None,
    learning_rate: float | None = None,
) -> EvaluationResult:
    """Evaluate the best cell of a finished run, or another one whose weights were kept.

    Parameters
    ----------
    folder, prefix
        Of other arrays: any pair of ``Xtr`` and ``ytr`` or ``Xte`` and ``yte``. By default the
        run's own arrays, in the same split.
    learning_rate
        Of one step of subgradient descent on the mean absolute error, if that is wanted.

    Raises
    ------
    UsageError
        If the run is not finished, or the cell's weights were not kept.
    DataError
        If the run's own arrays have changed, or other arrays do not fit the weights.
    """
    experiment = directory.experiment()
    if experiment["status"] != "completed" or experiment["best"] is None:
        found = f"{experiment['status']}, best cell {experiment.get('best')}"
        raise UsageError(f"{directory.path}: {found}; expected a run with a best cell")
    config = Config.model_validate(experiment["config"])
    index = int(experiment["best"]) if cell is None else cell
    weights, bias = kept_weights(directory, index)
    result = directory.result(index)
    precision = result.cell.train.precision
    with ExitStack() as stack:
        if folder is None:
            dataset = stack.enter_context(open_dataset(config.data))
            _check_same(dataset, directory, experiment)
            named, files = _own_rows(dataset, precision), dataset.files
            logged = _logged(result, experiment)
        else:
            prefix = config.data.prefix if prefix is None else prefix
            files = stack.enter_context(_open_pairs(folder, prefix))
            named = _other_rows(files, kept_transform(directory), precision, weights.shape[-1])
            logged = {}
        evaluated = []
        for name, rows in named.items():
            step = None
            if learning_rate is not None:
                step = mae_step(weights[0], float(bias[0]), _chunks(rows), learning_rate)
            losses = losses_of(prediction_errors(weights, bias, _chunks(rows)))
            evaluated.append(EvaluatedRows(name, rows.n_rows, losses, logged.get(name), step))
        is_synthetic = is_stand_in(files)
    return EvaluationResult(directory, config, result, is_synthetic, tuple(evaluated))


def _check_same(dataset: Dataset, directory: RunDirectory, experiment: dict[str, Any]) -> None:
    if dataset.fingerprint != experiment["data"]["fingerprint"]:
        folder = dataset.config.path
        found = f"{folder}: not the arrays that {directory.name} was trained on"
        raise DataError(f"{found}; expected them unchanged (--data {folder} evaluates these)")


def _own_rows(dataset: Dataset, precision: str) -> NamedRows:
    return {
        "training": dataset.training(precision),
        "validation": dataset.validation(precision),
        "test": dataset.test(precision),
    }


def _logged(result: CellResult, experiment: dict[str, Any]) -> dict[str, float | None]:
    test = experiment["test_losses"].get(result.cell.name)
    return {
        "training": result.mean("train_loss"),
        "validation": result.mean("validation_loss"),
        "test": test["half_mse"] if test else None,
    }


@contextmanager
def _open_pairs(folder: Path, prefix: str) -> Iterator[dict[str, NpyFile]]:
    """The pairs of files that are there; of each pair both."""
    paths = array_paths(folder, prefix)
    pairs = [pair for pair in PAIRS if any(paths[part].exists() for part in pair)]
    if not pairs:
        names = ", ".join(path.name for path in paths.values())
        raise DataError(f"{folder}: no arrays; expected a pair of {names} (see --prefix)")
    with ExitStack() as stack:
        parts = [part for pair in pairs for part in pair]
        yield {part: stack.enter_context(NpyFile(paths[part])) for part in parts}


def _other_rows(
    files: dict[str, NpyFile], transform: Transform, precision: str, n_features: int
) -> NamedRows:
    named = {}
    for X_part, y_part in PAIRS:
        if X_part in files:
            X, y = files[X_part], files[y_part]
            check_pair(X, y)
            if X.n_features != n_features:
                found = f"{X.path}: {X.n_features} values a row"
                raise DataError(f"{found}; expected the {n_features} that the weights have")
            numbers = np.arange(X.n_rows)
            named[X.path.name] = RowSet(X, numbers, read_targets(y, precision), transform)
    return named


def _chunks(rows: RowSet) -> Iterator[Chunk]:
    return rows.chunks(rows_in(READ_BYTES, rows.n_features))
