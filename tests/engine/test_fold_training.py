"""Cross-validation in the engine: every fold is the plain loop on its own rows."""

import numpy as np
import pytest
from sklearn.linear_model import SGDRegressor
from sklearn.model_selection import KFold

from sgdlab.config.grid import Cell
from sgdlab.config.model import Data, Run, Train
from sgdlab.data.dataset import open_dataset
from sgdlab.data.folds import Fold
from sgdlab.data.npy import NpyFile
from sgdlab.engine.passes import run_pass
from sgdlab.planning import making
from sgdlab.planning.making import make_plan
from sgdlab.planning.plan import Plan
from tests.engine.test_passes import GRIDS, make_cells, with_window, work_of
from tests.oracles.reference import plain_sgd, relative_distance

FOLDS = 4
FOLD_GRIDS = GRIDS | {
    "normal weights": {
        "batch_size": [7, 40],
        "learning_rate": [0.02],
        "epochs": [2, 3],
        "initial_weights": ["normal"],
        "initial_scale": [0.5],
    }
}


def train_folds(
    folder, cells, run=None, in_memory=True, threads=2, window_rows="auto", keeps=False, **data
):
    """The outcomes of all cells, by (cell, replicate, fold)."""
    data.setdefault("validation", {"folds": FOLDS, "take": "random"})
    with open_dataset(Data(path=str(folder), **data)) as dataset:
        plan = make_plan(cells, dataset.shape, run or Run(), threads)
        if window_rows != "auto":
            plan = Plan(tuple(with_window(each, window_rows) for each in plan.passes))
        outcomes = [
            outcome
            for each in plan.passes
            for record in run_pass(work_of(each, dataset, in_memory, keeps), dataset, threads)
            for outcome in record.outcomes
        ]
        held_out = dataset.held_out
    found = {(each.cell, each.replicate, each.fold): each for each in outcomes}
    assert len(found) == len(outcomes)
    return found, held_out


def preprocessed(X, training, preprocess):
    """By the statistics of some rows."""
    if preprocess == "none":
        return X
    scale = X[training].std(axis=0) if preprocess == "standardize" else 1.0
    return (X - X[training].mean(axis=0)) / scale


def judge(outcome, train, arrays, held_out, preprocess, replicate=0):
    """Compare an outcome with the plain loop on the rows that its fold does not hold out."""
    y, left_out = arrays["ytr"], np.flatnonzero(held_out == outcome.fold)
    kept = np.flatnonzero(held_out != outcome.fold)
    X = preprocessed(arrays["Xtr"], kept, preprocess)
    start = None
    if train.initial_weights == "normal":
        stream = np.random.SeedSequence([train.seed, 2, replicate])
        start = 0.5 * np.random.default_rng(stream).standard_normal(X.shape[1])
    expected = plain_sgd(train, X, y, X[left_out], y[left_out], replicate, start, left_out=left_out)
    assert outcome.status == "completed"
    assert outcome.epochs == train.epochs
    assert relative_distance(outcome.weights, expected.weights) < 1e-9
    assert outcome.bias == pytest.approx(expected.bias, rel=1e-9)
    assert relative_distance(outcome.running_history, expected.running) < 1e-9
    assert outcome.validation_loss == pytest.approx(expected.validation[-1], rel=1e-9)
    errors = X @ expected.weights + expected.bias - y
    assert outcome.validation_mae == pytest.approx(np.mean(np.abs(errors[left_out])), rel=1e-9)
    assert outcome.train_loss == pytest.approx(np.mean(errors[kept] ** 2) / 2, rel=1e-9)


@pytest.mark.parametrize("grid", FOLD_GRIDS)
@pytest.mark.parametrize("window_rows", [None, 16, 50])
@pytest.mark.parametrize("preprocess", ["none", "center", "standardize"])
def test_every_fold_equals_the_plain_loop(grid, window_rows, preprocess, data_dir, arrays):
    cells = make_cells(FOLD_GRIDS[grid], initial_bias=0.3)
    outcomes, held_out = train_folds(
        data_dir, cells, window_rows=window_rows, preprocess=preprocess
    )
    assert len(outcomes) == FOLDS * len(cells)
    for (cell, _, _), outcome in outcomes.items():
        judge(outcome, cells[cell].train, arrays, held_out, preprocess)


@pytest.mark.parametrize("take", ["tail", "random"])
@pytest.mark.parametrize("order", ["in_order", "shuffle_each_epoch", "with_replacement"])
@pytest.mark.parametrize("folds", [2, 130])
def test_any_number_of_folds(folds, order, take, data_dir, arrays):
    train = Train(batch_size=12, learning_rate=0.02, epochs=2, order=order, replicates=2)
    outcomes, held_out = train_folds(
        data_dir, [Cell(0, train)], validation={"folds": folds, "take": take}
    )
    assert len(outcomes) == 2 * folds
    for (_, replicate, _), outcome in outcomes.items():
        judge(outcome, train, arrays, held_out, "none", replicate)


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("order", ["in_order", "shuffle_once", "with_replacement"])
@pytest.mark.parametrize("n_rates", [1, 3, 9])
def test_chunks_of_any_length(n_rates, in_memory, order, data_dir, arrays, monkeypatch):
    """Parts of a chunk are uneven, and some are empty."""
    monkeypatch.setattr("sgdlab.planning.making.MAX_CHUNK_ROWS", 3)
    rates = np.linspace(0.01, 0.02, n_rates).tolist()
    axes = {"batch_size": [2, 7], "learning_rate": rates, "epochs": [2]}
    cells = make_cells(axes, order=order, initial_weights="normal", initial_scale=0.5)
    outcomes, held_out = train_folds(data_dir, cells, in_memory=in_memory)
    assert {cell for cell, _, _ in outcomes} == set(range(2 * n_rates))
    for (cell, _, _), outcome in outcomes.items():
        judge(outcome, cells[cell].train, arrays, held_out, "none")


def test_a_fold_of_single_rows_equals_scikit_learn(data_dir, arrays):
    train = Train(order="in_order", batch_size=1, learning_rate=0.01, epochs=6, l2=0.02)
    outcomes, _ = train_folds(data_dir, [Cell(0, train)], validation={"folds": 5})
    X, y = arrays["Xtr"], arrays["ytr"]
    for fold, (kept, left_out) in enumerate(KFold(5).split(X)):
        model = SGDRegressor(
            alpha=0.02, learning_rate="constant", eta0=0.01, max_iter=6, shuffle=False, tol=None
        ).fit(X[kept], y[kept])
        outcome = outcomes[0, 0, fold]
        assert relative_distance(outcome.weights, model.coef_) < 1e-9
        errors = model.predict(X[left_out]) - y[left_out]
        assert outcome.validation_loss == pytest.approx(np.mean(errors**2) / 2, rel=1e-9)


@pytest.mark.parametrize("grid", FOLD_GRIDS)
@pytest.mark.parametrize("preprocess", ["none", "standardize"])
def test_streamed_rows_and_other_threads_give_the_same_bits(grid, preprocess, data_dir):
    cells, run = make_cells(FOLD_GRIDS[grid]), Run(trajectories_per_block=5)
    held, _ = train_folds(data_dir, cells, run, preprocess=preprocess)
    for how in ({"in_memory": False}, {"threads": 1}, {"threads": 5}):
        other, _ = train_folds(data_dir, cells, run, preprocess=preprocess, **how)
        assert other.keys() == held.keys()
        for key, outcome in held.items():
            assert outcome.weights.tobytes() == other[key].weights.tobytes()
            for name in ("running_history", "validation_history", "validation_mae_history"):
                assert getattr(outcome, name).tobytes() == getattr(other[key], name).tobytes()
            assert outcome.train_loss == other[key].train_loss


@pytest.mark.parametrize("preprocess", ["none", "standardize"])
@pytest.mark.parametrize("order", ["in_order", "shuffle_once"])
def test_parts_that_are_kept_give_the_same_bits(order, preprocess, data_dir, monkeypatch):
    monkeypatch.setattr("sgdlab.planning.making.MAX_CHUNK_ROWS", 30)
    axes = {"batch_size": [4, 30], "learning_rate": [0.01], "epochs": [2, 5]}
    cells = make_cells(axes, order=order)
    n_made = 0
    training = Fold.training

    def counting(*arguments):
        nonlocal n_made
        n_made += 1
        return training(*arguments)

    monkeypatch.setattr(Fold, "training", counting)
    made, _ = train_folds(data_dir, cells, preprocess=preprocess)
    assert n_made == 5 * FOLDS * (5 + 2)  # of each chunk in every epoch, and at both stops
    n_made = 0
    kept, _ = train_folds(data_dir, cells, preprocess=preprocess, keeps=True)
    assert n_made == 5 * FOLDS
    for key, outcome in made.items():
        assert outcome.weights.tobytes() == kept[key].weights.tobytes()
        assert outcome.train_loss == kept[key].train_loss


def test_validation_losses_are_known_where_a_training_stops(data_dir):
    axes = {"batch_size": [10, 30], "learning_rate": [0.01], "epochs": [2, 3, 5]}
    cells = make_cells(axes)
    outcomes, _ = train_folds(data_dir, cells)
    for (cell, _, _), outcome in outcomes.items():
        epochs = cells[cell].train.epochs
        known = np.flatnonzero(np.isfinite(outcome.validation_history)) + 1
        assert known.tolist() == [stop for stop in (2, 3, 5) if stop <= epochs]


def test_a_fold_may_diverge_alone(data_dir, arrays):
    """The rows that make the others diverge are the ones that it does not see."""
    X = arrays["Xtr"].copy()
    X[:26] *= 40
    np.save(data_dir / "Xtr.npy", X)
    cells = make_cells({"batch_size": [26], "learning_rate": [0.02], "epochs": [3, 30]})
    outcomes, _ = train_folds(data_dir, cells, validation={"folds": 5})
    statuses = {key: outcome.status for key, outcome in outcomes.items()}
    assert {key for key, status in statuses.items() if status == "completed"} == {
        (0, 0, 0), (1, 0, 0),
    }  # fmt: skip


def test_an_epoch_that_draws_no_row_of_a_fold_changes_nothing(tmp_path):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((2, 3)), np.array([1.0, 2.0])
    for part in ("tr", "te"):
        np.save(tmp_path / f"X{part}.npy", X)
        np.save(tmp_path / f"y{part}.npy", y)
    train = Train(batch_size=1, learning_rate=0.1, epochs=12, order="with_replacement")
    outcomes, _ = train_folds(tmp_path, [Cell(0, train)], validation={"folds": 2})
    n_empty = 0
    for fold in range(2):
        outcome = outcomes[0, 0, fold]
        left_out, kept = [fold], 1 - fold
        expected = plain_sgd(train, X, y, X[left_out], y[left_out], left_out=left_out)
        assert outcome.status == "completed"
        assert relative_distance(outcome.weights, expected.weights) < 1e-9
        n_empty += int(np.isnan(outcome.running_history).sum())
        error = X[kept] @ expected.weights + expected.bias - y[kept]
        assert outcome.train_loss == pytest.approx(error**2 / 2, rel=1e-9)
    assert n_empty > 0


# Bytes


def n_rows_read(monkeypatch, folder, **data):
    """Of X, by a streamed training of 8 epochs with one stop."""
    n_read = 0
    read_rows = NpyFile.read_rows

    def counting(file, rows, *arguments):
        nonlocal n_read
        found = read_rows(file, rows, *arguments)
        n_read += len(found) if file.n_features > 1 else 0
        return found

    cells = make_cells({"batch_size": [5, 10], "learning_rate": [0.01], "epochs": [8]})
    with monkeypatch.context() as patched:
        patched.setattr(NpyFile, "read_rows", counting)
        with open_dataset(Data(path=str(folder), **data)) as dataset:
            plan = make_plan(cells, dataset.shape, Run(), 2)
            for each in plan.passes:
                for _ in run_pass(work_of(each, dataset, False), dataset, 2):
                    pass
    return n_read


@pytest.mark.parametrize("preprocess", ["none", "standardize"])
def test_five_folds_read_at_most_a_third_more_than_one_split(preprocess, data_dir, monkeypatch):
    one = n_rows_read(monkeypatch, data_dir, preprocess=preprocess)
    folds = n_rows_read(monkeypatch, data_dir, preprocess=preprocess, validation={"folds": 5})
    assert folds <= 1.3 * one
    if preprocess == "none":
        assert one == 8 * 104 + 2 * 26 + 104  # the training rows once more at the end
        assert folds == 9 * 130


# The plan


@pytest.mark.parametrize(
    ("threads", "folds", "n_blocks"), [(2, 5, 10), (2, 4, 4), (1, 5, 5), (4, 6, 12)]
)
def test_blocks_of_equal_size_keep_all_threads_at_work(
    threads, folds, n_blocks, data_dir, monkeypatch
):
    monkeypatch.setattr(making, "MIN_PARALLEL_TILE", 1)
    axes = {"batch_size": [50], "learning_rate": np.linspace(1, 2, 64), "epochs": [1]}
    cells = make_cells(axes, optimizer="momentum")
    with open_dataset(Data(path=str(data_dir), validation={"folds": folds})) as dataset:
        plan = make_plan(cells, dataset.shape, Run(), threads)
    assert len(plan.blocks) == n_blocks
    assert n_blocks % threads == 0
    assert len({len(block.trajectories) for block in plan.blocks}) == 1
    plan.check_covers(cells, folds)
    assert Plan.from_log(plan.to_log(), cells) == plan
    for other in (None, folds - 1, folds + 1):
        with pytest.raises(ValueError, match="does not train each cell once"):
            plan.check_covers(cells, other)
