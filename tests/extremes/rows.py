"""The rows of a training as it sees them, by other means than the program's."""

from fractions import Fraction
from math import floor
from typing import NamedTuple

import numpy as np

from tests.extremes.configs import Extreme

FRACTION = Fraction("0.2")  # of the rows that validate, where there are no folds


class UnfitError(Exception):
    """The rows leave the range of their precision before anything is trained."""


class Rows(NamedTuple):
    """Rows in float64: of all that there are to train, some are left out."""

    X: np.ndarray
    y: np.ndarray
    left_out: np.ndarray
    X_validation: np.ndarray
    y_validation: np.ndarray


def n_folds(extreme: Extreme) -> int:
    """How many folds there are; 0 for none."""
    return extreme.config["data"].get("validation", {}).get("folds", 0)


@np.errstate(all="ignore")
def rows_of(extreme: Extreme, fold: int | None) -> Rows:
    """Those of one fold; of a training that sees all rows to train, with None."""
    y = extreme.arrays["ytr"].astype(extreme.config["train"]["precision"]).astype(np.float64)
    everything = np.arange(len(y))
    n_train = len(y) if n_folds(extreme) else floor(len(y) * (1 - FRACTION))
    left_out, validates = everything[:0], everything[n_train:]
    if fold is not None:
        left_out = validates = np.array_split(everything, n_folds(extreme))[fold]
    elif n_folds(extreme):
        validates = everything[:1]  # nothing does
    X = _transformed(extreme, np.delete(everything[:n_train], left_out))
    if not np.isfinite(y).all():
        raise UnfitError
    return Rows(X[:n_train], y[:n_train], left_out, X[validates], y[validates])


def _transformed(extreme: Extreme, trains: np.ndarray) -> np.ndarray:
    """Rounded to the precision of the training where means are subtracted, or else before.

    Statistics have all their digits.
    """
    data, precision = extreme.config["data"], np.dtype(extreme.config["train"]["precision"])
    divide_by, preprocess = data.get("divide_by", 1.0), data.get("preprocess")
    exact = (extreme.arrays["Xtr"].astype(np.float64) / divide_by).astype(np.longdouble)[trains]
    mean = exact.mean(axis=0)
    deviation = np.sqrt(((exact - mean) ** 2).mean(axis=0))
    working = precision if preprocess is None else np.dtype(np.float64)
    divisor = working.type(divide_by)
    X, Xte = (extreme.arrays[part].astype(working) / divisor for part in ("Xtr", "Xte"))
    if preprocess is not None:
        X, Xte = (rows - mean.astype(working) for rows in (X, Xte))
    if preprocess == "standardize":
        scale = np.where(deviation == 0, 1, deviation).astype(working)
        X, Xte = X / scale, Xte / scale
    X, Xte = X.astype(precision), Xte.astype(precision)
    if not all(np.isfinite(numbers).all() for numbers in (X, Xte, divisor)):
        raise UnfitError
    return X.astype(np.float64)
