"""Runs on data larger than the memory budget, as a user sees them."""

import json
import re
import signal
import time

import numpy as np
import pytest

from sgdlab.data.npy import NpyFile
from sgdlab.planning import making
from tests.whole.test_cli_process import KEPT_SO_FAR, process

STREAMED = ("-S", "run.memory_budget=1")
ORDERS = ["in_order", "shuffle_once", "shuffle_each_epoch", "with_replacement", "shuffle_blocks"]
IN_SEQUENCE = ("in_order", "shuffle_blocks")
BLOCKS = {"block_rows": 5, "buffer_blocks": 3}


@pytest.fixture
def small_chunks(monkeypatch):
    """Chunks of 20 rows, of which two are held: room for a buffer of 15 rows and a chunk."""
    monkeypatch.setattr(making, "MAX_CHUNK_ROWS", 20)


@pytest.fixture
def config(write_config):
    train = BLOCKS | {"initial_weights": "normal", "precision": "float32"}
    return write_config("streamed", train=train, grid={"l2": [0.0, 0.1], "epochs": [1, 3]})


def results_of(runs):
    """The bytes of every file of the only run of a folder, but for the log with its times."""
    [run] = runs.iterdir()
    return {
        path.relative_to(run): path.read_bytes()
        for path in run.rglob("*")
        if path.is_file() and path.name != "experiment.json"
    }


@pytest.mark.parametrize("order", ORDERS)
def test_a_streamed_run_has_the_bytes_of_one_in_memory(
    order, config, small_chunks, sgdlab, tmp_path
):
    held, streamed = tmp_path / "held", tmp_path / "streamed"
    arguments = (
        "grid-search",
        config,
        "-S",
        f"train.order={order}",
        "-S",
        "data.preprocess=center",
    )
    assert sgdlab(*arguments, "--runs-dir", held)[0] == 0
    assert sgdlab(*arguments, *STREAMED, "--runs-dir", streamed)[0] == 0
    assert [each.name for each in held.iterdir()] == [each.name for each in streamed.iterdir()]
    assert results_of(held) == results_of(streamed)
    assert len(results_of(held)) > 5


def test_an_epoch_reads_the_bytes_of_its_rows(write_config, small_chunks, sgdlab, monkeypatch):
    read = []
    original = NpyFile._read_into

    def read_into(self, offset, buffer):
        if self.path.name == "Xtr.npy":
            read.append(len(buffer))
        original(self, offset, buffer)

    def bytes_of(epochs):
        read.clear()
        config = write_config(
            "counted", train={"epochs": epochs, "order": "shuffle_blocks"} | BLOCKS
        )
        assert sgdlab("train", config, *STREAMED)[0] == 0
        return sum(read)

    monkeypatch.setattr(NpyFile, "_read_into", read_into)
    row_bytes = 9 * 8
    assert bytes_of(5) - bytes_of(3) == (2 * 104 + 26) * row_bytes  # 4 epochs and 1, not 3


@pytest.mark.parametrize("order", ORDERS)
def test_random_reads_are_announced(order, config, small_chunks, sgdlab):
    arguments = ("grid-search", config, "-S", f"train.order={order}")
    sentence = "every epoch makes about "
    code, out, err = sgdlab(*arguments, *STREAMED, "--dry-run")
    assert (code, err) == (0, "")
    assert (sentence in out) == (order not in IN_SEQUENCE)
    assert sentence not in sgdlab(*arguments, "--dry-run")[1]
    code, _, err = sgdlab(*arguments, *STREAMED)
    assert code == 0
    assert (sentence in err) == (order not in IN_SEQUENCE)
    document = json.loads(sgdlab(*arguments, *STREAMED, "--dry-run", "--format", "json")[1])
    assert (document["n_random_reads"] > 0) == (order not in IN_SEQUENCE)
    assert document["memory_bytes"] > 0


def test_a_buffer_that_finds_no_room_is_announced(config, small_chunks, sgdlab):
    blocks = ("-S", "train.order=shuffle_blocks", "-S", "train.block_rows=30")
    code, out, _ = sgdlab("grid-search", config, *blocks, *STREAMED, "--dry-run")
    assert code == 0
    assert "every epoch makes about 81 separate reads of 0.1 kB" in out  # 104 * (1 - 20 / 90)


@pytest.mark.parametrize("order", ["in_order", "shuffle_each_epoch", "shuffle_blocks"])
def test_a_late_value_that_is_not_finite_ends_with_3(
    order, config, small_chunks, sgdlab, data_dir, arrays
):
    X = arrays["Xtr"].copy()
    X[129, 6] = np.nan  # of the rows to validate, which are read after an epoch
    np.save(data_dir / "Xtr.npy", X)
    code, out, err = sgdlab("grid-search", config, "-q", "-S", f"train.order={order}", *STREAMED)
    assert (code, out) == (3, "")
    place = f"{data_dir}/Xtr.npy: nan at row 129, column 6 (from 0)"
    assert err == f"sgdlab: error: {place}; expected finite numbers\n"


@pytest.fixture
def endless(write_config):
    """Reads the same small files for minutes."""
    train = {"epochs": 1_000_000, "learning_rate": 1e-9, "order": "shuffle_blocks"}
    return write_config("endless", train=train | BLOCKS)


def started(config, tmp_path):
    child = process("train", config, *STREAMED, cwd=tmp_path)
    deadline = time.monotonic() + 30
    while not list(tmp_path.glob("runs/*/experiment.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    return child


def test_ctrl_c_while_rows_are_read_ends_within_two_seconds(endless, tmp_path):
    child = started(endless, tmp_path)
    sent = time.monotonic()
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=30)
    assert time.monotonic() - sent < 2
    assert child.returncode == -signal.SIGINT
    assert re.fullmatch(f"{KEPT_SO_FAR}epoch [0-9]+ of 1000000 kept\\)", err.splitlines()[-1])
    assert "Traceback" not in err


def test_a_file_that_shrinks_while_it_is_read_ends_with_3(endless, data_dir, tmp_path):
    child = started(endless, tmp_path)
    with open(data_dir / "Xtr.npy", "r+b") as stream:
        stream.truncate(1000)
    _, err = child.communicate(timeout=30)
    assert child.returncode == 3
    place = f"{data_dir}/Xtr.npy: changed while in use"
    expected = "expected it to stay (run the command again)"
    assert err.splitlines()[-1] == f"sgdlab: error: {place}; {expected}"
    assert "Traceback" not in err
