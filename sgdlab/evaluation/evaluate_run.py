"""A run's weights on any rows: its own, to reproduce the log, or other arrays."""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgdlab.config.model import Config
from sgdlab.data.dataset import PARTS, Dataset
from sgdlab.data.in_memory import in_memory
from sgdlab.data.pairs import open_pairs, pairs_in_memory, remarks_on_pairs, rows_of_pairs
from sgdlab.data.row_array import RowArray
from sgdlab.data.rows import RowSet
from sgdlab.data.stand_in import is_stand_in
from sgdlab.errors import UsageError
from sgdlab.evaluation import mae_step as steps
from sgdlab.evaluation.evaluated_rows import EvaluatedRows
from sgdlab.evaluation.kept_model import NOT_LOGGED, KeptModel, read_model
from sgdlab.evaluation.mae_step import MaeStep
from sgdlab.evaluation.own_arrays import own_arrays
from sgdlab.evaluation.rounding import Rounding
from sgdlab.evaluation.score import held_out_rows, score, score_out_of_fold
from sgdlab.observer import Observer
from sgdlab.optim.losses import Losses
from sgdlab.planning.plan import n_threads
from sgdlab.runs.cell_log import CellResult
from sgdlab.runs.directory import RunDirectory
from sgdlab.runs.kept import Weights
from sgdlab.system.blas import blas_threads
from sgdlab.system.looking import real
from sgdlab.words.metrics import METRICS

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


@np.errstate(all="ignore")  # predictions may leave the range of float64
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
    model = read_model(RunDirectory(real(directory.path)), cell)
    experiment, evaluation = model.experiment, _Evaluation(model, mae_step)
    with blas_threads(n_threads(experiment.config.run)):
        if data is None and (arrays is None or _are_own(arrays, model)):
            return evaluation.on_own_rows(arrays)
        prefix = experiment.config.data.prefix if prefix is None else prefix
        with _other_arrays(data, prefix, arrays) as others:
            return evaluation.on_other_rows(others)


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
class _Evaluation:
    """A model that is evaluated, perhaps with one step on the mean absolute error."""

    model: KeptModel
    step_size: float | None

    def on_own_rows(self, arrays: Arrays | None) -> EvaluationResult:
        """Evaluated where the run was trained, validated and tested, beside what its log says."""
        model, precision = self.model, self.model.result.cell.train.precision
        logged = model.logged
        place = model.experiment.config.data
        run = (model.directory, model.experiment, place, arrays, Observer())
        hints = ("give `data` for others", f"`data={place.path}` evaluates these")
        with own_arrays(*run, *hints) as dataset:
            named = {"training": dataset.training(precision)} | held_out_rows(dataset, precision)
            evaluated = [self._evaluated(name, rows, logged[name]) for name, rows in named.items()]
            if dataset.shape.folds is not None:
                evaluated.insert(1, self._out_of_fold(dataset, logged["validation"]))
            doubts = tuple(chain.from_iterable(map(_unlike_the_log, evaluated)))
            return self._outcome(evaluated, is_stand_in(dataset.arrays), doubts)

    def on_other_rows(self, arrays: Mapping[str, RowArray]) -> EvaluationResult:
        """Evaluated on rows that the run knows nothing of."""
        model = self.model
        transform, row_shape = model.transform, model.experiment.data.row_shape
        precision = model.result.cell.train.precision
        named = rows_of_pairs(arrays, transform, precision, row_shape)
        evaluated = [self._evaluated(name, rows, NOT_LOGGED) for name, rows in named.items()]
        warnings = (*remarks_on_pairs(arrays, row_shape), *_doubts(evaluated, named))
        return self._outcome(evaluated, is_stand_in(arrays), warnings)

    def _evaluated(self, name: str, rows: RowSet, logged: Losses) -> EvaluatedRows:
        weights, norms = self.model.weights[None], np.empty(rows.n_rows)
        constant, metric = (
            self.model.conclusion.constant,
            self.model.experiment.config.select.metric,
        )
        scores = score(weights, rows, constant, metric, norms)
        rounding = Rounding.of(weights, norms, scores.errors, scores.targets)
        step = None if self.step_size is None else _step(weights, rows, self.step_size)
        return EvaluatedRows.of(name, scores, logged, rounding, step)

    def _out_of_fold(self, dataset: Dataset, logged: Losses) -> EvaluatedRows:
        """All rows to train, each by the model of the fold that holds it out."""
        precision = self.model.result.cell.train.precision
        metric, norms = self.model.experiment.config.select.metric, np.empty(dataset.shape.n_train)
        models = [self.model.weights[fold] for fold in range(dataset.shape.folds or 0)]
        scores = score_out_of_fold(models, dataset, precision, metric, norms)
        weights, bias = (np.concatenate(arrays) for arrays in zip(*models, strict=True))
        rounding = Rounding.of((weights, bias), norms, scores.errors, scores.targets)
        return EvaluatedRows.of("validation", scores, logged, rounding)

    def _outcome(
        self, evaluated: Sequence[EvaluatedRows], is_synthetic: bool, warnings: tuple[str, ...]
    ) -> EvaluationResult:
        model, evaluated = self.model, tuple(evaluated)
        about = (model.directory, model.experiment.config, model.result, is_synthetic)
        return EvaluationResult(*about, evaluated, warnings)


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


def _are_own(arrays: Arrays, model: KeptModel) -> bool:
    """Whether arrays in memory are those that a run was trained on."""
    if set(arrays) != set(PARTS):
        return False
    given = in_memory(arrays, PARTS)
    return model.directory.is_of(model.experiment, given, Observer())


@contextmanager
def _other_arrays(
    folder: PathLike | None, prefix: str, arrays: Arrays | None
) -> Iterator[Mapping[str, RowArray]]:
    if folder is None:
        yield pairs_in_memory(arrays or {})
        return
    with open_pairs(Path(folder), prefix) as files:
        yield files


def _unlike_the_log(found: EvaluatedRows) -> Iterator[str]:
    """A sentence on losses that the run's log has otherwise."""
    if found.unlike_log:
        pairs = [
            f"{METRICS[name].label} {getattr(found.losses, name):.9g}"
            f" instead of {getattr(found.logged, name):.9g}"
            for name in found.unlike_log
        ]
        yield f"{found.rows}: not what was logged, beyond rounding: {', '.join(pairs)}"
