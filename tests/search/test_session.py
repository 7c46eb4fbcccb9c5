"""A search from the config to the run directory, as a notebook would call it."""

import csv
import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pytest

from sgdlab import workflows
from sgdlab.config.grid import expand
from sgdlab.config.reading import load_config
from sgdlab.engine import training
from sgdlab.errors import ConfigError, NothingToSelectError, StorageError, UsageError
from sgdlab.observer import Observer
from sgdlab.runs.directory import RunDirectory
from sgdlab.runs.names import find_run
from tests.conftest import make_arrays
from tests.engine.test_passes import split
from tests.oracles.reference import plain_sgd, relative_distance

GRID = {"batch_size": [10, 26], "learning_rate": [0.01, 0.05], "epochs": [2, 5], "l2": [0.0, 0.1]}
TRAIN = {"initial_bias": 0.5}


class Recorder(Observer):
    def __init__(self):
        self.notes, self.progress, self.n_begun, self.n_ended = [], [], 0, 0

    def note(self, message):
        self.notes.append(message)

    def begin(self, progress):
        self.n_begun += 1

    def advance(self, progress):
        self.progress.append(progress)

    def end(self):
        self.n_ended += 1


@pytest.fixture
def config(write_config):
    return write_config("grid", train=TRAIN, grid=GRID)


def contents(directory: RunDirectory, but=("experiment.json",)) -> dict[str, bytes]:
    files = (path for path in directory.path.rglob("*") if path.is_file() and path.name not in but)
    return {str(path.relative_to(directory.path)): path.read_bytes() for path in files}


def only_run(options) -> RunDirectory:
    (path,) = Path(options.runs_dir).iterdir()
    return RunDirectory(path)


def strict_json(content: bytes):
    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    return json.loads(content, parse_constant=refuse)


def test_the_best_cell_is_the_plain_loops_best(config, options, arrays):
    found = workflows.grid_search(config, options=options)
    cells = expand(load_config(config)).cells
    assert len(found.results) == len(cells) == 16
    references = [plain_sgd(cell.train, *split(arrays)) for cell in cells]
    order = sorted(range(16), key=lambda n: references[n].validation[-1])
    assert [result.cell.index for result in found.results] == order
    best = references[order[0]]
    errors = arrays["Xte"] @ best.weights + best.bias - arrays["yte"]
    assert found.test_losses[order[0]].half_mse == pytest.approx(np.mean(errors**2) / 2, rel=1e-9)
    assert found.test_losses[order[0]].mae == pytest.approx(np.mean(np.abs(errors)), rel=1e-9)
    mean = arrays["ytr"][:104].mean()
    assert found.constant == pytest.approx(mean)
    for rows, y in (("validation", arrays["ytr"][104:]), ("test", arrays["yte"])):
        loss = np.mean((mean - y) ** 2) / 2
        assert found.constant_losses[rows].half_mse == pytest.approx(loss)
    difference = errors**2 / 2 - (mean - arrays["yte"]) ** 2 / 2
    assert found.differences["test"].mean == pytest.approx(difference.mean())
    expected_error = difference.std(ddof=1) / math.sqrt(len(difference))
    assert found.differences["test"].standard_error == pytest.approx(expected_error)


def test_the_run_directory_holds_every_log(config, options, arrays):
    found = workflows.grid_search(config, options=options)
    directory = found.directory
    assert sorted(path.name for path in directory.path.iterdir()) == [
        "cells", "experiment.json", "predictions.npz", "results.csv", "weights.npz",
    ]  # fmt: skip
    logs = [strict_json(path.read_bytes()) for path in sorted(directory.cells_folder.iterdir())]
    assert [log["cell"] for log in logs] == [f"{n:04d}" for n in range(16)]
    for log in logs:
        assert log["schema_version"] == 3
        assert log["status"] == "completed"
        (replicate,) = log["replicates"]
        n_epochs = log["hyperparameters"]["epochs"]
        for history in replicate["history"].values():
            assert len(history) == n_epochs
        assert replicate["history"]["validation_loss"][-1] == replicate["validation_loss"]
    experiment = strict_json(directory.experiment_file.read_bytes())
    assert experiment["status"] == "completed"
    assert experiment["best"] == found.best.cell.name
    assert {"python", "numpy", "blas", "processor", "git", "command_line"} <= set(
        experiment["environment"]
    )
    cells_in_plan = [
        cell
        for each in experiment["plan"]
        for block in each["blocks"]
        for trajectory in block["trajectories"]
        for cell in trajectory["cells"]
    ]
    assert sorted(cells_in_plan) == list(range(16))
    rows = list(csv.DictReader(directory.results_file.read_text().splitlines()))
    assert [row["cell"] for row in rows] == [f"{n:04d}" for n in range(16)]
    tested = [row["cell"] for row in rows if row["test_loss"]]
    assert tested == [found.best.cell.name]


def test_kept_weights_are_those_that_were_logged(config, options, arrays):
    found = workflows.grid_search(config, options=options)
    with np.load(found.directory.weights_file, allow_pickle=False) as kept:
        assert kept["cells"].tolist() == [found.best.cell.index]
        weights, bias = kept["weights"], kept["bias"]
    assert weights.shape == (1, 1, 9)
    best = found.best.replicates[0]
    assert hashlib.sha256(weights[0, 0].tobytes()).hexdigest() == best.weights_sha256
    assert np.sum(weights**2) == pytest.approx(best.weights_squared_norm)
    with np.load(found.directory.predictions_file, allow_pickle=False) as predictions:
        expected = arrays["Xte"] @ weights[0, 0] + bias[0, 0]
        np.testing.assert_allclose(predictions["test"][0], expected, rtol=1e-12)
        np.testing.assert_array_equal(predictions["test_targets"], arrays["yte"])


def test_the_same_command_again_trains_nothing(config, options, monkeypatch):
    first = workflows.grid_search(config, options=options)
    before = contents(first.directory, but=())
    monkeypatch.setattr(training, "run_pass", None)  # calling it would fail
    recorder = Recorder()
    again = workflows.grid_search(config, options=options, observer=recorder)
    assert again == first
    assert contents(first.directory, but=()) == before
    assert recorder.n_begun == 0
    assert "nothing left to train: 16 cells" in recorder.notes[0]


def test_two_runs_of_one_command_have_the_same_bytes(config, tmp_path):
    first, second = (
        workflows.grid_search(config, options=workflows.SearchOptions(runs_dir=tmp_path / name))
        for name in ("a", "b")
    )
    assert first.directory.name == second.directory.name
    assert contents(first.directory) == contents(second.directory)


class Stopping(Observer):
    """Breaks a training off after some epochs, as Ctrl-C would."""

    def __init__(self, n_epochs):
        self.n_epochs = n_epochs

    def advance(self, progress):
        if progress.epoch == self.n_epochs:
            raise KeyboardInterrupt


@pytest.mark.parametrize("n_epochs", [1, 2, 3, 4])
def test_an_interrupted_search_is_finished_by_the_same_command(config, tmp_path, n_epochs):
    undisturbed = workflows.grid_search(
        config, options=workflows.SearchOptions(runs_dir=tmp_path / "undisturbed")
    )
    options = workflows.SearchOptions(runs_dir=tmp_path / "interrupted")
    with pytest.raises(KeyboardInterrupt):
        workflows.grid_search(config, options=options, observer=Stopping(n_epochs))
    directory = only_run(options)
    assert directory.experiment().status == "interrupted"
    n_finished = 8 if n_epochs >= 2 else 0
    logs = {path: path.stat().st_mtime_ns for path in directory.cells_folder.iterdir()}
    assert len(logs) == n_finished
    recorder = Recorder()
    resumed = workflows.grid_search(config, options=options, observer=recorder)
    assert contents(resumed.directory) == contents(undisturbed.directory)
    assert {path: path.stat().st_mtime_ns for path in logs} == logs
    assert len(directory.experiment().sessions) == 2
    if n_finished:
        assert f"going on with {n_finished} cells" in recorder.notes[0]


def test_a_finished_block_is_not_trained_again(write_config, options):
    """Two orders are two passes; what the first one finished stays when the second breaks off."""
    grid = GRID | {"order": ["in_order", "shuffle_once"]}
    config = write_config("two-passes", train={}, grid=grid)
    with pytest.raises(KeyboardInterrupt):
        workflows.grid_search(config, options=options, observer=Stopping(6))
    recorder = Recorder()
    workflows.grid_search(config, options=options, observer=recorder)
    assert len(recorder.progress) == 5


def test_a_resumed_run_follows_the_plan_that_it_began_with(config, options):
    with pytest.raises(KeyboardInterrupt):
        workflows.grid_search(config, ["run.threads=1"], options, Stopping(3))
    directory = only_run(options)
    plan = directory.experiment().plan
    workflows.grid_search(config, ["run.threads=4"], options)
    assert directory.experiment().plan == plan


def test_fresh_starts_over_beside_the_run(config, options):
    first = workflows.grid_search(config, options=options)
    fresh = workflows.SearchOptions(options.runs_dir, fresh=True)
    second = workflows.grid_search(config, options=fresh)
    assert second.directory.name == f"{first.directory.name}-2"
    assert contents(second.directory) == contents(first.directory)


def test_an_interrupted_fresh_start_is_taken_up_by_the_same_command(config, options):
    first = workflows.grid_search(config, options=options)
    fresh = workflows.SearchOptions(options.runs_dir, fresh=True)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            workflows.grid_search(config, options=fresh, observer=Stopping(2))
    second = workflows.grid_search(config, options=fresh)
    third = workflows.grid_search(config, options=fresh)
    names = [each.directory.name for each in (second, third)]
    assert names == [f"{first.directory.name}-2", f"{first.directory.name}-3"]
    assert contents(second.directory) == contents(first.directory)


def test_all_test_losses_and_weights_can_be_asked_for_later(config, options, arrays):
    first = workflows.grid_search(config, options=options)
    every = workflows.SearchOptions(options.runs_dir, test_losses="all", keep_weights="all")
    found = workflows.grid_search(config, options=every)
    assert found.best == first.best
    assert sorted(found.test_losses) == list(range(16))
    with np.load(found.directory.weights_file) as kept:
        for place, cell in enumerate(kept["cells"]):
            errors = arrays["Xte"] @ kept["weights"][place, 0] + kept["bias"][place, 0]
            errors -= arrays["yte"]
            expected = pytest.approx(np.mean(errors**2) / 2)
            assert found.test_losses[int(cell)].half_mse == expected
    again = workflows.grid_search(config, options=options)  # does not lose them
    assert sorted(again.test_losses) == list(range(16))


def test_replicates_are_reported_with_a_standard_error(write_config, options, arrays):
    config = write_config("twice", train=TRAIN | {"replicates": 3}, grid=GRID)
    found = workflows.grid_search(config, options=options)
    best = found.best
    losses = [
        plain_sgd(best.cell.train, *split(arrays), replicate=n).validation[-1] for n in range(3)
    ]
    assert best.mean("validation_loss") == pytest.approx(np.mean(losses), rel=1e-9)
    expected = np.std(losses, ddof=1) / math.sqrt(3)
    assert best.standard_error("validation_loss") == pytest.approx(expected, rel=1e-6)
    rows = list(csv.DictReader(found.directory.results_file.read_text().splitlines()))
    row = rows[best.cell.index]
    assert float(row["validation_loss_standard_error"]) == pytest.approx(expected, rel=1e-6)


def test_where_all_cells_diverge_nothing_is_selected_and_everything_is_logged(
    write_config, options, monkeypatch
):
    config = write_config("wild", grid={"l2": [0.0, 0.1]}, train={"learning_rate": 1e9})
    with pytest.raises(NothingToSelectError, match="all 2 cells diverged"):
        workflows.grid_search(config, options=options)
    directory = find_run(Path(options.runs_dir), "latest")
    assert directory.experiment().best is None
    log = strict_json(directory.cell_file(0).read_bytes())
    assert log["status"] == "diverged"
    assert log["validation_loss"] is None
    assert "epoch 1" in log["replicates"][0]["reason"]
    monkeypatch.setattr(training, "run_pass", None)
    with pytest.raises(NothingToSelectError):
        workflows.grid_search(config, options=options)


def test_selection_by_mae_uses_the_median_as_constant(write_config, options, arrays):
    config = write_config("mae", train=TRAIN, grid=GRID, select={"metric": "mae"})
    found = workflows.grid_search(config, options=options)
    maes = [result.mean("validation_mae") for result in found.results]
    assert maes == sorted(maes)
    assert found.constant == np.median(arrays["ytr"][:104])


def test_train_wants_one_cell(config, write_config, options):
    with pytest.raises(ConfigError, match="16 cells; expected one"):
        workflows.train(config, options=options)
    single = write_config("single")
    assert len(workflows.train(single, options=options).results) == 1


def test_two_searches_of_one_run_exclude_each_other(config, options):
    class Nested(Observer):
        def advance(self, progress):
            workflows.grid_search(config, options=options)

    with pytest.raises(StorageError, match=r"in use by pid \d+ on "):
        workflows.grid_search(config, options=options, observer=Nested())


def test_streamed_and_held_searches_write_the_same_bytes(config, tmp_path):
    held, streamed = (
        workflows.grid_search(
            config,
            ["data.preprocess=center", f"run.memory_budget={budget}"],
            workflows.SearchOptions(runs_dir=tmp_path / budget),
        )
        for budget in ("1GB", "1kB")
    )
    assert contents(held.directory) == contents(streamed.directory)


def test_progress_counts_epochs_and_cells(config, options):
    recorder = Recorder()
    found = workflows.grid_search(config, options=options, observer=recorder)
    assert [progress.epoch for progress in recorder.progress] == [1, 2, 3, 4, 5]
    last = recorder.progress[-1]
    assert (last.n_epochs, last.n_alive, last.n_cells) == (5, 16, 16)
    assert last.best <= found.best.mean("validation_loss")
    assert recorder.n_ended == 1


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("preprocess", ["none", "standardize"])
def test_evaluate_reproduces_the_log(config, options, precision, preprocess):
    overrides = [f"train.precision={precision}", f"data.preprocess={preprocess}"]
    every = workflows.SearchOptions(options.runs_dir, test_losses="all", keep_weights="all")
    found = workflows.grid_search(config, overrides, every)
    for cell in (None, 3):
        result = workflows.evaluate("latest", options.runs_dir, cell)
        assert [each.rows for each in result.evaluated] == ["training", "validation", "test"]
        tolerance = 1e-9 if precision == "float64" else 1e-5
        for each in result.evaluated:
            assert each.losses.half_mse == pytest.approx(each.logged_loss, rel=tolerance)
        validation = result.evaluated[1]
        assert validation.losses.mae == pytest.approx(
            result.result.mean("validation_mae"), rel=tolerance
        )
    assert result.result.cell.index == 3
    assert relative_distance(found.test_losses[3].mae, result.evaluated[2].losses.mae) < 1e-5


def test_evaluate_on_other_arrays_uses_the_runs_own_statistics(config, options, tmp_path, arrays):
    found = workflows.grid_search(config, ["data.preprocess=standardize"], options)
    other = make_arrays(seed=9)
    folder = tmp_path / "other"
    folder.mkdir()
    for part in ("Xte", "yte"):
        np.save(folder / f"{part}.npy", other[part])
    result = workflows.evaluate(found.directory.name, options.runs_dir, data=folder, mae_step=0.1)
    (each,) = result.evaluated
    with np.load(found.directory.weights_file) as kept:
        X = (other["Xte"] - arrays["Xtr"][:104].mean(0)) / arrays["Xtr"][:104].std(0)
        errors = X @ kept["weights"][0, 0] + kept["bias"][0, 0] - other["yte"]
    assert each.rows == "Xte.npy"
    assert each.logged_loss is None
    assert each.losses.half_mse == pytest.approx(np.mean(errors**2) / 2)
    assert each.step.bias_subgradient == pytest.approx(np.mean(np.sign(errors)))


def test_evaluate_says_what_cannot_be_evaluated(config, options, data_dir):
    found = workflows.grid_search(config, options=options)
    others = [n for n in range(16) if n != found.best.cell.index]
    with pytest.raises(UsageError, match=f"cell {others[0]:04d} were not kept"):
        workflows.evaluate("latest", options.runs_dir, others[0])
    np.save(data_dir / "yte.npy", make_arrays(1)["yte"])
    with pytest.raises(Exception, match="not the arrays that"):
        workflows.evaluate("latest", options.runs_dir)


@pytest.mark.parametrize("validation", [{"fraction": 0.2}, {"folds": 3}])
def test_a_search_that_memory_is_too_small_for_leaves_no_run(
    write_config, options, monkeypatch, validation
):
    config = write_config("grid", train=TRAIN, grid=GRID, data={"validation": validation})
    monkeypatch.setattr("sgdlab.system.machine.free_memory_bytes", lambda: 10_000)
    with pytest.raises(StorageError, match=r"^memory: training \d+ models side by side takes "):
        workflows.grid_search(config, options=options)
    assert not Path(options.runs_dir).exists()


def test_a_finished_run_is_shown_whatever_memory_there_is(config, options, monkeypatch):
    found = workflows.grid_search(config, options=options)
    monkeypatch.setattr("sgdlab.system.machine.free_memory_bytes", lambda: 10_000)
    again = workflows.grid_search(config, options=options)
    assert [r.cell.index for r in again.results] == [r.cell.index for r in found.results]


def test_a_run_is_not_taken_up_where_memory_is_too_small(config, options, monkeypatch):
    workflows.grid_search(config, options=options)
    only_run(options).cell_file(3).unlink()
    monkeypatch.setattr("sgdlab.system.machine.free_memory_bytes", lambda: 10_000)
    with pytest.raises(StorageError, match=r"^memory: training \d+ models side by side takes "):
        workflows.grid_search(config, options=options)
