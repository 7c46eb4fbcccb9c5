"""Where rows are scored: a model's errors on them and its losses, beside the constant predictor's.

A model is what :data:`Weights` are: several weights and biases, of which everything is the mean.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgdlab.config.grid import Cell
from sgdlab.data.dataset import Dataset
from sgdlab.data.rows import Chunk, RowSet
from sgdlab.engine.error_sums import ErrorSums, prediction_errors
from sgdlab.evaluation.comparison import constant_prediction, paired_difference
from sgdlab.optim.losses import Losses, losses_of
from sgdlab.runs.archive import Arrays
from sgdlab.runs.kept import Weights
from sgdlab.uncertainty.differences import Difference

CELLS_TOGETHER = 64  # whose losses are measured in one walk through the rows


@dataclass(frozen=True)
class Scores:
    """A model and the constant predictor on the same rows.

    Attributes
    ----------
    metric
        In which they are compared.
    errors : float64 array, shape (replicates, n_rows)
        Predictions minus targets.
    constant_errors : float64 array, shape (n_rows,)
        Of the constant predictor, which knows the training rows; of those of each fold.
    targets : float64 array, shape (n_rows,)
    epsilon
        Of the precision of the predictions.
    folds : int64 array, shape (n_rows,)
        Which fold holds out each row; then losses are means over folds, as they are selected by.
    """

    metric: str
    errors: NDArray[np.float64]
    constant_errors: NDArray[np.float64]
    targets: NDArray[np.float64]
    epsilon: float
    folds: NDArray[np.int64] | None = None

    @property
    def losses(self) -> Losses:
        return self._mean_losses(self.errors)

    @property
    def constant_losses(self) -> Losses:
        return self._mean_losses(self.constant_errors)

    @property
    def difference(self) -> Difference:
        """How far the model is from the constant predictor."""
        errors, constant_errors = self.errors, self.constant_errors
        return paired_difference(self.metric, errors, constant_errors, self.targets, self.epsilon)

    @cached_property
    def large_errors(self) -> tuple[float, float]:
        """That which nine in ten absolute errors do not exceed, and the largest."""
        sizes = np.abs(self.errors)
        ninth = np.quantile(sizes, 0.9, method="inverted_cdf")
        return float(ninth), float(np.max(sizes))

    def arrays(self, name: str) -> Arrays:
        """The predictions, with what they should have been."""
        arrays: Arrays = {name: self.errors + self.targets, f"{name}_targets": self.targets}
        return arrays if self.folds is None else arrays | {f"{name}_folds": self.folds}

    def _mean_losses(self, errors: NDArray[np.float64]) -> Losses:
        if self.folds is None:
            return losses_of(errors)
        of_folds = [losses_of(errors[..., self.folds == n]) for n in range(self.folds.max() + 1)]
        return Losses(
            float(np.mean([losses.half_mse for losses in of_folds])),
            float(np.mean([losses.mae for losses in of_folds])),
        )


def score(
    weights: Weights,
    rows: RowSet,
    constant: float,
    metric: str,
    norms: NDArray[np.float64] | None = None,
) -> Scores:
    """A model on some rows; numbers beyond the range of float64 are infinite.

    Parameters
    ----------
    norms : float64 array, shape (n_rows,)
        Is filled with those of the rows, if they are wanted.
    """
    targets = rows.targets.astype(np.float64)
    walk = rows.walk() if norms is None else _measuring(rows.walk(), norms)
    errors = prediction_errors(*weights, walk)
    return Scores(metric, errors, constant - targets, targets, _epsilon(rows))


def score_out_of_fold(
    models: Sequence[Weights],
    dataset: Dataset,
    precision: str,
    metric: str,
    norms: NDArray[np.float64] | None = None,
) -> Scores:
    """Cross-validation's predictions: every row by the model of the fold that holds it out.

    All rows to train in the order of the file, which are read once.

    Parameters
    ----------
    models
        Of each fold.
    norms
        As of :func:`score`, of the rows as the models see them.
    """
    folds, rows = dataset.held_out, dataset.pooled(precision)
    errors = np.empty((len(models[0][1]), rows.n_rows))
    first = 0
    for chunk in rows.walk():
        numbers = np.arange(first, first + len(chunk[0]))
        first += len(chunk[0])
        for fold, (weights, bias) in zip(dataset.folds, models, strict=True):
            held_out = fold.validation(chunk, numbers)
            where = numbers[~fold.trains_on(numbers)]
            errors[:, where] = prediction_errors(weights, bias, [held_out])
            if norms is not None:
                norms[where] = _norms(held_out[0])
    targets = rows.targets.astype(np.float64)
    exact = dataset.pooled(np.float64).targets
    constants = np.array(
        [constant_prediction(metric, exact[folds != n]) for n in range(len(models))]
    )
    return Scores(metric, errors, constants[folds] - targets, targets, _epsilon(rows), folds)


def _epsilon(rows: RowSet) -> float:
    return float(np.finfo(rows.targets.dtype).eps)


def _measuring(chunks: Iterable[Chunk], norms: NDArray[np.float64]) -> Iterator[Chunk]:
    """The same chunks, whose rows are measured while they pass."""
    first = 0
    for rows, targets in chunks:
        norms[first : first + len(rows)] = _norms(rows)
        first += len(rows)
        yield rows, targets


def _norms(rows: NDArray[Any]) -> NDArray[np.float64]:
    norms: NDArray[np.float64] = np.sqrt(np.vecdot(rows, rows, dtype=np.float64))
    return norms


def held_out_rows(dataset: Dataset, precision: str) -> dict[str, RowSet]:
    """The rows that played no part in the training on all rows to train."""
    test = {"test": dataset.test(precision)}
    return (
        {"validation": dataset.validation(precision)} | test if dataset.shape.n_validation else test
    )


@dataclass(frozen=True)
class BesideConstant:
    """A cell and the constant predictor.

    Attributes
    ----------
    constant
        What the constant predictor predicts.
    losses
        Of the constant predictor, by ``training``, ``validation`` and ``test``.
    differences
        Of the cell to it, by ``validation`` and ``test``.
    predictions
        Of the cell, on the same rows.
    """

    constant: float
    losses: dict[str, Losses]
    differences: dict[str, Difference]
    predictions: Arrays


def compare_with_constant(
    weights_of: Callable[[Cell, int | None], Weights], cell: Cell, dataset: Dataset, metric: str
) -> BesideConstant:
    """A cell and the constant predictor on held-out rows.

    Parameters
    ----------
    weights_of
        A cell in one fold, or trained on all rows to train.
    """
    targets = dataset.training(np.float64).targets
    constant = constant_prediction(metric, targets)
    found = BesideConstant(constant, {"training": losses_of(constant - targets)}, {}, {})
    for name, scores in _held_out_scores(weights_of, cell, dataset, constant, metric):
        found.losses[name] = scores.constant_losses
        found.differences[name] = scores.difference
        found.predictions.update(scores.arrays(name))
    return found


def _held_out_scores(
    weights_of: Callable[[Cell, int | None], Weights],
    cell: Cell,
    dataset: Dataset,
    constant: float,
    metric: str,
) -> Iterator[tuple[str, Scores]]:
    precision = cell.train.precision
    if dataset.shape.folds is not None:
        models = [weights_of(cell, fold) for fold in range(dataset.shape.folds)]
        yield "validation", score_out_of_fold(models, dataset, precision, metric)
    for name, rows in held_out_rows(dataset, precision).items():
        yield name, score(weights_of(cell, None), rows, constant, metric)


def measure_test_losses(
    weights_of: Callable[[Cell, int | None], Weights], cells: Sequence[Cell], dataset: Dataset
) -> dict[int, Losses]:
    """By the cell's index; means over replicates."""
    found: dict[int, Losses] = {}
    for start in range(0, len(cells), CELLS_TOGETHER):
        together = cells[start : start + CELLS_TOGETHER]
        for precision in dict.fromkeys(cell.train.precision for cell in together):
            chosen = [cell for cell in together if cell.train.precision == precision]
            models = [weights_of(cell, None) for cell in chosen]
            losses = _losses(models, dataset.test(precision))
            found |= {cell.index: of_one for cell, of_one in zip(chosen, losses, strict=True)}
    return found


def _losses(models: Sequence[Weights], rows: RowSet) -> list[Losses]:
    """The losses of models with equally many replicates; nothing is kept of a row."""
    weights, bias = (np.stack(arrays) for arrays in zip(*models, strict=True))
    sums = ErrorSums(bias.size)
    flat = weights.reshape(bias.size, -1)
    for chunk, targets in rows.walk():
        sums.add(flat @ chunk.T + bias.reshape(-1, 1), targets)
    half_mse = sums.half_mse.reshape(bias.shape).mean(axis=1)
    mae = sums.mae.reshape(bias.shape).mean(axis=1)
    return [Losses(*both) for both in zip(half_mse.tolist(), mae.tolist(), strict=True)]
