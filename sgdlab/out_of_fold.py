"""Cross-validation's predictions: every row by a model that has not seen it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgdlab.data.dataset import Dataset
from sgdlab.data.rows import READ_BYTES, rows_in
from sgdlab.diagnosis import constant_prediction
from sgdlab.engine.evaluation import prediction_errors
from sgdlab.optim.losses import Losses, losses_of


@dataclass(frozen=True)
class OutOfFold:
    """All rows to train in the order of the file, each predicted by the fold that holds it out.

    Attributes
    ----------
    errors : float64 array, shape (replicates, n_rows)
        Predictions minus targets.
    constant_errors : float64 array, shape (n_rows,)
        Of the constant predictor, which knows the training rows of the fold.
    targets : float64 array, shape (n_rows,)
    folds : int64 array, shape (n_rows,)
        Which fold holds out each row.
    """

    errors: NDArray[np.float64]
    constant_errors: NDArray[np.float64]
    targets: NDArray[np.float64]
    folds: NDArray[np.int64]

    @property
    def losses(self) -> Losses:
        return self._mean_losses(self.errors)

    @property
    def constant_losses(self) -> Losses:
        return self._mean_losses(self.constant_errors)

    def _mean_losses(self, errors: NDArray[np.float64]) -> Losses:
        """Means over folds, as they are selected by."""
        of_folds = [losses_of(errors[..., self.folds == n]) for n in range(self.folds.max() + 1)]
        return Losses(
            float(np.mean([each.half_mse for each in of_folds])),
            float(np.mean([each.mae for each in of_folds])),
        )


@np.errstate(over="ignore", invalid="ignore")
def out_of_fold(
    models: Sequence[tuple[NDArray[Any], NDArray[np.float64]]],
    dataset: Dataset,
    precision: str,
    metric: str,
) -> OutOfFold:
    """Predict every row by the models of its fold; the rows are read once.

    Parameters
    ----------
    models
        Of each fold weights (replicates, n_features) and bias (replicates,).
    metric
        Which the constant predictor minimises.
    """
    folds, rows = dataset.held_out, dataset.pooled(precision)
    errors = np.empty((len(models[0][1]), rows.n_rows))
    chunk_rows = rows_in(READ_BYTES, rows.n_features)
    for first, chunk in enumerate(rows.chunks(chunk_rows)):
        numbers = np.arange(first * chunk_rows, first * chunk_rows + len(chunk[0]))
        for fold, (weights, bias) in zip(dataset.folds, models, strict=True):
            held_out = fold.validation(chunk, numbers)
            where = numbers[~fold.trains_on(numbers)]
            errors[:, where] = prediction_errors(weights, bias, [held_out])
    targets = rows.targets.astype(np.float64)
    exact = dataset.pooled(np.float64).targets
    constants = np.array(
        [constant_prediction(metric, exact[folds != n]) for n in range(len(models))]
    )
    return OutOfFold(errors, constants[folds] - targets, targets, folds)
