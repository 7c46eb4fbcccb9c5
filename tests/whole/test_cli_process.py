"""The program as a process: its streams, closed pipes, signals, terminals."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.cli.test_app import GRID


@pytest.fixture
def config(write_config):
    return write_config("grid", grid=GRID)


def process(*arguments, **options):
    """A command in a process of its own, where signals and pipes matter."""
    command = [sys.executable, "-m", "sgdlab", *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


@pytest.mark.parametrize(
    "override",
    [
        "train.initial_bias=1e308",
        "train.initial_bias=1e200",
        "train.initial_weights=normal",
        "data.divide_by=1e-150",
    ],
)
@pytest.mark.parametrize("weights", ["zeros", "normal"])
def test_numbers_that_overflow_are_a_divergence_and_no_warning(config, override, weights, tmp_path):
    overrides = (f"train.initial_weights={weights}", "train.initial_scale=1e200", override)
    arguments = [text for each in overrides for text in ("-S", each)]
    child = process("grid-search", config, *arguments, cwd=tmp_path)
    _, err = child.communicate(timeout=60)
    (line,) = err.splitlines()
    assert child.returncode == 5
    assert "all 8 cells diverged" in line
    content = next(tmp_path.glob("runs/*/results.csv")).read_text()
    assert {row["status"] for row in csv.DictReader(content.splitlines())} == {"diverged"}


def test_a_test_loss_that_overflows_is_no_warning(config, data_dir, arrays, tmp_path):
    np.save(data_dir / "Xte.npy", arrays["Xte"] * 1e200)
    for command in (("grid-search", config), ("grid-search", config, "-q"), ("evaluate", "latest")):
        child = process(*command, cwd=tmp_path)
        out, err = child.communicate(timeout=60)
        assert (child.returncode, err) == (0, "")
        assert out


def test_output_is_plain_where_there_is_no_terminal_or_no_color(config, tmp_path):
    for variables in ({}, {"NO_COLOR": "1"}, {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0"}):
        child = process(
            "grid-search", config, cwd=tmp_path, env={**os.environ, **variables}, encoding="utf-8"
        )
        out, err = child.communicate(timeout=60)
        assert child.returncode == 0
        assert "\x1b" not in out + err
        assert "constant" in out


KEPT_SO_FAR = r"sgdlab: interrupted; type the command again to go on \(0 of 1 cell kept; "


def slow_config(write_config):
    """Thousands of epochs: long enough to be interrupted."""
    return write_config("slow", train={"epochs": 1_000_000, "learning_rate": 1e-9, "batch_size": 1})


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_process_by_itself_and_the_log_says_so(number, write_config, tmp_path):
    child = process("train", slow_config(write_config), cwd=tmp_path)
    deadline = time.monotonic() + 30
    while not list(tmp_path.glob("runs/*/experiment.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    sent = time.monotonic()
    child.send_signal(number)
    _, err = child.communicate(timeout=30)
    assert time.monotonic() - sent < 2
    assert child.returncode == -number
    last = err.splitlines()[-1]
    found = re.fullmatch(f"{KEPT_SO_FAR}epoch ([0-9]+) of 1000000 kept\\)", last)
    assert found is not None, last
    assert "Traceback" not in err
    with np.load(next(tmp_path.glob("runs/*/state/checkpoint.npz"))) as file:
        assert file["place"].tolist() == [int(found[1]), 0]
    experiment = json.loads(next(tmp_path.glob("runs/*/experiment.json")).read_bytes())
    assert experiment["status"] == "interrupted"


def test_two_signals_at_once_leave_no_traceback(write_config, tmp_path):
    config = slow_config(write_config)
    for number in range(8):
        child = process("train", config, "--runs-dir", str(number), cwd=tmp_path)
        deadline = time.monotonic() + 30
        while not list(tmp_path.glob(f"{number}/*/state")) and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(child.pid, signal.SIGSTOP)  # so that it gets both at the same moment
        for one in (signal.SIGINT, signal.SIGTERM):
            child.send_signal(one)
        os.kill(child.pid, signal.SIGCONT)
        _, err = child.communicate(timeout=30)
        assert child.returncode in (-signal.SIGINT, -signal.SIGTERM)
        assert "Traceback" not in err
        assert "ignored" not in err


@pytest.mark.parametrize("limit", [700_000_000, 1_200_000_000])
def test_memory_that_runs_out_is_one_line(limit, tmp_path):
    """Of address space, which is what the shell's ``ulimit -v`` limits."""
    (tmp_path / "big").mkdir()
    for part, n in (("tr", 30_000), ("te", 100)):
        np.save(tmp_path / f"big/X{part}.npy", np.ones((n, 5_000), np.uint8))
        np.save(tmp_path / f"big/y{part}.npy", np.arange(n))
    (tmp_path / "big.yaml").write_text(
        "data: {path: big}\ntrain: {batch_size: 10, learning_rate: 1e-9, epochs: 1}\n"
        "run: {memory_budget: 8GB, threads: 1}\n"
    )
    limited = f"ulimit -v {limit // 1024}; OPENBLAS_NUM_THREADS=1 sgdlab"
    code, _, err = shell(f"{limited} train big.yaml", cwd=tmp_path)
    assert code == 4, err
    assert len(err.splitlines()) == 1
    assert re.match(r"sgdlab: error: memory: .*lower run\.memory_budget", err)


def test_a_closed_pipe_ends_with_141(config, tmp_path):
    for arguments in (("grid-search", config), ("schema",), ("--help",)):
        child = process(*arguments, cwd=tmp_path)
        child.stdout.close()
        err = child.stderr.read()
        assert child.wait(timeout=60) == 141
        assert err == ""
        child.stderr.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def shell(command, **options):
    """A shell command in which ``sgdlab`` is this program: (exit code, stdout, stderr)."""
    command = command.replace("sgdlab", f"{sys.executable} -m sgdlab")
    done = subprocess.run(
        command, shell=True, capture_output=True, text=True, executable="/bin/bash", **options
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("command", ["--version", "--help", "schema", ""])
@pytest.mark.parametrize(
    ("redirection", "reason"), [(">&-", "closed"), (">/dev/full", "no space left on device")]
)
def test_a_stdout_that_takes_nothing_ends_with_4(command, redirection, reason):
    code, _, err = shell(f"sgdlab {command} {redirection}")
    assert (code, err) == (4, f"sgdlab: error: stdout: {reason}; expected a writable stream\n")


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full"])
def test_a_stderr_that_takes_nothing_stops_no_work(redirection, config, tmp_path):
    code, out, _ = shell(f"sgdlab grid-search {config} --format csv {redirection}", cwd=tmp_path)
    assert (code, len(out.splitlines())) == (0, 9)
    assert shell(f"sgdlab grid-search none.yaml {redirection}")[0] == 2


def test_ctrl_c_before_the_program_has_begun_leaves_no_traceback():
    start = "import os, signal, sgdlab.__main__ as entry; sys_import = __import__\n"
    kill = (
        "def interrupted(name, *rest):\n"
        "    if name == 'sgdlab.cli.app': os.kill(os.getpid(), signal.SIGINT)\n"
        "    return sys_import(name, *rest)\n"
        "__builtins__.__import__ = interrupted\nentry.start()"
    )
    done = subprocess.run([sys.executable, "-c", start + kill], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")


def test_json_is_utf_8_whatever_the_terminal_speaks(config, tmp_path):
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    command = f"sgdlab grid-search {config} --runs-dir rüns -q --format"
    done = subprocess.run(
        f"{sys.executable} -m {command} json", shell=True, cwd=tmp_path, env=environment,
        stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["run"].startswith("rüns/")


def test_a_table_is_not_cut_where_there_is_no_terminal(write_config, tmp_path):
    config = write_config("wide", grid=GRID | {"loss": ["squared", "huber"], "epochs": [1, 2]})
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    command = f"sgdlab grid-search {config} --runs-dir {'long' * 30}"
    code, out, _ = shell(command, cwd=tmp_path, env=environment)
    lines = out.splitlines()
    assert code == 0
    assert max(map(len, lines)) > 100
    assert not any("…" in line for line in lines)
    assert not any(line != line.rstrip() for line in lines)
    assert lines[-1].startswith(f"run: {'long' * 30}/wide-")


def test_a_full_stdout_ends_with_4(config, tmp_path):
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "sgdlab", "grid-search", str(config)]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, cwd=tmp_path, text=True)
    assert done.returncode == 4
    assert done.stderr.splitlines()[-1].startswith("sgdlab: error: stdout: ")
