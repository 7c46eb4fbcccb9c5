"""A run's weights on any rows: its own, to reproduce the log, or other arrays."""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgdlab.config.model import Config
from sgdlab.data.dataset import PARTS, Dataset, array_paths, fingerprint_of, open_dataset
from sgdlab.data.in_memory import in_memory
from sgdlab.data.pairs import open_pairs, pairs_in_memory, remarks_on_pairs, rows_of_pairs
from sgdlab.data.row_array import RowArray
from sgdlab.data.rows import RowSet
from sgdlab.data.stand_in import is_stand_in
from sgdlab.errors import DataError, UsageError
from sgdlab.evaluation import mae_step as steps
from sgdlab.evaluation.mae_step import MaeStep
from sgdlab.evaluation.score import EvaluatedRows, held_out_rows, score, score_out_of_fold
from sgdlab.planning.plan import n_threads
from sgdlab.runs.cell_log import CellResult
from sgdlab.runs.conclusion import WithBest
from sgdlab.runs.directory import RunDirectory
from sgdlab.runs.experiment import Experiment
from sgdlab.runs.kept import Weights, kept_transform, kept_weights
from sgdlab.system.blas import blas_threads

NamedRows = dict[str, RowSet]
Arrays = Mapping[str, NDArray[Any]]
PathLike = str | os.PathLike[str]


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
    data: PathLike | None = None,
    prefix: str | None = None,
    mae_step: float | None = None,
    arrays: Arrays | None = None,
) -> EvaluationResult:
    """Evaluate the best cell of a finished run, or another one whose weights were kept.

    Parameters
    ----------
    data, prefix
        Folder and prefix of other arrays: any pair of ``Xtr`` and ``ytr`` or ``Xte`` and ``yte``.
        By default the run's own arrays, in the same split.
    mae_step
        The learning rate of one step of subgradient descent on the mean absolute error, if that is
        wanted.
    arrays
        In memory, in place of a folder: the run's own, which are known by their fingerprint, or any
        pair of others.

    Raises
    ------
    UsageError
        If the run is not finished, there is no such cell or its weights were not kept, there is a
        prefix without a folder, or a folder beside arrays in memory, or ``mae_step`` is no positive
        number.
    DataError
        If the run's own arrays are absent or have changed, or other arrays do not fit the weights.
    """
    _check_arguments(data, prefix, mae_step, arrays)
    directory = RunDirectory(directory.path.resolve())
    experiment = directory.experiment()
    conclusion = _with_best(directory, experiment)
    result = _chosen(directory, conclusion, cell)
    weights = kept_weights(directory, result.cell.index)
    model = _Model(directory, experiment, conclusion, result, weights, mae_step)
    with blas_threads(n_threads(experiment.config.run)):
        if data is None and (arrays is None or _are_own(arrays, experiment)):
            return model.on_own_rows(arrays)
        prefix = experiment.config.data.prefix if prefix is None else prefix
        with _other_arrays(data, prefix, arrays) as others:
            return model.on_other_rows(others)


def _check_arguments(
    data: PathLike | None, prefix: str | None, mae_step: float | None, arrays: Arrays | None
) -> None:
    if prefix is not None and data is None:
        raise UsageError(f"`prefix={prefix}`", "not of the run's own arrays", "`data` too")
    if data is not None and arrays is not None:
        raise UsageError(f"`data={data}`", "arrays in memory too", "one of them")
    if mae_step is not None and not 0 < mae_step < math.inf:
        raise UsageError(f"`mae_step={mae_step}`", "no step size", "a positive number")


@dataclass(frozen=True)
class _Model:
    """A cell of a run with its weights: those of folds, and those of all rows to train (None)."""

    directory: RunDirectory
    experiment: Experiment
    conclusion: WithBest
    result: CellResult
    weights: Mapping[int | None, Weights]
    step_size: float | None

    def on_own_rows(self, arrays: Arrays | None) -> EvaluationResult:
        """Evaluated where the run was trained, validated and tested, beside what its log says."""
        precision, metric = self.result.cell.train.precision, self.experiment.config.select.metric
        with _own_arrays(self.directory, self.experiment, arrays) as dataset:
            logged = _logged(self.directory, self.result, self.experiment, self.conclusion)
            named = {"training": dataset.training(precision)} | held_out_rows(dataset, precision)
            evaluated = self._evaluated(named, logged)
            if dataset.shape.folds is not None:
                of_folds = [self.weights[fold] for fold in range(dataset.shape.folds)]
                scores = score_out_of_fold(of_folds, dataset, precision, metric)
                out_of_fold = EvaluatedRows.of("validation", scores, logged["validation"])
                evaluated.insert(1, out_of_fold)
            return self._outcome(evaluated, is_stand_in(dataset.arrays))

    def on_other_rows(self, arrays: Mapping[str, RowArray]) -> EvaluationResult:
        """Evaluated on rows that the run knows nothing of."""
        transform, row_shape = kept_transform(self.directory), self.experiment.data.row_shape
        precision = self.result.cell.train.precision
        named = rows_of_pairs(arrays, transform, precision, row_shape)
        evaluated = self._evaluated(named, {})
        warnings = (*remarks_on_pairs(arrays, row_shape), *_doubts(evaluated, named))
        return self._outcome(evaluated, is_stand_in(arrays), warnings)

    def _evaluated(
        self, named: NamedRows, logged: Mapping[str, float | None]
    ) -> list[EvaluatedRows]:
        metric, weights = self.experiment.config.select.metric, self.weights[None]
        return [
            EvaluatedRows.of(
                name,
                score(weights, rows, self.conclusion.constant, metric),
                logged.get(name),
                None if self.step_size is None else _step(weights, rows, self.step_size),
            )
            for name, rows in named.items()
        ]

    def _outcome(
        self, evaluated: Sequence[EvaluatedRows], is_synthetic: bool, warnings: tuple[str, ...] = ()
    ) -> EvaluationResult:
        config, evaluated = self.experiment.config, tuple(evaluated)
        return EvaluationResult(
            self.directory, config, self.result, is_synthetic, evaluated, warnings
        )


def _with_best(directory: RunDirectory, experiment: Experiment) -> WithBest:
    """The conclusion of a run that has a best cell."""
    if experiment.is_finished and isinstance(experiment.conclusion, WithBest):
        return experiment.conclusion
    found = f"{experiment.status}, best cell {experiment.best}"
    raise UsageError(directory.path, found, "a run with a best cell")


def _chosen(directory: RunDirectory, conclusion: WithBest, cell: int | None) -> CellResult:
    """The result of the best cell, or of the one that was asked for."""
    if cell is None:
        return directory.result(int(conclusion.best))
    n_cells = conclusion.cells.total
    if not 0 <= cell < n_cells:
        raise UsageError(f"`cell={cell}`", "no such cell", f"0000 to {n_cells - 1:04d}")
    result = directory.result(cell)
    if result.status == "diverged":
        raise UsageError(f"`cell={cell}`", "diverged", "a cell that has weights")
    return result


@np.errstate(over="ignore", invalid="ignore")
def _step(weights: Weights, rows: RowSet, learning_rate: float) -> MaeStep:
    """One step on the mean absolute error, from the weights of the first replicate."""
    return steps.mae_step(weights[0][0], float(weights[1][0]), rows.walk(), learning_rate)


def _doubts(evaluated: Sequence[EvaluatedRows], named: NamedRows) -> Iterator[str]:
    """Where a model that loses to a constant may have been given X on another scale."""
    for found in evaluated:
        if found.difference.verdict == "worse" or not math.isfinite(found.losses.half_mse):
            ends = [(chunk.min(), chunk.max()) for chunk, _ in named[found.rows].walk()]
            seen = f"{min(low for low, _ in ends):.5g} to {max(high for _, high in ends):.5g}"
            yield (
                f"{found.rows}: worse than the constant predictor; is X on the scale of the run's"
                f" training rows? The weights see it from {seen}"
            )


def _are_own(arrays: Arrays, experiment: Experiment) -> bool:
    """Whether arrays in memory are those that a run was trained on."""
    if set(arrays) != set(PARTS):
        return False
    return fingerprint_of(in_memory(arrays, PARTS)) == experiment.data.fingerprint


@contextmanager
def _other_arrays(
    folder: PathLike | None, prefix: str, arrays: Arrays | None
) -> Iterator[Mapping[str, RowArray]]:
    if folder is None:
        yield pairs_in_memory(arrays or {})
        return
    with open_pairs(Path(folder), prefix) as files:
        yield files


@contextmanager
def _own_arrays(
    directory: RunDirectory, experiment: Experiment, arrays: Arrays | None
) -> Iterator[Dataset]:
    config = experiment.config
    if arrays is None:
        _check_present(config, directory)
    with open_dataset(config.data, arrays) as dataset:
        _check_same(dataset, directory, experiment)
        yield dataset


def _check_present(config: Config, directory: RunDirectory) -> None:
    if config.data.path is None:
        found, expected = "trained on arrays in memory", "arrays to evaluate it on"
        raise DataError(directory.path, found, expected, "give `data`")
    for path in array_paths(config.data.folder, config.data.prefix).values():
        if not os.path.lexists(path):
            expected = f"the arrays that {directory.name} was trained on"
            raise DataError(path, "no such file", expected, "give `data` for others")


def _check_same(dataset: Dataset, directory: RunDirectory, experiment: Experiment) -> None:
    if dataset.fingerprint != experiment.data.fingerprint:
        folder = dataset.config.path
        found = f"not the arrays that {directory.name} was trained on"
        hint = f"`data={folder}` evaluates these"
        raise DataError(str(folder), found, "them unchanged", hint)


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
