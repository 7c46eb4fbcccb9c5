"""A training that is put down anywhere and taken up again ends with the same bytes."""

import itertools
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sgdlab import workflows
from sgdlab.engine.checkpoints import Checkpoint, Seen
from sgdlab.engine.running_block import RunningBlock
from sgdlab.observer import Observer
from sgdlab.runs.checkpoints import CheckpointFile
from sgdlab.runs.directory import RunDirectory
from sgdlab.search import keeping
from sgdlab.search.keeping import StateKeeper
from tests.search.test_session import Recorder, contents

pytestmark = pytest.mark.usefixtures("eager")

RATES = {"learning_rate": [0.01, 0.03]}
STREAMED = {"memory_budget": 1}
FOLDS = {"validation": {"folds": 3}, "preprocess": "standardize"}
CASES = {
    "direct": {"train": {"batch_size": 26}, "grid": RATES},
    "windows": {"train": {"batch_size": 2}, "grid": RATES | {"epochs": [2, 5]}},
    "momentum": {"train": {"optimizer": "momentum"}, "grid": {"epochs": [3, 4], "l2": [0.0, 0.5]}},
    "adam": {"train": {"optimizer": "adam", "initial_weights": "normal"}, "grid": RATES},
    "cosine": {"train": {"schedule": "cosine", "loss": "huber"}, "grid": {"epochs": [2, 5]}},
    "float32": {"train": {"precision": "float32", "order": "shuffle_each_epoch"}, "grid": RATES},
    "replicates": {"train": {"replicates": 2, "order": "with_replacement"}, "grid": RATES},
    "folds": {"data": FOLDS, "train": {"replicates": 2}, "grid": RATES | {"epochs": [2, 4]}},
    "folds, streamed": {"data": FOLDS, "run": STREAMED, "grid": {"order": ["with_replacement"]}},
    "streamed": {"run": STREAMED, "grid": RATES, "data": {"preprocess": "center"}},
    "blocks": {"run": STREAMED, "train": {"order": "shuffle_blocks", "block_rows": 5}},
    "divergence": {"train": {"batch_size": 52}, "grid": {"learning_rate": [0.01, 1.5, 1e9]}},
    "validation waits": {"train": {"epochs": 11}, "grid": {"learning_rate": [0.01, 1.5]}},
    "many stops": {"train": {"batch_size": 8}, "grid": {"epochs": [1, 2, 3, 5, 8]}},
    "two passes": {"grid": RATES | {"order": ["in_order", "shuffle_once"]}},
}
ALL = {"keep_weights": "all", "test_losses": "all"}


@pytest.fixture
def trained(monkeypatch):
    """Counts the rows that are handed to blocks, and breaks off before some of them."""
    return Trained(monkeypatch)


class Trained:
    def __init__(self, monkeypatch):
        self.n_rows, self.n_chunks, self.last_chunk = 0, 0, math.inf
        original = RunningBlock.train

        def train(block, rows, targets):
            if self.n_chunks >= self.last_chunk:
                raise KeyboardInterrupt
            self.n_chunks += 1
            self.n_rows += len(rows)
            original(block, rows, targets)

        monkeypatch.setattr(RunningBlock, "train", train)

    def breaking_off_after(self, n_chunks):
        self.n_chunks, self.last_chunk = 0, n_chunks

    def taken(self):
        """How many rows since this was asked last."""
        n_rows, self.n_rows = self.n_rows, 0
        self.breaking_off_after(math.inf)
        return n_rows


def search(path, runs, observer=None, **options):
    overrides = ["run.checkpoint_every_s=1e-9", "run.trajectories_per_block=3"]
    options = workflows.SearchOptions(runs_dir=runs, **options)
    return workflows.grid_search(path, overrides, options, observer)


def case(write_config, name):
    return write_config("case", **CASES[name])


def run_of(runs) -> RunDirectory:
    (path,) = Path(runs).iterdir()
    return RunDirectory(path)


@pytest.mark.parametrize("name", CASES)
def test_a_training_that_is_interrupted_at_random_loses_nothing(
    name, write_config, tmp_path, trained
):
    path = case(write_config, name)
    options = ALL if name in ("many stops", "folds") else {}
    whole = search(path, tmp_path / "whole", **options)
    n_rows, rng, n_sessions = trained.taken(), np.random.default_rng(len(name)), 0
    for n_sessions in itertools.count():  # noqa: B007 - how many it takes is what is asked
        trained.breaking_off_after(rng.integers(1, 8))
        try:
            found = search(path, tmp_path / "parts", **options)
            break
        except KeyboardInterrupt:
            assert run_of(tmp_path / "parts").experiment().status == "interrupted"
    assert contents(found.directory) == contents(whole.directory)
    assert n_sessions >= 2
    plans = found.directory.experiment()
    n_blocks = max(len(one_pass.blocks) for one_pass in (*plans.plan, *plans.final_plan))
    # Of a chunk that is broken off, other blocks have been trained on it, which they are again.
    assert n_rows <= trained.taken() <= n_rows + 20 * n_blocks * n_sessions


def test_every_chunk_is_a_place_to_go_on_from(write_config, tmp_path, trained):
    path = case(write_config, "windows")
    whole = contents(search(path, tmp_path / "whole").directory)
    n_chunks, n_rows = trained.n_chunks, trained.taken()
    for n in range(1, n_chunks):
        trained.breaking_off_after(n)
        with pytest.raises(KeyboardInterrupt):
            search(path, tmp_path / str(n))
        trained.breaking_off_after(math.inf)
        assert contents(search(path, tmp_path / str(n)).directory) == whole
        assert trained.taken() == n_rows


def test_without_what_is_kept_the_rows_are_trained_again(
    write_config, tmp_path, trained, monkeypatch
):
    """The control of the counts above."""
    path = case(write_config, "windows")
    whole = search(path, tmp_path / "whole")
    n_rows = trained.taken()
    monkeypatch.setattr(CheckpointFile, "read", lambda *given: None)
    trained.breaking_off_after(9)
    with pytest.raises(KeyboardInterrupt):
        search(path, tmp_path / "parts")
    trained.breaking_off_after(math.inf)
    assert contents(search(path, tmp_path / "parts").directory) == contents(whole.directory)
    assert trained.taken() == n_rows + 9 * 20 - 16  # the last chunk of an epoch has 4 rows


def interrupted(path, runs, trained, n_chunks, **options):
    trained.breaking_off_after(n_chunks)
    with pytest.raises(KeyboardInterrupt) as caught:
        search(path, runs, **options)
    trained.breaking_off_after(math.inf)
    return caught.value


def test_progress_goes_on(write_config, tmp_path, trained):
    """The epoch that is broken off is the fourth, of whose six chunks there are two."""
    path = write_config("long", train={"epochs": 9}, grid={"learning_rate": [0.03, 1.5]})
    whole, parts, rest = Recorder(), Recorder(), Recorder()
    search(path, tmp_path / "whole", whole)
    trained.breaking_off_after(3 * 6 + 2)
    with pytest.raises(KeyboardInterrupt):
        search(path, tmp_path / "parts", parts)
    trained.breaking_off_after(math.inf)
    search(path, tmp_path / "parts", rest)
    assert [progress.epoch for progress in rest.progress] == [4, 5, 6, 7, 8, 9]
    assert parts.progress + rest.progress == whole.progress
    assert {progress.n_alive for progress in rest.progress} == {1}
    assert rest.notes[-1].endswith(": going on after epoch 3 of 9")


@pytest.mark.parametrize(
    ("n_chunks", "kept"),
    [
        (1, "epoch 0 of 5 kept, and 20 of 104 rows of the next"),
        (6, "epoch 1 of 5 kept"),
        (27, "epoch 4 of 5 kept, and 60 of 104 rows of the next"),
    ],
)
def test_an_interruption_says_which_epoch_is_kept(n_chunks, kept, write_config, tmp_path, trained):
    path = write_config("long", train={"epochs": 5})
    caught = interrupted(path, tmp_path / "runs", trained, n_chunks)
    assert caught.__notes__ == [f"0 of 1 cell kept; {kept}"]
    caught = interrupted(path, tmp_path / "runs", trained, 0)  # before anything more is trained
    assert caught.__notes__ == [f"0 of 1 cell kept; {kept}"]


def test_what_is_kept_of_a_pass_is_not_said_of_the_next(write_config, tmp_path, trained):
    path = write_config("two", grid={"order": ["in_order", "shuffle_once"]})
    caught = interrupted(path, tmp_path / "runs", trained, 3 * 6)
    left = "what is left starts at its first epoch"
    assert caught.__notes__ == [f"1 of 2 cells kept; {left}"]


def test_a_training_of_less_than_a_second_keeps_nothing(write_config, tmp_path, monkeypatch):
    monkeypatch.undo()
    written = []
    monkeypatch.setattr(CheckpointFile, "write", lambda *given: written.append(given))
    path = case(write_config, "folds")
    found = workflows.grid_search(path, options=workflows.SearchOptions(runs_dir=tmp_path / "runs"))
    assert found.best.status == "completed"
    assert written == []


# When a state is kept


class Clock:
    """Time that passes only while something is done."""

    def __init__(self, monkeypatch, write_s):
        self.now, self.writes, self.write_s = 1000.0, [], write_s
        monkeypatch.setattr(keeping.time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(keeping, "FIRST_S", 1.0)
        monkeypatch.setattr(keeping, "MOST_SHARE", 0.03)

    def write(self, plan_pass, checkpoint):
        self.writes.append(self.now - 1000.0)
        self.now += self.write_s


@pytest.fixture
def kept_by(monkeypatch, tmp_path):
    """When states are kept in so many seconds, of which writing one takes some."""

    def kept(write_s, n_s, every_s=5.0, n_bytes=1000):
        clock = Clock(monkeypatch, write_s)
        file = SimpleNamespace(write=clock.write)
        run = SimpleNamespace(checkpoint=file, directory=RunDirectory(tmp_path))
        dataset = SimpleNamespace(check_unchanged=lambda: None, shape=SimpleNamespace(n_train=9))
        keeper = StateKeeper(run, dataset, every_s, Observer())
        state = {0: {"V": np.zeros(n_bytes // 8)}}
        while clock.now < 1000.0 + n_s:
            clock.now += 0.01
            if keeper.is_due():
                keeper.keep(SimpleNamespace(epochs=9), Checkpoint(1, 0, state, Seen()))
        return clock.writes

    return kept


def test_states_are_kept_at_twice_the_age_and_then_every_five_seconds(kept_by):
    assert kept_by(0.001, 0.9) == []
    assert kept_by(0.001, 19) == pytest.approx([1, 2, 4, 8, 13, 18], abs=0.2)
    assert kept_by(0.001, 4, every_s=0.5) == pytest.approx(np.arange(0.5, 4, 0.5), abs=0.1)


@pytest.mark.parametrize("write_s", [0.05, 0.2, 1.0, 7.0])
def test_keeping_states_takes_at_most_its_share_of_the_time(write_s, kept_by):
    writes = kept_by(write_s, 3000)
    assert len(writes) > 5
    ends = np.array(writes) + write_s
    spent = write_s * np.arange(1, len(writes) + 1)
    # What the first takes is known when it is over.
    assert (spent[1:] <= 0.03 * ends[1:] + 1e-6).all()
    assert np.diff(writes).max() < max(5.1, 3 * write_s / 0.03)


def test_the_first_of_large_states_waits_until_it_is_worth_its_time(kept_by):
    [first, *_] = kept_by(2.0, 200, n_bytes=8 * 10**7)  # 0.4 s, as is thought
    assert first == pytest.approx(0.4 / 0.03, abs=0.1)
