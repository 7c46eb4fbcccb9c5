"""What a run is going to take: a measurement of this machine, scaled to the whole plan."""

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sgdlab import workflows
from sgdlab.config.grid import Cell, expand
from sgdlab.config.model import Run, Train
from sgdlab.config.reading import load_config
from sgdlab.data.dataset import open_dataset
from sgdlab.data.shape import Shape
from sgdlab.engine.training import train_blocks
from sgdlab.observer import Observer
from sgdlab.planning.making import make_plan
from sgdlab.planning.memory import Holding, Work, assign_memory, holding_of
from sgdlab.planning.plan import Stop
from sgdlab.search.forecast import forecast as module
from sgdlab.search.forecast import pace
from sgdlab.search.forecast.pace import measure_pace
from sgdlab.search.forecast.reading import seconds_a_row
from sgdlab.search.forecast.sample import open_source, sample_blocks, sample_dataset, source_of
from sgdlab.search.session import SearchOptions

GRID = {"learning_rate": [0.01, 0.02], "batch_size": [1, 10, 64], "epochs": [3, 5]}


@pytest.fixture
def source(write_config):
    """Of the small arrays, and the config's cells."""
    config = load_config(write_config(grid=GRID))
    with open_source(config.data) as (source, _):
        yield source, expand(config).cells


def forecast_of(path, *overrides):
    return workflows.plan_search(path, overrides, measure=True).forecast


def test_all_figures_are_there_and_positive(write_config, in_an_empty_folder):
    found = forecast_of(write_config(grid=GRID))
    assert found.elapsed_s == found.training_s + found.writing_s
    assert min(found.training_s, found.writing_s, found.measured_in_s) > 0
    assert found.peak_memory_bytes > 20 * 10**6  # no Python with numpy takes less
    assert list(Path().iterdir()) == [Path("data"), Path("small.yaml")]


def test_time_grows_with_epochs(write_config, in_an_empty_folder):
    few, many = (forecast_of(write_config(), f"train.epochs={n}") for n in (10, 10_000))
    assert many.training_s > 100 * few.training_s


def test_time_grows_with_rows(source):
    source, cells = source
    works = assign_memory(make_plan(cells, source.shape, Run(), 1).passes, source.shape, Run())
    more = replace(source, shape=replace(source.shape, n_train=104_000, n_validation=26_000))
    times = [
        module.forecast(works, each, Run(threads=1), Path("runs"), 0).training_s
        for each in (source, more)
    ]
    assert times[1] > 20 * times[0]


def test_measuring_is_short_and_needs_no_arrays(in_an_empty_folder, tmp_path):
    config = tmp_path / "made-up.yaml"
    config.write_text(
        "data: {path: nowhere, if_missing: synthesize}\n"
        "train: {epochs: 100}\n"
        "grid: {batch_size: [1, 7, 64, 1000], learning_rate: [1e-3, 1e-2], l2: [0, 1],\n"
        "  loss: [squared, huber], precision: [float32, float64]}\n"
    )
    start = time.process_time()
    found = forecast_of(config)
    assert time.process_time() - start < 10.0  # of two processors; a search takes minutes
    assert found.elapsed_s > 0.1
    assert list(tmp_path.iterdir()) == [config]


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_streamed_rows_are_read_at_the_pace_of_the_file(source, share, monkeypatch):
    """In every epoch, or once where the file stays in the system's memory."""
    source, cells = source
    monkeypatch.setattr(module, "KEPT_SHARE", share)
    run = Run(memory_budget=100)
    works = assign_memory(make_plan(cells, source.shape, run, 1).passes, source.shape, run)
    monkeypatch.setattr(module, "HASHED_WHOLE_BYTES", 0)
    monkeypatch.setattr(module, "seconds_a_row", lambda *_: 1.0)
    found = module.forecast(works, source, run, Path("runs"), 0)
    shape, n_stops = source.shape, 2
    all_s = shape.n_train + shape.n_validation
    epoch_s = shape.n_train + shape.n_validation / 4
    every_time_s = 5 * epoch_s + n_stops * shape.n_train + shape.n_validation + shape.n_test
    assert found.training_s == pytest.approx(all_s if share else every_time_s, abs=1.0)


@pytest.mark.parametrize(("n_chunks", "is_kept"), [(1, True), (5, True), (5, False), (999, True)])
def test_reading_is_timed_on_rows_of_the_file_each_read_once(
    source, n_chunks, is_kept, monkeypatch
):
    X, read = source[0].X, []
    read_rows = type(X).read_rows
    monkeypatch.setattr(type(X), "read_rows", lambda file, n: read.extend(n) or read_rows(file, n))
    assert 0 < seconds_a_row(X, n_chunks, is_kept) < 0.01
    n_read = X.n_rows if is_kept else X.n_rows // n_chunks
    assert len(read) == len(set(read)) == n_read
    assert (read == sorted(read)) == (n_chunks == 1 or not is_kept)


@pytest.mark.parametrize("in_files", [False, True])
def test_a_sample_is_like_the_data(source, in_files):
    source, _ = source
    with sample_dataset(source, 40, in_files) as sample:
        assert (sample.shape.n_train, sample.shape.n_validation) == (40, 10)
        assert sample.shape.n_features == source.shape.n_features
        assert sample.arrays["Xtr"].dtype == source.dtype
        [(rows, _)] = sample.training(np.float64).chunks(100)
    assert rows.std() > 0.1


@pytest.mark.parametrize("dtype", ["uint8", "bool", ">f4", "float16"])
@pytest.mark.parametrize("in_files", [False, True])
def test_a_sample_has_the_dtype_of_the_file(source, dtype, in_files):
    with sample_dataset(replace(source[0], dtype=np.dtype(dtype)), 30, in_files) as sample:
        assert sample.arrays["Xtr"].dtype == np.dtype(dtype)
        [(rows, _)] = sample.training(np.float32).chunks(100)
    assert rows.std() > 0.1


def test_sample_blocks_have_the_shapes_of_the_plan_and_its_decay(write_config):
    config = load_config(write_config(grid=GRID | {"l2": [0.0, 3.0, 140.0]}))
    with open_source(config.data) as (source, _):
        cells = expand(config).cells
    plan = make_plan(cells, source.shape, Run(), 2)
    sample = sample_blocks(plan.blocks, source.shape.n_features)
    assert sample.share == 1.0
    for block, same in zip(plan.blocks, sample.blocks, strict=True):
        assert same.window_rows == block.window_rows
        assert same.batch_sizes == block.batch_sizes
        for one, other in zip(block.trajectories, same.trajectories, strict=True):
            assert other.train.learning_rate == one.train.learning_rate
            decays = [each.train.learning_rate * each.train.l2 for each in (one, other)]
            assert decays[1] == pytest.approx(min(decays[0], 1.5))


HOSTILE = {
    "decay": {"learning_rate": [0.001, 1.0], "l2": [0.0, 3.0, 1e9]},
    "weight decay": {"optimizer": ["adam", "momentum"], "weight_decay": [0.0, 400.0]},
    "values": {"initial_bias": [1e200], "initial_scale": [1e200], "initial_weights": ["normal"]},
    "steps": {"learning_rate": [1e200], "loss": ["squared", "huber"]},
}


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("axes", HOSTILE.values(), ids=HOSTILE)
def test_what_diverges_can_be_forecast(axes, precision, write_config, in_an_empty_folder):
    grid = {"batch_size": [1, 10]} | axes
    config = write_config(grid=grid, train={"epochs": 3, "precision": precision})
    assert forecast_of(config).elapsed_s > 0
    assert forecast_of(config, "data.divide_by=1e-200").elapsed_s > 0
    assert forecast_of(config, "data.validation={folds: 3}").elapsed_s > 0


def test_of_very_many_trajectories_some_stand_for_all():
    cells = [
        Cell(n, Train(batch_size=8, learning_rate=1e-9 * (n + 1), epochs=2)) for n in range(99)
    ]
    plan = make_plan(cells, Shape(100, 10, 10, 10**6), Run(), 1)
    sample = sample_blocks(plan.blocks, 10**6)
    n_sampled = sum(len(block.trajectories) for block in sample.blocks)
    assert sample.share == n_sampled / 99 < 0.1


def test_of_many_folds_a_few_stand_for_all():
    shape = Shape(n_train=1000, n_validation=0, n_test=10, n_features=50, folds=100)
    cells = [Cell(n, Train(batch_size=8, learning_rate=1e-3, epochs=n + 1)) for n in range(2)]
    plan = make_plan(cells, shape, Run(), 1)
    sample = sample_blocks(plan.blocks, 50)
    assert {block.fold for block in sample.blocks} == {0, 1, 2, 3}
    assert sample.share == 4 / 100


def test_a_pace_is_that_of_all_blocks(source):
    source, cells = source
    [each] = make_plan(cells, source.shape, Run(), 1).passes
    found = measure_pace(Work(each, holding_of(each, source.shape, Run())), source, 1, 0.02)
    assert found.n_rows == source.shape.n_train
    assert found.epoch_s > 0
    assert found.outcome.status == "completed"


def test_a_sample_is_held_as_the_pass_is(source, monkeypatch):
    """Its few rows would fit any budget, and their products would be kept."""
    source, cells = source
    [each] = make_plan(cells, source.shape, Run(), 1).passes
    assert holding_of(each, source.shape, Run()).products_of
    larger = replace(source.shape, n_train=10**6)
    run = Run(memory_budget=3 * each.chunk_rows * 9 * 8)
    work = Work(each, holding_of(each, larger, run))
    assert work.holding == Holding(False, 3, False, frozenset())
    held = []
    monkeypatch.setattr(
        pace, "train_blocks", lambda *given: held.append(given[0]) or train_blocks(*given)
    )
    measure_pace(work, replace(source, shape=larger), 1, 0.02)
    assert [[each.holding for each in works] for works in held] == [[work.holding]] * 2


@pytest.mark.parametrize(
    ("validation", "in_memory", "in_files"),
    [
        ({}, True, False),
        ({}, False, True),
        ({"take": "random"}, True, True),
        ({"folds": 3, "take": "random"}, True, False),
    ],
)
def test_a_sample_lies_in_files_where_reading_them_takes_long(
    validation, in_memory, in_files, write_config, arrays, monkeypatch
):
    config = load_config(write_config(data={"validation": validation}))
    with open_source(config.data) as (source, _), open_dataset(config.data, arrays) as held:
        [each] = make_plan(expand(config).cells, source.shape, Run(), 1).passes
        holding = replace(holding_of(each, source.shape, Run()), in_memory=in_memory)
        asked = []
        monkeypatch.setattr(
            pace, "sample_dataset", lambda *given: asked.append(given[2]) or sample_dataset(*given)
        )
        measure_pace(Work(each, holding), source, 1, 0.01)
        assert asked == [in_files] * 2
        measure_pace(Work(each, holding), source_of(held), 1, 0.01)
        assert asked == [in_files] * 2 + [False] * 2


def test_a_pass_falls_into_epochs_with_the_same_blocks(source):
    [each] = make_plan(source[1], source[0].shape, Run(trajectories_per_block=1), 1).passes
    short = tuple(
        replace(block, trajectories=(replace(each, stops=(Stop(2, 0),)),))
        for block in each.blocks[:2]
        for each in block.trajectories
    )
    each = replace(each, blocks=(*short, *each.blocks[2:]))
    segments = module._segments(Work(each, holding_of(each, source[0].shape, Run())))
    assert [(s.n_epochs, s.n_trajectories) for s in segments] == [(2, 6), (3, 4)]


def test_replicates_are_measured_once(source, monkeypatch):
    source, cells = source
    cells = [Cell(c.index, c.train.model_copy(update={"replicates": 5})) for c in cells]
    plan = make_plan(cells, source.shape, Run(), 1)
    assert len(plan.passes) == 5
    measured = []
    monkeypatch.setattr(
        module, "measure_pace", lambda *given: measured.append(given) or measure_pace(*given)
    )
    works = assign_memory(plan.passes, source.shape, Run())
    module.forecast(works, source, Run(), Path("runs"), 0)
    assert len(measured) == 1


def test_the_log_holds_forecast_and_outcome(write_config, tmp_path):
    observer, notes = Observer(), []
    observer.note = notes.append
    options = SearchOptions(tmp_path / "runs", measure=True)
    result = workflows.grid_search(write_config(grid=GRID), (), options, observer)
    text = result.directory.experiment_file.read_text()
    [session] = json.loads(text, parse_constant=pytest.fail)["sessions"]
    forecast = session["forecast"]
    assert session["elapsed_s"] > 0
    assert forecast["elapsed_s"] == forecast["training_s"] + forecast["writing_s"] > 0
    assert session["peak_memory_bytes"] > 20 * 10**6 < forecast["peak_memory_bytes"]
    assert [note.split(" ")[0] for note in notes] == ["predicted", "it"]


def test_a_run_without_a_measurement_logs_the_outcome(write_config, tmp_path):
    result = workflows.grid_search(write_config(), (), SearchOptions(tmp_path / "runs"))
    [session] = result.directory.experiment().sessions
    assert session.forecast is None
    assert session.elapsed_s > 0 < session.peak_memory_bytes


def test_a_finished_run_is_not_measured(write_config, tmp_path, monkeypatch):
    options = SearchOptions(tmp_path / "runs", measure=True)
    first = workflows.grid_search(write_config(), (), SearchOptions(tmp_path / "runs"))
    monkeypatch.setattr("sgdlab.search.session.forecast", pytest.fail)
    again = workflows.grid_search(write_config(), (), options)
    assert again.directory.path == first.directory.path


def test_the_dry_run_shows_it(sgdlab, write_config):
    path = write_config(grid=GRID)
    code, table, _ = sgdlab("grid-search", path, "--dry-run", "--measure")
    assert code == 0
    assert "predicted time" in table
    assert "predicted peak memory" in table
    _, text, _ = sgdlab("grid-search", path, "--dry-run", "--measure", "--format", "json")
    assert json.loads(text, parse_constant=pytest.fail)["forecast"]["elapsed_s"] > 0
    _, rows, _ = sgdlab("grid-search", path, "--dry-run", "--measure", "--format", "csv")
    assert "forecast_elapsed_s" in rows.splitlines()[0]
    _, table, _ = sgdlab("grid-search", path, "--dry-run")
    assert "predicted" not in table


def test_train_measures_too(sgdlab, write_config):
    code, _, notes = sgdlab("train", write_config(), "--measure")
    assert code == 0
    assert "sgdlab: predicted " in notes


def test_folds_and_the_training_on_all_rows_are_forecast(write_config, tmp_path, monkeypatch):
    measured = []
    monkeypatch.setattr(
        module, "measure_pace", lambda *given: measured.append(given[0]) or measure_pace(*given)
    )
    path = write_config(data={"validation": {"folds": 4}}, train={"epochs": 7})
    found = forecast_of(path)
    assert found.elapsed_s > 0
    assert [[block.fold for block in work.plan.blocks] for work in measured] == [
        [0, 1, 2, 3],
        [None],
    ]
    assert measured[1].plan.epochs == 7
    result = workflows.grid_search(path, (), SearchOptions(tmp_path / "runs", measure=True))
    assert result.directory.experiment().sessions[0].forecast.elapsed_s > 0


@pytest.mark.parametrize("in_files", [False, True])
def test_a_sample_lies_as_the_file_does(write_config, data_dir, in_files):
    X = np.load(data_dir / "Xtr.npy")
    np.save(data_dir / "Xtr.npy", np.asfortranarray(X))
    data = load_config(write_config()).data
    with open_source(data) as (source, _), sample_dataset(source, 30, in_files) as sample:
        assert sample.shape.is_fortran
