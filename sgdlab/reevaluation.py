"""A run's weights on any rows: its own, to reproduce the log, or other arrays."""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgdlab.blas import blas_threads
from sgdlab.conclusion import WithBest
from sgdlab.config import Config
from sgdlab.data.dataset import PARTS, Dataset, array_paths, fingerprint_of, open_dataset
from sgdlab.data.in_memory import in_memory
from sgdlab.data.pairs import open_pairs, pairs_in_memory, rows_of_pairs
from sgdlab.data.row_array import RowArray
from sgdlab.data.rows import READ_BYTES, Chunk, RowSet, rows_in
from sgdlab.data.stand_in import is_stand_in
from sgdlab.diagnosis import Difference, paired_difference
from sgdlab.engine.evaluation import prediction_errors
from sgdlab.errors import DataError, UsageError
from sgdlab.experiment_log import Experiment
from sgdlab.lab.mae import MaeStep, mae_step
from sgdlab.optim.losses import Losses, losses_of
from sgdlab.out_of_fold import OutOfFold, out_of_fold
from sgdlab.plan import n_threads
from sgdlab.results import CellResult
from sgdlab.runs import RunDirectory, kept_transform, kept_weights

NamedRows = dict[str, RowSet]
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class EvaluatedRows:
    """A cell on one set of rows.

    With folds, ``validation`` are all rows to train, each predicted by the model of the fold that
    holds it out; the losses there are means over folds.

    Attributes
    ----------
    losses
        Means over replicates.
    constant_losses
        Of the constant predictor, which knows the run's training rows; or those of the fold.
    difference
        Of the cell to the constant predictor, in the run's metric.
    error_90, largest_error
        Absolute errors, of all replicates together: nine in ten are at most the first.
    logged_loss
        ``losses.half_mse`` as the run's log has it; None if it has not.
    step
        From the weights of replicate 0; None if it is not wanted, or each fold has its own weights.
    """

    rows: str
    n_rows: int
    losses: Losses
    error_90: float
    largest_error: float
    constant_losses: Losses
    difference: Difference
    logged_loss: float | None
    step: MaeStep | None


@dataclass(frozen=True)
class EvaluationResult:
    """A cell of a run on one or more sets of rows; ``warnings`` says what looks like a mistake."""

    directory: RunDirectory
    config: Config
    result: CellResult
    is_synthetic: bool
    evaluated: tuple[EvaluatedRows, ...]
    warnings: tuple[str, ...]


def evaluate_run(
    directory: RunDirectory,
    cell: int | None = None,
    folder: Path | None = None,
    prefix: str | None = None,
    learning_rate: float | None = None,
    arrays: Arrays | None = None,
) -> EvaluationResult:
    """Evaluate the best cell of a finished run, or another one whose weights were kept.

    Parameters
    ----------
    folder, prefix
        Of other arrays: any pair of ``Xtr`` and ``ytr`` or ``Xte`` and ``yte``. By default the
        run's own arrays, in the same split.
    learning_rate
        Of one step of subgradient descent on the mean absolute error, if that is wanted.
    arrays
        In memory, in place of a folder: the run's own, which are known by their fingerprint, or any
        pair of others.

    Raises
    ------
    UsageError
        If the run is not finished, there is no such cell or its weights were not kept, or there is
        a prefix without a folder, or a folder beside arrays in memory.
    DataError
        If the run's own arrays are absent or have changed, or other arrays do not fit the weights.
    """
    if prefix is not None and folder is None:
        raise UsageError(f"--prefix {prefix!r}: not of the run's own arrays; expected --data too")
    if folder is not None and arrays is not None:
        raise UsageError(f"{folder}: arrays in memory too; expected one of them")
    directory = RunDirectory(directory.path.resolve())
    experiment = directory.experiment()
    config, conclusion = experiment.config, _with_best(directory, experiment)
    result = _chosen(directory, conclusion, cell)
    kept = kept_weights(directory, result.cell.index)
    model = _Model(*kept[None], conclusion.constant, config.select.metric)
    precision = result.cell.train.precision
    is_own = folder is None and (arrays is None or _are_own(arrays, experiment))
    with ExitStack() as stack:
        stack.enter_context(blas_threads(n_threads(config.run)))
        if is_own:
            dataset = stack.enter_context(_own_arrays(config, directory, experiment, arrays))
            named, used = _own_rows(dataset, precision), dataset.arrays
            logged = _logged(directory, result, experiment, conclusion)
        else:
            prefix = config.data.prefix if prefix is None else prefix
            used = stack.enter_context(_other_arrays(folder, prefix, arrays))
            n_features = model.weights.shape[-1]
            named = rows_of_pairs(used, kept_transform(directory), precision, n_features)
            logged = {}
        evaluated = tuple(
            _evaluate(model, name, rows, logged.get(name), learning_rate)
            for name, rows in named.items()
        )
        if is_own and dataset.shape.folds is not None:
            models = [kept[fold] for fold in range(dataset.shape.folds)]
            found = out_of_fold(models, dataset, precision, config.select.metric)
            validation = _evaluated_out_of_fold(found, config.select.metric, logged["validation"])
            evaluated = (evaluated[0], validation, *evaluated[1:])
        warnings = () if is_own else tuple(_doubts(evaluated, named))
        is_synthetic = is_stand_in(used)
    return EvaluationResult(directory, config, result, is_synthetic, evaluated, warnings)


@dataclass(frozen=True)
class _Model:
    """Weights (replicates, n_features), bias (replicates,), and the constant they are up against.

    The constant minimises ``metric`` on the training rows.
    """

    weights: NDArray[Any]
    bias: NDArray[np.float64]
    constant: float
    metric: str


def _with_best(directory: RunDirectory, experiment: Experiment) -> WithBest:
    """The conclusion of a run that has a best cell."""
    if experiment.is_finished and isinstance(experiment.conclusion, WithBest):
        return experiment.conclusion
    found = f"{experiment.status}, best cell {experiment.best}"
    raise UsageError(f"{directory.path}: {found}; expected a run with a best cell")


def _chosen(directory: RunDirectory, conclusion: WithBest, cell: int | None) -> CellResult:
    """The result of the best cell, or of the one that was asked for."""
    if cell is None:
        return directory.result(int(conclusion.best))
    n_cells = conclusion.cells.total
    if not 0 <= cell < n_cells:
        raise UsageError(f"--cell {cell}: no such cell; expected 0000 to {n_cells - 1:04d}")
    result = directory.result(cell)
    if result.status == "diverged":
        raise UsageError(f"--cell {cell}: diverged; expected a cell that has weights")
    return result


def _evaluate(
    model: _Model, name: str, rows: RowSet, logged_loss: float | None, learning_rate: float | None
) -> EvaluatedRows:
    """The model on one set of rows, where numbers beyond the range of float64 are infinite."""
    step = None
    with np.errstate(over="ignore", invalid="ignore"):
        if learning_rate is not None:
            weights, bias = model.weights[0], float(model.bias[0])
            step = mae_step(weights, bias, _chunks(rows), learning_rate)
        errors = prediction_errors(model.weights, model.bias, _chunks(rows))
        constant_errors = model.constant - rows.targets.astype(np.float64)
        return EvaluatedRows(
            name,
            rows.n_rows,
            losses_of(errors),
            *_large_errors(errors),
            losses_of(constant_errors),
            paired_difference(model.metric, errors, constant_errors),
            logged_loss,
            step,
        )


@np.errstate(over="ignore", invalid="ignore")
def _evaluated_out_of_fold(
    found: OutOfFold, metric: str, logged_loss: float | None
) -> EvaluatedRows:
    return EvaluatedRows(
        "validation",
        len(found.targets),
        found.losses,
        *_large_errors(found.errors),
        found.constant_losses,
        paired_difference(metric, found.errors, found.constant_errors),
        logged_loss,
        None,
    )


def _large_errors(errors: NDArray[np.float64]) -> tuple[float, float]:
    """That which nine in ten absolute errors do not exceed, and the largest."""
    sizes = np.abs(errors)
    return float(np.quantile(sizes, 0.9, method="inverted_cdf")), float(np.max(sizes))


def _doubts(evaluated: Sequence[EvaluatedRows], named: NamedRows) -> Iterator[str]:
    """Where a model that loses to a constant may have been given X on another scale."""
    for each in evaluated:
        if each.difference.verdict == "worse" or not math.isfinite(each.losses.half_mse):
            ends = [(chunk.min(), chunk.max()) for chunk, _ in _chunks(named[each.rows])]
            seen = f"{min(low for low, _ in ends):.5g} to {max(high for _, high in ends):.5g}"
            yield (
                f"{each.rows}: worse than the constant predictor; is X on the scale of the run's"
                f" training rows? The weights see it from {seen}"
            )


def _are_own(arrays: Arrays, experiment: Experiment) -> bool:
    """Whether arrays in memory are those that a run was trained on."""
    if set(arrays) != set(PARTS):
        return False
    return fingerprint_of(in_memory(arrays, PARTS)) == experiment.data.fingerprint


@contextmanager
def _other_arrays(
    folder: Path | None, prefix: str, arrays: Arrays | None
) -> Iterator[Mapping[str, RowArray]]:
    if folder is None:
        yield pairs_in_memory(arrays or {})
        return
    with open_pairs(folder, prefix) as files:
        yield files


@contextmanager
def _own_arrays(
    config: Config,
    directory: RunDirectory,
    experiment: Experiment,
    arrays: Arrays | None,
) -> Iterator[Dataset]:
    if arrays is None:
        _check_present(config, directory)
    with open_dataset(config.data, arrays) as dataset:
        _check_same(dataset, directory, experiment)
        yield dataset


def _check_present(config: Config, directory: RunDirectory) -> None:
    if config.data.path is None:
        found = "trained on arrays in memory; expected arrays to evaluate it on"
        raise DataError(f"{directory.path}: {found} (give --data)")
    for path in array_paths(config.data.folder, config.data.prefix).values():
        if not os.path.lexists(path):
            expected = f"expected the arrays that {directory.name} was trained on"
            raise DataError(f"{path}: no such file; {expected} (give --data for others)")


def _check_same(dataset: Dataset, directory: RunDirectory, experiment: Experiment) -> None:
    if dataset.fingerprint != experiment.data.fingerprint:
        folder = dataset.config.path
        found = f"{folder}: not the arrays that {directory.name} was trained on"
        raise DataError(f"{found}; expected them unchanged (--data {folder} evaluates these)")


def _own_rows(dataset: Dataset, precision: str) -> NamedRows:
    """The rows that the model of all rows to train is evaluated on."""
    named = {"training": dataset.training(precision)}
    if dataset.shape.n_validation:
        named["validation"] = dataset.validation(precision)
    return named | {"test": dataset.test(precision)}


def _logged(
    directory: RunDirectory, result: CellResult, experiment: Experiment, conclusion: WithBest
) -> dict[str, float | None]:
    """The losses on the run's own rows, as it has them."""
    test = conclusion.test_losses.get(result.cell.name)
    if test is None and experiment.tested == "all":
        with directory.interpreting():
            raise ValueError(f"test_losses.{result.cell.name}: not there")
    trained = directory.final_results().get(result.cell.index, result)
    return {
        "training": trained.mean("train_loss"),
        "validation": result.mean("validation_loss"),
        "test": test.half_mse if test and math.isfinite(test.half_mse) else None,
    }


def _chunks(rows: RowSet) -> Iterator[Chunk]:
    return rows.chunks(rows_in(READ_BYTES, rows.n_features))
