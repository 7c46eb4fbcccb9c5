"""Limits of control groups, as the kernel writes them into files, and of the shell."""

import resource
import subprocess
import sys

import pytest

from sgdlab.system import limits, machine


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """Puts a process into groups: its ``/proc/self/cgroup`` and files below ``/sys/fs/cgroup``."""

    def put(proc, files):
        (tmp_path / "proc").write_text(proc)
        for name, text in files.items():
            file = tmp_path / "cgroup" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        monkeypatch.setattr(limits, "PROC", tmp_path / "proc")
        monkeypatch.setattr(limits, "ROOT", tmp_path / "cgroup")

    return put


MEMORY = {
    "version 2": ("0::/a/b\n", {"a/b/memory.max": "500000\n"}, 500000),
    "a group above": (
        "0::/a/b\n",
        {"a/b/memory.max": "max\n", "a/memory.max": "7000\n", "memory.max": "9000\n"},
        7000,
    ),
    "a container sees its own group as the root": ("0::/\n", {"memory.max": "123456\n"}, 123456),
    "version 1": (
        "4:memory:/x\n1:cpu,cpuacct:/\n",
        {"memory/x/memory.limit_in_bytes": "800\n", "memory/memory.limit_in_bytes": f"{2**63}\n"},
        800,
    ),
    "hidden groups of version 1": ("4:memory:/x/y\n", {"memory/memory.limit_in_bytes": "42\n"}, 42),
    "no limit, version 2": ("0::/a\n", {"a/memory.max": "max\n"}, None),
    "no limit, version 1": (
        "4:memory:/\n",
        {"memory/memory.limit_in_bytes": "9223372036854771712\n"},
        None,
    ),
    "nonsense": ("rubbish\n::\n", {"memory.max": "-5\n"}, None),
}


@pytest.mark.parametrize("kind", MEMORY)
def test_memory_limit_of_a_control_group(kind, groups):
    proc, files, expected = MEMORY[kind]
    groups(proc, files)
    assert limits.memory_limit() == expected
    assert machine.memory_bytes() <= (expected or 2**60)


GIB = 2**30
LEFT = {
    "version 2, without cached files": (
        "0::/a\n",
        {
            "a/memory.max": f"{4 * GIB}\n",
            "a/memory.current": f"{3 * GIB}\n",
            "a/memory.stat": f"anon 5\nactive_file {GIB // 2}\ninactive_file {GIB // 2}\n",
        },
        2 * GIB,
    ),
    "the group above has less": (
        "0::/a/b\n",
        {
            "a/b/memory.max": f"{4 * GIB}\n",
            "a/b/memory.current": "0\n",
            "a/memory.max": f"{9 * GIB}\n",
            "a/memory.current": f"{8 * GIB}\n",
        },
        GIB,
    ),
    "version 1": (
        "4:memory:/x\n",
        {
            "memory/x/memory.limit_in_bytes": f"{4 * GIB}\n",
            "memory/x/memory.usage_in_bytes": f"{2 * GIB}\n",
            "memory/x/memory.stat": f"cache 7\ntotal_inactive_file {GIB}\n",
        },
        3 * GIB,
    ),
    "more than it may": (
        "0::/\n",
        {"memory.max": "1000\n", "memory.current": "5000\n"},
        0,
    ),
    "nobody says what is held": ("0::/\n", {"memory.max": "1000\n"}, 1000),
    "no limit": ("0::/a\n", {"a/memory.max": "max\n", "a/memory.current": "77\n"}, None),
}


@pytest.mark.parametrize("kind", LEFT)
def test_memory_that_a_control_group_leaves(kind, groups):
    proc, files, expected = LEFT[kind]
    groups(proc, files)
    assert limits.memory_left() == expected
    assert machine.free_memory_bytes() <= (expected if expected is not None else 2**60)


def test_what_is_held_is_not_left(groups):
    """Of address space, and of the machine where nothing limits the process."""
    program = (
        "import numpy as np; from sgdlab.system.limits import memory_left, memory_available\n"
        "before = memory_left(), memory_available(); held = np.ones(5 * 10**7)\n"
        "print(*before, memory_left(), memory_available())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (2 * 10**9, 2 * 10**9)),
        capture_output=True,
        check=True,
    )
    left, available, then, available_then = map(int, done.stdout.split())
    assert left < 2 * 10**9
    assert 3.9 * 10**8 < left - then < 4.5 * 10**8
    assert available_then < available  # 400 MB were written


@pytest.mark.parametrize(("free", "expected"), [(1000, 750), (10**10, 10**10 - 256 * 10**6)])
def test_a_little_is_kept_back(free, expected, groups, monkeypatch):
    groups("0::/\n", {"memory.max": f"{free}\n"})
    monkeypatch.setattr(limits, "memory_available", lambda: None)
    assert machine.free_memory_bytes() == expected


PROCESSORS = {
    "version 2": ("0::/a\n", {"a/cpu.max": "150000 100000\n"}, 2),
    "less than one": ("0::/a\n", {"a/cpu.max": "5000 100000\n"}, 1),
    "a group above": ("0::/a/b\n", {"a/b/cpu.max": "max 100000", "a/cpu.max": "100000 50000"}, 2),
    "version 1": (
        "1:cpu,cpuacct:/x\n",
        {"cpu/x/cpu.cfs_quota_us": "300000\n", "cpu/x/cpu.cfs_period_us": "100000\n"},
        3,
    ),
    "no limit, version 2": ("0::/a\n", {"a/cpu.max": "max 100000\n"}, None),
    "no limit, version 1": (
        "1:cpu:/\n",
        {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"},
        None,
    ),
    "nonsense": ("0::/\n", {"cpu.max": "1 0 x\n"}, None),
}


@pytest.mark.parametrize("kind", PROCESSORS)
def test_quota_of_processors(kind, groups):
    proc, files, expected = PROCESSORS[kind]
    groups(proc, files)
    assert limits.processor_limit() == expected
    assert 1 <= machine.n_processors() <= (expected or 10**6)


def test_no_control_groups_at_all(groups, tmp_path):
    groups("", {})
    (tmp_path / "proc").unlink()
    assert limits.memory_limit() is None
    assert limits.processor_limit() is None


def test_limit_of_the_shell():
    program = "from sgdlab.system.machine import memory_bytes; print(memory_bytes())"
    done = subprocess.run(
        [sys.executable, "-c", program],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (10**9, 10**9)),
        capture_output=True,
        check=True,
    )
    assert int(done.stdout) <= 10**9
