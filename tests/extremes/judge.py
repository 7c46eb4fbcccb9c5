"""What became of every training of a config, beside a plain loop and what rounding makes of it.

The loop is repeated with every result moved at random by as much as rounding may have moved it. A
training is right where it is as near to the loop as the loop to itself. One that diverged is right
where the loop diverges, or one of its repetitions does. Nothing is asked of numbers that the loop
has at the very end of the range of floats, where the order of operations decides what is finite.
"""

import io
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console

from sgdlab import workflows
from sgdlab.config.grid import expand
from sgdlab.config.model import Train
from sgdlab.config.objects import order_of, start_of
from sgdlab.engine.running_block import DIVERGED_FACTOR
from sgdlab.errors import DataError, NothingToSelectError
from sgdlab.report import evaluation, search, training
from sgdlab.runs.directory import RunDirectory
from sgdlab.runs.kept import Weights, read_kept
from sgdlab.runs.replicate_log import ReplicateResult
from sgdlab.search.result import SearchResult
from sgdlab.system.strict_json import encode
from tests.extremes.configs import Extreme
from tests.extremes.rows import Rows, UnfitError, n_folds, rows_of
from tests.oracles.reference import plain_sgd

REPETITIONS = 4
STRAYS = 30  # times what the repetitions stray; a few of them tell the size alone
RELATIVE = {"float64": 1e-9, "float32": 1e-4}
HIDDEN = 1e-3  # of a number, by which the loop itself strays: of what is nearer nothing can be said
SUBNORMALS = 1e3
NEAR_THE_END = 1e-3  # of the largest float
LOSSES = ("running", "train_loss", "validation_loss", "validation_loss_regularized")


class Judged(NamedTuple):
    """How many trainings there are of each kind, and what is wrong."""

    kinds: Counter
    complaints: list[str]


def judge(extreme: Extreme, folder: Path) -> Judged:
    """Run a config end to end and judge all of its trainings."""
    options = workflows.SearchOptions(folder, keep_weights="all", test_losses="all")
    try:
        result = workflows.grid_search(extreme.config, (), options, arrays=extreme.arrays)
        _show(result, extreme)
    except NothingToSelectError:
        result = None
    except DataError as error:
        return _refused(extreme, error)
    (path,) = [path for path in folder.iterdir() if path.is_dir()]
    return _judge_run(extreme, RunDirectory(path), result)


def _show(result: SearchResult, extreme: Extreme) -> None:
    """Everything that is shown of a search can be shown."""
    evaluated = workflows.evaluate(str(result.directory.path), mae_step=1, arrays=extreme.arrays)
    encode(search.document(result, 100))
    encode(evaluation.document(evaluated))
    console = Console(file=io.StringIO(), width=80)
    for table in (search.table(result, 100), training.table(result), evaluation.table(evaluated)):
        console.print(table)


def _refused(extreme: Extreme, error: DataError) -> Judged:
    """Whether rows were refused that a plain loop cannot use either."""
    try:
        for fold in (None, *range(n_folds(extreme))):
            rows_of(extreme, fold)
    except UnfitError:
        return Judged(Counter(refused=1), [])
    return Judged(Counter(), [f"refused: {error}"])


def _judge_run(extreme: Extreme, run: RunDirectory, result: SearchResult | None) -> Judged:
    kinds, complaints = Counter(), []
    experiment = run.experiment()
    cells = expand(experiment.config).cells
    results = run.logs(cells).in_order
    final = run.final_logs([cells[n] for n in sorted(run.final_cells(cells))]).in_order
    weights = read_kept(run, experiment.data.shape, cells).weights if result else {}
    if result and result.best.status != "completed":
        complaints.append("a cell won that diverged")
    for found in [*results, *final]:
        for one in found.replicates:
            kept = weights.get((found.cell.index, one.fold))
            train = found.cell.train
            kind, complaint = judge_training(train, one, rows_of(extreme, one.fold), kept)
            kinds[kind] += 1
            if complaint:
                complaints.append(f"cell {found.cell.name}, fold {one.fold}: {complaint}")
    return Judged(kinds, complaints)


@np.errstate(all="ignore")
def judge_training(
    train: Train, found: ReplicateResult, rows: Rows, kept: Weights | None
) -> tuple[str, str | None]:
    """The kind of a training, and what is wrong with it."""
    plain = Plain.of(train, found.replicate, rows)
    others = [Plain.of(train, found.replicate, rows, seed) for seed in range(REPETITIONS)]
    ends = [one.diverged_in for one in (plain, *others)]
    if found.status == "diverged":
        is_right = found.epochs in ends
        return "diverged", None if is_right else f"diverged in {found.epochs}, the loop in {ends}"
    if None not in ends:
        return "right", f"completed, but the loop diverges in {ends}"
    if plain.diverged_in is not None:
        return "unstable", None
    return _compared(plain, others, _numbers(found, kept), train.precision)


def _numbers(found: ReplicateResult, kept: Weights | None) -> dict[str, Any]:
    numbers = {name: getattr(found, name) for name in (*LOSSES[1:], "bias")}
    if found.validation_loss is None:  # with folds, of a training on all rows
        del numbers["validation_loss"], numbers["validation_loss_regularized"]
    numbers["running"] = found.history["running_loss"]
    if kept is not None:
        numbers["weights"] = kept[0][found.replicate].astype(np.float64)
    return numbers


def _compared(
    plain: "Plain", others: list["Plain"], numbers: dict[str, Any], precision: str
) -> tuple[str, str | None]:
    kind, unit = "right", np.finfo(precision)
    tiny, end = SUBNORMALS * float(unit.smallest_subnormal), NEAR_THE_END * float(unit.max)
    for name, values in numbers.items():
        found = np.array([np.nan if value is None else value for value in np.atleast_1d(values)])
        wanted = np.atleast_1d(getattr(plain, name))
        strays = [abs(np.atleast_1d(getattr(other, name)) - wanted) for other in others]
        stray, size = STRAYS * np.max(strays, axis=0), abs(wanted)
        root = 0.5 if name in LOSSES and precision == "float32" else 1.0  # of errors in it
        is_inside = (size + stray) ** root < end
        is_near = abs(found - wanted) <= RELATIVE[precision] * size + stray + tiny
        is_absent = np.isnan(found) & np.isnan(wanted)
        if not (is_right := is_near | ~is_inside | is_absent).all():
            n = int(np.argmin(is_right))
            return kind, f"{name}[{n}]: {found[n]}, the loop {wanted[n]} ±{stray[n]}"
        if (stray - tiny > HIDDEN * size)[is_inside].any():
            kind = "hidden"
    return kind, None


class Plain(NamedTuple):
    """What a plain loop gives, in float64."""

    weights: np.ndarray
    bias: float
    running: list[float]
    train_loss: float
    validation_loss: float
    validation_loss_regularized: float
    diverged_in: int | None

    @classmethod
    def of(cls, train: Train, replicate: int, rows: Rows, seed: int | None = None) -> "Plain":
        """The loop itself, or with a seed a repetition of it that rounds in another way."""
        start = start_of(train, replicate).weights(rows.X.shape[1])
        stir = {} if seed is None else {"stir": _stirring(train.precision, seed)}
        own = (rows.X_validation, rows.y_validation, replicate, start)
        w, b, running, validation = plain_sgd(
            train, rows.X, rows.y, *own, left_out=rows.left_out, **stir
        )
        trains = np.delete(np.arange(len(rows.y)), rows.left_out)
        X, y = rows.X[trains], rows.y[trains]
        at_start = np.mean((X @ start + train.initial_bias - y) ** 2) / 2
        limit = min(DIVERGED_FACTOR * at_start, np.finfo(np.float64).max)
        ends = (
            epoch
            for epoch, loss in enumerate(running, 1)
            if not loss <= limit and _has_rows(train, replicate, rows, epoch - 1)
        )
        exact = w.astype(np.longdouble)
        penalty = float(np.longdouble(train.l2) / 2 * (exact @ exact))
        train_loss = np.mean((X @ w + b - y) ** 2) / 2
        losses = (running, train_loss, validation[-1], validation[-1] + penalty)
        return cls(w, b, *losses, next(ends, None))


def _has_rows(train: Train, replicate: int, rows: Rows, epoch: int) -> bool:
    positions = order_of(train, replicate).positions(len(rows.y), epoch)
    return not np.isin(positions, rows.left_out).all()


def _stirring(precision: str, seed: int):
    """Moves every number by up to the rounding of a few operations on numbers of these sizes.

    At random; or, with the first seed, to a multiple of that: what cancels may cancel exactly.
    """
    rng, unit = np.random.default_rng(seed), np.finfo(precision)

    def stir(value, *terms):
        sizes = sum(
            abs(term[0]) @ abs(term[1]) if isinstance(term, tuple) else abs(term) for term in terms
        )
        sizes = np.max(sizes) if np.ndim(value) == 0 else sizes
        reach = 2 * float(unit.eps) * sizes + float(unit.smallest_subnormal)
        moves = (sizes > 0) & np.isfinite(reach)  # a sum of zeros is 0 in any order
        if seed == 0:
            reach = np.where(moves, reach, 1)
            return np.where(moves, np.round(value / reach) * reach, value)
        return value + rng.uniform(-1, 1, np.shape(value)) * np.where(moves, reach, 0)

    return stir
