"""Experiments that are killed go on from their finished parts, and end with the same bytes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest

from sgdlab.lab.sampling.measure import simulate
from sgdlab.lab.sampling.theory import Sampling
from sgdlab.lab.xor import network
from sgdlab.observer import Observer
from sgdlab.runs import parts as parts_module
from sgdlab.runs.parts import KeptParts

COMMANDS = {
    "scaling-rule": "scaling-rule small.yaml --replicates 5 --factors 1,2 --epochs 2",
    "orders": "orders small.yaml --replicates 2 --rows 32 --learning-rates 0.05,0.1",
    "gradient-noise": "gradient-noise small.yaml --trials 20",
    "simulate-sampling": "simulate-sampling --sweep 20,100,300 --trials 3000",
    "batches": "simulate-sampling --sweep 20,100 --trials 6000 --batch-size 5",
    "xor-solve": "xor-solve --restarts 20 --steps 8",
}
# Another parameter, and another place among the data.
OTHERS = {
    "scaling-rule": ("--epochs 3", "-S train.seed=1"),
    "orders": ("--l2 1.5", "-S data.validation.fraction=0.3"),
    "gradient-noise": ("--seed 1", "-S train.precision=float32"),
    "simulate-sampling": ("--seed 1",),
    "batches": ("--epochs 2",),
    "xor-solve": ("--learning-rate 0.2",),
}
EVERY_COMMAND = pytest.mark.parametrize("name", COMMANDS)


class Killed(BaseException):
    """The process is no more."""


@pytest.fixture(autouse=True)
def small(monkeypatch, write_config):
    """Small data; every part is written as soon as it is finished, and parts are small."""
    write_config()
    monkeypatch.setattr(parts_module, "FIRST_S", 0.0)
    monkeypatch.setattr(parts_module, "LARGEST_SHARE", np.inf)
    monkeypatch.setattr("sgdlab.lab.sampling.measure.MOST_PARTS", 10**9)
    monkeypatch.setattr("sgdlab.lab.sampling.measure.DRAWS_AT_ONCE", 2**17)
    monkeypatch.setattr("sgdlab.lab.xor.network.UNITS_AT_ONCE", 14)


@pytest.fixture
def kept(monkeypatch):
    """The names of parts that were computed; a number there is at which the process is killed."""

    class Computed(list):
        killed_at = None

    computed, keep = Computed(), KeptParts.keep

    def counted(parts, name, arrays, amount=1):
        keep(parts, name, arrays, amount)
        computed.append((name, amount))
        if len(computed) == computed.killed_at:
            raise Killed

    monkeypatch.setattr(KeptParts, "keep", counted)
    return computed


def end_at_once(parts, *_):
    """What SIGKILL does, but for the lock, which is of a process."""
    parts._open.close()


@pytest.fixture
def killed(sgdlab, kept, capsys):
    """Kills a command after so many parts, and forgets what it had not written."""

    def kill(at, command):
        kept.clear()
        kept.killed_at = at
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(KeptParts, "_end", end_at_once)
            with pytest.raises(Killed):
                sgdlab(*command.split())
        kept.clear()
        kept.killed_at = None
        capsys.readouterr()

    return kill


@EVERY_COMMAND
def test_a_killed_experiment_goes_on_and_ends_with_the_same_bytes(
    sgdlab, kept, killed, name, tmp_path
):
    command = COMMANDS[name]
    expected = {form: sgdlab(*command.split(), "--format", form) for form in ("table", "json")}
    assert not (tmp_path / "runs").exists()
    n_parts = len(kept) // 2
    assert n_parts >= 6
    assert kept[:n_parts] == kept[n_parts:]
    for at, form in ((1, "json"), (n_parts // 2, "table"), (n_parts - 1, "json")):
        killed(at, command)
        code, out, err = sgdlab(*command.split(), "--format", form)
        assert (code, out) == expected[form][:2]
        assert len(kept) == n_parts - at
        assert ": going on with " in err
        assert not (tmp_path / "runs" / "lab").exists()


@EVERY_COMMAND
def test_an_experiment_that_is_killed_again_and_again_ends(sgdlab, kept, killed, name):
    command = COMMANDS[name]
    expected = sgdlab(*command.split(), "--quiet")
    n_parts = len(kept)
    step = max(2, n_parts // 4)
    for _ in range((n_parts - 1) // step):
        killed(step, command)
    assert sgdlab(*command.split(), "--quiet") == expected
    assert len(kept) == (n_parts - 1) % step + 1


@EVERY_COMMAND
def test_parts_that_are_never_read_are_computed_again(sgdlab, kept, killed, name, monkeypatch):
    """Without finding them, the number of parts that are computed is that of all."""
    command = COMMANDS[name]
    expected = sgdlab(*command.split(), "--quiet")
    n_parts = len(kept)
    killed(n_parts // 2, command)
    monkeypatch.setattr(KeptParts, "find", lambda *_: None)
    assert sgdlab(*command.split(), "--quiet") == expected
    assert len(kept) == n_parts


@EVERY_COMMAND
def test_it_is_the_parts_that_the_result_is_made_of(sgdlab, kept, killed, name, monkeypatch):
    """Parts that are others make another result."""
    command = f"{COMMANDS[name]} --format json"
    code, expected, _ = sgdlab(*command.split())
    n_parts, find = len(kept), KeptParts.find

    def altered(parts, name, read):
        def read_altered(arrays):
            found = read(arrays)
            for array in vars(found[1]).values() if isinstance(found, tuple) else [found]:
                if isinstance(array, np.ndarray):
                    array *= 2
                else:
                    for outcome in array:
                        outcome.validation_history[:] *= 1.5
                        outcome.weights[:] *= 1.5
            return found

        return find(parts, name, read_altered)

    killed(n_parts - 2, command)
    monkeypatch.setattr(KeptParts, "find", altered)
    assert (code, expected) != sgdlab(*command.split())[:2]


@EVERY_COMMAND
def test_other_parameters_and_data_find_nothing(sgdlab, kept, killed, name, data_dir):
    command = COMMANDS[name]
    sgdlab(*command.split())
    n_parts = len(kept)
    killed(n_parts // 2, command)
    for other in OTHERS[name]:
        kept.clear()
        _, _, err = sgdlab(*command.split(), *other.split())
        assert "going on" not in err
    if "small.yaml" in command:
        X = np.load(data_dir / "Xtr.npy")
        np.save(data_dir / "Xtr.npy", X + np.eye(*X.shape) * 1e-9)
        kept.clear()
        sgdlab(*command.split())
        assert len(kept) == n_parts
        np.save(data_dir / "Xtr.npy", X)
    kept.clear()
    sgdlab(*command.split())
    assert len(kept) == n_parts - n_parts // 2


@EVERY_COMMAND
def test_experiments_need_no_place_to_write(sgdlab, name, tmp_path):
    command = COMMANDS[name]
    expected = sgdlab(*command.split(), "--quiet")
    (tmp_path / "runs").write_text("no folder")
    code, out, err = sgdlab(*command.split())
    assert (code, out) == expected[:2]
    assert "no finished parts are kept: " in err


def test_a_folder_for_parts_can_be_named(sgdlab, killed, monkeypatch, tmp_path):
    command = f"{COMMANDS['xor-solve']} --runs-dir elsewhere"
    killed(5, command)
    assert [entry.name for entry in tmp_path.glob("elsewhere/lab/xor-solve-*/parts-*")]
    assert not (tmp_path / "runs").exists()
    monkeypatch.setenv("SGDLAB_RUNS", "elsewhere")
    assert "going on with" in sgdlab(*COMMANDS["xor-solve"].split())[2]


def test_a_result_that_could_not_be_printed_is_kept(sgdlab, kept, monkeypatch, tmp_path):
    command = COMMANDS["orders"].split()
    expected = sgdlab(*command)
    n_parts = len(kept)
    with monkeypatch.context() as patched:

        def refuse(_):
            raise BrokenPipeError

        patched.setattr("sgdlab.cli.output.write", refuse)
        patched.setattr("sgdlab.cli.app._closed_pipe", lambda: 141)
        assert sgdlab(*command)[0] == 141
    kept.clear()
    assert sgdlab(*command)[:2] == expected[:2]
    assert len(kept) == 0 < n_parts


LONG = {
    "xor-solve": ["--steps", "100000000", "--restarts", "40"],
    "simulate-sampling": ["--n", "1000000", "--trials", "100000"],
    "orders": ["small.yaml", "--replicates", "1000"],
    "scaling-rule": ["small.yaml", "--replicates", "500", "--epochs", "50"],
}


def started(name, folder):
    """A long experiment in a process of its own that has kept some of its parts."""
    command = [sys.executable, "-m", "sgdlab", name, *LONG[name]]
    environment = {**os.environ, "PYTHONPATH": str(Path(parts_module.__file__).parents[2])}
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 60
    while not list(folder.glob("runs/lab/*/parts-*")):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    return process


@pytest.mark.parametrize(
    ("name", "number"), [*((name, signal.SIGINT) for name in LONG), ("xor-solve", signal.SIGTERM)]
)
def test_a_signal_says_what_is_kept(tmp_path, name, number):
    process = started(name, tmp_path)
    sent = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert time.monotonic() - sent < 2
    assert process.returncode == -number
    assert out == b""
    last = err.decode().splitlines()[-1]
    unit = "steps" if name == "xor-solve" else "parts"
    assert last.startswith("sgdlab: interrupted; type the command again to go on (")
    assert last.endswith(f" {unit} kept)")
    n_kept, n_all = (int(word) for word in last.split("(")[1].split()[:3:2])
    assert 0 < n_kept < n_all
    assert list(tmp_path.glob("runs/lab/*/parts-*"))


SIGKILLED = """
import os, signal, sys
from sgdlab.cli import app
from sgdlab.runs import parts
from sgdlab.lab.sampling import measure
from sgdlab.lab.xor import network

measure.MOST_PARTS, network.UNITS_AT_ONCE = 10**9, 14
parts.FIRST_S, parts.LARGEST_SHARE = 0.0, float("inf")
keep, n_left = parts.KeptParts.keep, int(sys.argv.pop(1))

def kill(*arguments):
    global n_left
    keep(*arguments)
    n_left -= 1
    if n_left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

parts.KeptParts.keep = kill
sys.exit(app._run())
"""


@EVERY_COMMAND
def test_sigkill_loses_no_finished_part(sgdlab, kept, name, tmp_path):
    command = COMMANDS[name].split()
    expected = sgdlab(*command, "--format", "json")
    n_parts = len(kept)
    kept.clear()
    environment = {**os.environ, "PYTHONPATH": str(Path(parts_module.__file__).parents[2])}
    process = subprocess.run(
        [sys.executable, "-c", SIGKILLED, str(n_parts // 3), *command],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
    )
    assert process.returncode == -signal.SIGKILL, process.stderr
    assert sgdlab(*command, "--format", "json")[:2] == expected[:2]
    assert len(kept) == n_parts - n_parts // 3
    assert not (tmp_path / "runs" / "lab").exists()


def test_threads_share_the_work_however_small_its_parts(monkeypatch):
    """Two chunks that wait for each other, which are parts of their own."""
    met, notes = Barrier(2), []

    def count(sampling, n_trials, rng):
        met.wait(30)
        return np.zeros(n_trials, np.int64)

    monkeypatch.setattr("sgdlab.lab.sampling.measure._never_drawn", count)
    with KeptParts(Path("runs"), "sampling", lambda: 0, Observer()) as parts:
        monkeypatch.setattr(parts, "keep", lambda name, *_: notes.append(name))
        simulate(Sampling(1000), 131 * 6, seed=0, n_threads=2, parts=parts)
    assert len(notes) == 6


@pytest.mark.parametrize("n_hidden", [1, 8, 33])
@pytest.mark.parametrize("n_restarts", [2, 3, 7, 20])
def test_restarts_do_not_depend_on_which_are_trained_side_by_side(
    monkeypatch, n_hidden, n_restarts
):
    found, levels = [], network._levels
    monkeypatch.setattr(network, "_levels", lambda *of: found.append(of[0]) or levels(*of))
    for units in (1, 2 * n_hidden, 5 * n_hidden, 10**6):
        monkeypatch.setattr(network, "UNITS_AT_ONCE", units)
        network.train_restarts(n_hidden, n_restarts, 5, 0.05, seed=3)
    assert len({errors.tobytes() for errors in found}) == 1
    assert len(found[0]) == n_restarts
