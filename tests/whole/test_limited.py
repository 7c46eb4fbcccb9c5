"""Commands on little memory, and in the middle of algebra that takes long."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits, and sends signals")


def write_data(folder, n_rows, n_features):
    (folder / "big").mkdir()
    random = np.random.default_rng(0)
    for part, n in (("tr", n_rows), ("te", 20)):
        X = random.integers(0, 255, (n, n_features), np.uint8)
        np.save(folder / f"big/X{part}.npy", X)
        np.save(folder / f"big/y{part}.npy", random.standard_normal(n))
    (folder / "big.yaml").write_text(
        "data: {path: big, divide_by: 255}\n"
        "train: {batch_size: 50, learning_rate: 1e-6, epochs: 1}\n"
    )


def begun(command, folder):
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("shape", [(5200, 5000), (4000, 5200)])
@pytest.mark.parametrize("n_signals", [1, 2])
def test_a_signal_ends_solving_at_once(shape, n_signals, tmp_path):
    write_data(tmp_path, *shape)
    child = begun([sys.executable, "-m", "sgdlab", "solve", "-q", "big.yaml"], tmp_path)
    time.sleep(3)  # long before the end, and after the rows are read
    assert child.poll() is None
    sent = time.monotonic()
    for _ in range(n_signals):
        child.send_signal(signal.SIGINT)
        time.sleep(0.01)
    _, err = child.communicate(timeout=120)
    assert time.monotonic() - sent < 2
    assert child.returncode == -signal.SIGINT
    assert err in ("sgdlab: interrupted\n", "")


@pytest.mark.parametrize("command", ["train", "gradient-noise", "scaling-rule"])
def test_any_address_space_gives_a_result_or_a_line(command, tmp_path):
    """Also where it is the BLAS that has no room, or no thread can be started."""
    write_data(tmp_path, 6000, 2000)
    found = []
    for megabytes in range(320, 440, 20):
        shell = f"ulimit -v {megabytes * 1000}; exec {sys.executable} -m sgdlab {command} -q"
        child = begun(["bash", "-c", f"{shell} big.yaml -S run.threads=2"], tmp_path)
        try:
            _, err = child.communicate(timeout=15)
        except subprocess.TimeoutExpired:  # there is room
            child.kill()
            child.communicate()
            break
        found.append((child.returncode, err))
    for code, err in found:
        assert code in (0, 4), err
        assert code == 0 or (len(err.splitlines()) == 1 and " memory: " in err)


@pytest.mark.parametrize(
    ("command", "hint"),
    [
        ("solve", "take fewer columns"),
        ("orders --rows 4000", "lower --rows"),
        ("gradient-noise --trials 9000 --at-epoch 0", "lower --trials"),
    ],
)
def test_what_the_process_holds_is_not_there_any_more(command, hint, tmp_path):
    """Refused before it is begun, though all of the limit together were enough."""
    write_data(tmp_path, 6000, 2500)
    needed = _needed(command, tmp_path)
    shell = f"ulimit -v {int(needed / 1000)}; exec {sys.executable} -m sgdlab {command} -q"
    child = begun(["bash", "-c", f"{shell} big.yaml -S run.threads=1"], tmp_path)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 4, err
    assert len(err.splitlines()) == 1
    assert " takes about " in err
    assert err.endswith(f" GB of free memory ({hint})\n")


def _needed(command, folder):
    """Bytes that a command says it needs, where it has far too few."""
    program = (
        "import sys; from sgdlab.cli.app import main; from sgdlab.system import machine\n"
        "machine.free_memory_bytes = lambda: 50_000_000\n"
        f"sys.argv = ['sgdlab', *'{command} -q big.yaml'.split()]; main()"
    )
    child = begun([sys.executable, "-c", program], folder)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 4, err
    return float(err.partition(" takes about ")[2].split()[0]) * 1e9
