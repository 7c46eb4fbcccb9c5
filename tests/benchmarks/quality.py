"""How good the grids' winners are, beside the constant predictor and the best ridge solution.

    python -m tests.benchmarks.quality

Runs configs/age.yaml and configs/age-tuned.yaml on the stand-in, or reads the runs that are there.
"""

from pathlib import Path

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from sgdlab import workflows
from sgdlab.config.reading import load_config
from sgdlab.data.dataset import open_dataset

RIDGE_L2 = np.geomspace(1e-4, 1, 41)


def main() -> None:
    homework = workflows.grid_search("configs/age.yaml")
    tuned = workflows.grid_search("configs/age-tuned.yaml")
    l2, validation, test = best_ridge("configs/age-tuned.yaml")
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading in ("half-MSE", "validation", "test", "test / ridge"):
        table.add_column(heading, justify="left" if heading == "half-MSE" else "right")
    constant = (homework.constant_losses[rows].half_mse for rows in ("validation", "test"))
    for name, (loss, test_loss) in {
        "constant predictor": constant,
        "best of configs/age.yaml": _losses(homework),
        "best of configs/age-tuned.yaml": _losses(tuned),
        f"best ridge (l2 {l2:.3g})": (validation, test),
    }.items():
        table.add_row(name, f"{loss:.2f}", f"{test_loss:.2f}", f"{test_loss / test:.3f}")
    Console(width=80).print(table)


def _losses(result):
    best = result.best
    return best.mean("validation_loss"), result.test_losses[best.cell.index].half_mse


def best_ridge(config_path: str | Path) -> tuple[float, float, float]:
    """l2, validation and test half mean squared error of the best ridge regression.

    Fitted in closed form on the config's training rows: with X centred and the mean of y as bias,
    w = (X.T X / n + l2 I)^-1 X.T (y - mean) / n minimises the same objective as SGD does. l2 is
    chosen on the validation rows from a log grid.
    """
    with open_dataset(load_config(config_path).data) as dataset:
        X, y, X_validation, y_validation, X_test, y_test = (
            part
            for rows in (dataset.training, dataset.validation, dataset.test)
            for part in _whole(rows("float64"))
        )
    center, bias = X.mean(axis=0), y.mean()
    X = X - center
    eigenvalues, vectors = np.linalg.eigh(X.T @ X / len(X))
    projected = vectors.T @ (X.T @ (y - bias)) / len(X)

    def half_mse(X, y, l2):
        weights = vectors @ (projected / (eigenvalues + l2))
        return float(np.mean(((X - center) @ weights + bias - y) ** 2) / 2)

    losses = [half_mse(X_validation, y_validation, l2) for l2 in RIDGE_L2]
    best = int(np.argmin(losses))
    return float(RIDGE_L2[best]), losses[best], half_mse(X_test, y_test, RIDGE_L2[best])


def _whole(rows):
    return np.concatenate([X for X, _ in rows.chunks(1000)]), rows.targets


if __name__ == "__main__":
    main()
