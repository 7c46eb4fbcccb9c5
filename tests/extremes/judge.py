"""What became of every training of a config, beside a plain loop and what rounding makes of it.

The loop is repeated with every result moved at random by as much as rounding may have moved it. A
training is right where it is as near to the loop as the loop to itself. One that diverged is right
where the loop diverges, or one of its repetitions does.
"""

from collections import Counter
from fractions import Fraction
from math import floor
from typing import NamedTuple

import numpy as np

from sgdlab import workflows
from sgdlab.config.objects import start_of
from sgdlab.engine.running_block import DIVERGED_FACTOR
from sgdlab.errors import DataError, NothingToSelectError
from sgdlab.report import search as report
from sgdlab.runs.directory import RunDirectory
from sgdlab.runs.kept import all_kept_weights
from sgdlab.system.strict_json import encode
from tests.extremes.configs import Extreme
from tests.oracles.reference import plain_sgd

REPETITIONS = 4
STRAYS = 30  # times what the repetitions stray; a few of them tell the size alone
RELATIVE = {"float64": 1e-9, "float32": 1e-4}
CHAOTIC = 1e-3  # of a number, that the loop's own strays hide: nothing can be said


class Rows(NamedTuple):
    """Rows of one training: all of them, which it leaves out, and those that validate."""

    X: np.ndarray
    y: np.ndarray
    left_out: np.ndarray
    X_validation: np.ndarray
    y_validation: np.ndarray


class Judged(NamedTuple):
    kinds: Counter
    complaints: list[str]


class UnfitError(Exception):
    """The rows leave the range of their precision before anything is trained."""


def judge(extreme: Extreme, folder) -> Judged:
    """Run a config end to end and judge all of its trainings."""
    options = workflows.SearchOptions(folder, keep_weights="all", test_losses="all")
    try:
        result = workflows.grid_search(extreme.config, (), options, arrays=extreme.arrays)
        encode(report.document(result, 100))
        report.table(result, 100)
        workflows.evaluate(str(result.directory.path), arrays=extreme.arrays)
    except NothingToSelectError:
        result = None
    except DataError as error:
        return _refused(extreme, error)
    (path,) = [path for path in folder.iterdir() if path.is_dir()]
    return _judge_run(extreme, RunDirectory(path), result)


def _refused(extreme: Extreme, error: DataError) -> Judged:
    """Whether rows were refused that a plain loop cannot use either."""
    try:
        for fold in _folds(extreme.config):
            _rows(extreme, fold)
        with np.errstate(over="ignore"):
            if not np.isfinite(extreme.arrays["Xte"].astype(extreme.config["train"]["precision"])).all():
                raise UnfitError
    except UnfitError:
        return Judged(Counter(refused=1), [])
    return Judged(Counter(), [f"refused: {error}"])


def _judge_run(extreme: Extreme, directory: RunDirectory, result) -> Judged:
    kinds, complaints = Counter(), []
    results, final = directory.results(), directory.final_results()
    weights = all_kept_weights(directory) if result else {}
    if result and result.best.status != "completed":
        complaints.append("a cell won that diverged")
    for found in [*results, *final.values()]:
        for training in found.replicates:
            rows = _rows(extreme, training.fold)
            fold = training.fold
            kept = weights.get((found.cell.index, fold))
            if fold is None and found is not final.get(found.cell.index) and final:
                kept = None
            kind, complaint = judge_training(found.cell.train, training, rows, kept)
            kinds[kind] += 1
            if complaint:
                complaints.append(f"cell {found.cell.name}, {training.fold}: {complaint}")
    return Judged(kinds, complaints)


@np.errstate(all="ignore")
def judge_training(train, training, rows: Rows, kept) -> tuple[str, str | None]:
    """The kind of a training, and what is wrong with it."""
    plain = _Plain.of(train, training.replicate, rows)
    others = [_Plain.of(train, training.replicate, rows, seed) for seed in range(REPETITIONS)]
    ends = {plain.diverged_in, *(other.diverged_in for other in others)}
    if training.status == "diverged":
        if training.epochs in ends:
            return "diverged", None
        return "diverged", f"diverged in epoch {training.epochs}, the loop in {ends}"
    if None not in ends:
        return "right", f"completed, but the loop diverges in {ends}"
    if plain.diverged_in is not None:
        return "unstable", None
    numbers = _numbers(training, kept, train)
    return _compare(plain, others, numbers, train.precision)


def _compare(plain, others, numbers, precision) -> tuple[str, str | None]:
    kind, unit = "right", np.finfo(precision)
    for name, found in numbers.items():
        wanted = np.atleast_1d(getattr(plain, name))
        strays = [abs(np.atleast_1d(getattr(other, name)) - wanted) for other in others]
        stray = STRAYS * np.max(strays, axis=0)
        found = np.array([np.nan if value is None else value for value in np.atleast_1d(found)])
        far = float(unit.max) / 1e3
        is_far = ~(abs(wanted) + stray < far)  # whether it is finite then is a matter of rounding
        if precision == "float32" and name not in ("weights", "bias"):
            is_far = ~(np.sqrt(abs(wanted) + stray) < far)
        allowed = RELATIVE[precision] * abs(wanted) + stray + 1e3 * float(unit.smallest_subnormal)
        is_near = abs(found - wanted) <= allowed
        if not (is_near | is_far).all():
            return kind, f"{name}: {found}, the loop {wanted} ±{stray}"
        if (stray[~is_far] > CHAOTIC * abs(wanted)[~is_far] + 1e3 * float(unit.smallest_subnormal)).any():
            kind = "chaotic"
    return kind, None


def _numbers(training, kept, train) -> dict[str, object]:
    numbers: dict[str, object] = {
        "running": training.history["running_loss"],
        "train_loss": training.train_loss,
        "bias": training.bias,
    }
    if training.validation_loss is not None:
        numbers["validation_loss"] = training.validation_loss
        numbers["validation_loss_regularized"] = training.validation_loss_regularized
    if kept is not None:
        numbers["weights"] = kept[0][training.replicate].astype(np.float64)
    return numbers


class _Plain(NamedTuple):
    """What a plain loop gives, in float64."""

    weights: np.ndarray
    bias: float
    running: list[float]
    train_loss: float
    validation_loss: float
    validation_loss_regularized: float
    diverged_in: int | None

    @classmethod
    @np.errstate(all="ignore")
    def of(cls, train, replicate, rows: Rows, seed: int | None = None) -> "_Plain":
        start = start_of(train, replicate).weights(rows.X.shape[1])
        others = {} if seed is None else {"stir": _stir(np.random.default_rng(seed), train)}
        trained_on = np.delete(np.arange(len(rows.y)), rows.left_out)
        X, y = rows.X[trained_on], rows.y[trained_on]
        w, b, running, validation = plain_sgd(
            train, rows.X, rows.y, rows.X_validation, rows.y_validation, replicate, start,
            left_out=rows.left_out, **others,
        )  # fmt: skip
        at_start = np.mean((X @ start + train.initial_bias - y) ** 2) / 2
        far = [
            n for n, loss in enumerate(running, 1)
            if not np.isnan(loss) and not (np.isfinite(loss) and loss <= DIVERGED_FACTOR * at_start)
            or (np.isnan(loss) and _has_rows(train, replicate, rows, n - 1))
        ]  # fmt: skip
        train_loss = np.mean((X @ w + b - y) ** 2) / 2
        penalty = float(np.longdouble(train.l2) / 2 * np.sum(w.astype(np.longdouble) ** 2))
        losses = (train_loss, validation[-1], validation[-1] + penalty)
        return cls(w, b, running, *losses, far[0] if far else None)


def _has_rows(train, replicate, rows: Rows, epoch: int) -> bool:
    from sgdlab.config.objects import order_of

    positions = order_of(train, replicate).positions(len(rows.y), epoch)
    return bool((~np.isin(positions, rows.left_out)).any())


def _stir(rng, train):
    """Moves a number by up to a rounding error for each of a few operations."""
    unit = np.finfo(train.precision)

    def stir(value, sizes):
        reach = 2 * float(unit.eps) * sizes + float(unit.smallest_subnormal)
        return value + rng.uniform(-1, 1, np.shape(value)) * np.where(np.isfinite(reach), reach, 0)

    return stir


def _folds(config) -> list[int | None]:
    return [None, *range(config["data"].get("validation", {}).get("folds", 0))]


@np.errstate(all="ignore")
def _rows(extreme: Extreme, fold: int | None) -> Rows:
    """As a training sees them: every step in its precision, by statistics with all their digits."""
    config, arrays = extreme.config, extreme.arrays
    precision, data = config["train"]["precision"], config["data"]
    y = arrays["ytr"].astype(precision).astype(np.float64)
    n_rows, n_folds = len(y), data.get("validation", {}).get("folds")
    n_train = n_rows if n_folds else floor(n_rows * (1 - Fraction("0.2")))
    left_out = np.empty(0, np.int64)
    if fold is not None:
        left_out = np.array_split(np.arange(n_rows), n_folds)[fold]
    trains = np.delete(np.arange(n_train), left_out)
    divide_by, preprocess = data.get("divide_by", 1.0), data.get("preprocess")
    exact = (arrays["Xtr"].astype(np.float64) / divide_by).astype(np.longdouble)
    mean = exact[trains].mean(axis=0)
    deviation = np.sqrt(((exact[trains] - mean) ** 2).mean(axis=0))
    divisor = np.dtype(precision).type(divide_by)
    X = arrays["Xtr"].astype(precision) / divisor
    if preprocess:
        X = X - mean.astype(precision)
    if preprocess == "standardize":
        X = X / np.where(deviation == 0, 1, deviation).astype(precision)
    X = X.astype(np.float64)
    if not all(np.isfinite(numbers).all() for numbers in (X, y, divisor)):
        raise UnfitError
    validates = slice(n_train, None) if fold is None else left_out
    if fold is None and n_folds:
        validates = slice(0, 1)  # nothing does
    return Rows(X[:n_train], y[:n_train], left_out, X[validates], y[validates])
