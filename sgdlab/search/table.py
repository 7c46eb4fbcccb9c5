"""Cells as rows of ``results.csv``."""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence

from sgdlab.config.grid import FIRST_NAMES
from sgdlab.optim.losses import Losses
from sgdlab.runs.cell_log import CellResult
from sgdlab.runs.replicate_log import or_none
from sgdlab.words.metrics import METRICS


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
        for name in (METRICS[metric].logged_as for metric in METRICS):
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
