"""Whole passes: every cell of a grid equals the plain loop, however it is run."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from sgdlab.config.grid import Cell
from sgdlab.config.model import Data, Run, Train
from sgdlab.data.dataset import open_dataset
from sgdlab.engine.passes import run_pass
from sgdlab.planning.making import make_plan
from sgdlab.planning.memory import Work, holding_of
from sgdlab.planning.plan import Block, Plan
from tests.oracles.reference import plain_sgd, relative_distance

GRIDS = {
    "uneven last batches": {
        "batch_size": [7, 10, 26, 30, 104],
        "learning_rate": [0.01, 0.03],
        "epochs": [1, 3, 4],
        "l2": [0.0, 0.5],
    },
    "from single rows to more than all": {
        "batch_size": [1, 2, 3, 64, 1000],
        "learning_rate": [0.002],
        "epochs": [2, 5],
        "l2": [0.01, 300.0],
    },
    "every kind of loss and bias": {
        "batch_size": [5, 20],
        "learning_rate": [0.01],
        "epochs": [3],
        "loss": ["squared", "absolute", "huber"],
        "huber_delta": [0.5, 2.0],
        "train_bias": [True, False],
    },
    "every optimizer": {
        "batch_size": [9, 40, 104],
        "learning_rate": [0.02],
        "epochs": [1, 4],
        "optimizer": ["sgd", "momentum", "nesterov", "adam"],
        "l2": [0.0, 0.3],
        "weight_decay": [0.0, 0.2],
        "loss": ["squared", "huber"],
    },
    "every schedule": {
        "batch_size": [9, 40],
        "learning_rate": [0.02],
        "epochs": [2, 5],
        "schedule": ["constant", "exponential", "step", "inverse_time", "cosine"],
        "warmup": [0.0, 0.3],
        "optimizer": ["sgd", "adam"],
        "l2": [0.3],
    },
    "every order": {
        "batch_size": [9, 40],
        "learning_rate": [0.02],
        "epochs": [4],
        "order": ["in_order", "shuffle_once", "shuffle_each_epoch", "with_replacement"],
    },
    "shuffled blocks": {
        "batch_size": [9, 40],
        "learning_rate": [0.02],
        "epochs": [4],
        "order": ["shuffle_blocks"],
        "block_rows": [1, 10, 40, 200],
        "buffer_blocks": [1, 3, 50],
    },
}


def make_cells(axes, **fixed):
    points = (dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values()))
    return [Cell(n, Train(**fixed, **point)) for n, point in enumerate(points)]


def train_all(folder, cells, run=None, in_memory=True, threads=2, window_rows="auto", **data):
    """The outcomes of all cells, by (cell, replicate); of plain SGD with the window given."""
    with open_dataset(Data(path=str(folder), **data)) as dataset:
        plan = make_plan(cells, dataset.shape, run or Run(), threads)
        if window_rows != "auto":
            plan = Plan(tuple(with_window(each, window_rows) for each in plan.passes))
        outcomes = [
            outcome
            for each in plan.passes
            for record in run_pass(work_of(each, dataset, in_memory), dataset, threads)
            for outcome in record.outcomes
        ]
    found = {(outcome.cell, outcome.replicate): outcome for outcome in outcomes}
    assert len(found) == len(outcomes)
    return found


def work_of(each, dataset, in_memory, keeps_parts=False):
    """A pass with rows that are held, or else read through 3 chunks."""
    held = holding_of(each, dataset.shape, Run())
    return Work(each, replace(held, in_memory=in_memory, n_chunks=3, keeps_parts=keeps_parts))


def with_window(each, window_rows):
    """A pass in which the windowed kernel, or with None the direct one, trains what it can.

    With blocks of one batch size each, whose windows are cut to whole batches.
    """
    plain = [block for block in each.blocks if is_plain(block)]
    others = [block for block in each.blocks if not is_plain(block)]
    for block in plain:
        for size in block.batch_sizes:
            members = tuple(path for path in block.trajectories if path.train.batch_size == size)
            window = window_rows and max(window_rows - window_rows % size, size)
            others.append(Block(len(others), members, window, block.fold))
    return replace(each, blocks=tuple(others))


def is_plain(block):
    return block.trajectories[0].train.optimizer == "sgd"


def split(arrays):
    """The default split, written out: of 130 rows the last 26 validate."""
    X, y = arrays["Xtr"], arrays["ytr"]
    return X[:104], y[:104], X[104:], y[104:]


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("window_rows", ["auto", None, 16, 50])
def test_every_cell_equals_the_plain_loop(grid, window_rows, data_dir, arrays):
    cells = make_cells(GRIDS[grid], initial_bias=0.3)
    outcomes = train_all(data_dir, cells, window_rows=window_rows)
    assert len(outcomes) == len(cells)
    X, y, X_validation, y_validation = split(arrays)
    for cell in cells:
        outcome = outcomes[cell.index, 0]
        expected = plain_sgd(cell.train, X, y, X_validation, y_validation)
        assert outcome.status == "completed"
        assert outcome.epochs == cell.train.epochs
        assert relative_distance(outcome.weights, expected.weights) < 1e-9
        assert outcome.bias == pytest.approx(expected.bias, rel=1e-9)
        assert relative_distance(outcome.running_history, expected.running) < 1e-9
        assert relative_distance(outcome.validation_history, expected.validation) < 1e-9
        final = X @ expected.weights + expected.bias - y
        assert outcome.train_loss == pytest.approx(np.mean(final**2) / 2, rel=1e-9)
        held_out = X_validation @ expected.weights + expected.bias - y_validation
        assert outcome.validation_mae == pytest.approx(np.mean(np.abs(held_out)), rel=1e-9)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("window_rows", [None, 16])
@pytest.mark.parametrize("preprocess", ["none", "standardize"])
def test_streamed_rows_give_the_same_bits(grid, preprocess, window_rows, data_dir):
    cells = make_cells(GRIDS[grid])
    how = {"preprocess": preprocess, "window_rows": window_rows}
    held = train_all(data_dir, cells, in_memory=True, **how)
    streamed = train_all(data_dir, cells, in_memory=False, **how)
    assert_same_bits(held, streamed)


def test_the_number_of_threads_changes_no_bit_of_a_plan_with_fixed_blocks(data_dir):
    cells = make_cells(GRIDS["uneven last batches"])
    run = Run(trajectories_per_block=3)
    assert_same_bits(
        train_all(data_dir, cells, run, threads=1), train_all(data_dir, cells, run, threads=4)
    )


def test_the_order_of_a_grid_changes_no_bit(data_dir):
    cells = make_cells(GRIDS["uneven last batches"])
    backwards = [Cell(n, cell.train) for n, cell in enumerate(reversed(cells))]
    forward, reverse = train_all(data_dir, cells), train_all(data_dir, backwards)
    last = len(cells) - 1
    renamed = {(last - cell, replicate): each for (cell, replicate), each in reverse.items()}
    assert_same_bits(forward, renamed)


@pytest.mark.parametrize("grid", GRIDS)
def test_a_cell_alone_equals_the_same_cell_in_a_grid(grid, data_dir):
    cells = make_cells(GRIDS[grid])
    together = train_all(data_dir, cells)
    for cell in cells:
        alone = train_all(data_dir, [Cell(0, cell.train)])[0, 0]
        assert relative_distance(alone.weights, together[cell.index, 0].weights) < 1e-9
        assert alone.validation_loss == pytest.approx(
            together[cell.index, 0].validation_loss, rel=1e-9
        )


def test_replicates_have_orders_and_initial_weights_of_their_own(data_dir, arrays):
    train = Train(
        batch_size=8,
        learning_rate=0.02,
        epochs=2,
        replicates=3,
        seed=5,
        initial_weights="normal",
        initial_scale=0.5,
    )
    outcomes = train_all(data_dir, [Cell(0, train)])
    X, y, X_validation, y_validation = split(arrays)
    for replicate in range(3):
        stream = np.random.SeedSequence([5, 2, replicate])
        start = 0.5 * np.random.default_rng(stream).standard_normal(X.shape[1])
        expected = plain_sgd(train, X, y, X_validation, y_validation, replicate, start)
        assert relative_distance(outcomes[0, replicate].weights, expected.weights) < 1e-9
    losses = {outcomes[0, replicate].validation_loss for replicate in range(3)}
    assert len(losses) == 3


def test_float32_is_near_float64(data_dir):
    axes = {"batch_size": [10, 30], "learning_rate": [0.02], "epochs": [4]}
    double = train_all(data_dir, make_cells(axes, precision="float64"))
    single = train_all(data_dir, make_cells(axes, precision="float32"))
    for key, outcome in double.items():
        assert single[key].weights.dtype == np.float32
        assert relative_distance(single[key].weights, outcome.weights) < 1e-5
        assert single[key].validation_loss == pytest.approx(outcome.validation_loss, rel=1e-5)


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_diverging_cell_is_a_status_and_its_siblings_go_on(in_memory, data_dir):
    rates = {"batch_size": [10], "learning_rate": [0.01, 10.0, 1e150], "epochs": [2, 40]}
    outcomes = train_all(data_dir, make_cells(rates), in_memory=in_memory)
    steady = train_all(data_dir, make_cells(rates | {"learning_rate": [0.01]}))
    for cell in (0, 1):
        assert outcomes[cell, 0].status == "completed"
        assert outcomes[cell, 0].validation_loss == pytest.approx(
            steady[cell, 0].validation_loss, rel=1e-9
        )
    for cell in (2, 3, 4, 5):
        diverged = outcomes[cell, 0]
        assert diverged.status == "diverged"
        assert diverged.epochs == 1
        assert diverged.weights is None
        assert np.isnan(diverged.validation_loss)


def test_a_step_size_just_above_the_limit_is_caught_though_it_stays_finite(tmp_path):
    """Full-batch descent on a quadratic: stable below 2 / lambda_max, slowly exploding above."""
    rng = np.random.default_rng(3)
    X = rng.standard_normal((100, 5))
    y = X @ np.ones(5)
    for part, rows in (("tr", slice(0, 100)), ("te", slice(0, 10))):
        np.save(tmp_path / f"X{part}.npy", X[rows])
        np.save(tmp_path / f"y{part}.npy", y[rows])
    largest = np.linalg.eigvalsh(X[:80].T @ X[:80] / 80)[-1]
    rates = {"learning_rate": [1.98 / largest, 2.02 / largest]}
    cells = make_cells(rates, batch_size=80, epochs=400, order="in_order", train_bias=False)
    below, above = (train_all(tmp_path, cells)[n, 0] for n in (0, 1))
    assert below.status == "completed"
    assert below.running_loss < 1e-3 * below.running_history[0]
    assert above.status == "diverged"
    assert np.isfinite(above.running_history).all()
    start = np.mean(y[:80] ** 2) / 2
    assert above.running_history[-2] <= 1000 * start < above.running_history[-1]
    # |w| grows by 1.02 a step, so the loss by 1.0404: some 200 epochs to a factor of 1000.
    assert 150 < above.epochs < 300


def test_a_trajectory_that_diverges_late_keeps_its_earlier_cells(data_dir):
    rates = {"batch_size": [104], "learning_rate": [1.2], "epochs": [1, 2, 60]}
    cells = make_cells(rates, order="in_order")
    outcomes = train_all(data_dir, cells)
    statuses = [outcomes[n, 0].status for n in range(3)]
    assert statuses == ["completed", "completed", "diverged"]
    assert 2 < outcomes[2, 0].epochs < 60


def assert_same_bits(found, expected):
    assert found.keys() == expected.keys()
    for key, outcome in found.items():
        other = expected[key]
        assert outcome.weights.tobytes() == other.weights.tobytes()
        assert outcome.bias == other.bias
        assert outcome.train_loss == other.train_loss
        assert outcome.running_history.tobytes() == other.running_history.tobytes()
        assert outcome.validation_history.tobytes() == other.validation_history.tobytes()
