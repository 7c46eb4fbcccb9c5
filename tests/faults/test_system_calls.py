"""A few of the errors that ``python -m tests.faults.system_calls`` has the kernel answer with."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.manual import MANUAL
from tests.faults.strace import IS_THERE, Site, sites_in, whole_lines

needs_strace = pytest.mark.skipif(not IS_THERE, reason="strace is not installed")

# In processes of their own, which are copied: those of the tests have threads.
FORGETFUL = """
from sgdlab.errors import StorageError, reason
from sgdlab.system import {module}

def {function}:
    {body}

{module}.{name} = {name}
from tests.faults.system_calls import main
main({arguments})
"""
WITHOUT_TEMPORARIES = FORGETFUL.format(
    module="files",
    name="write_files",
    function="write_files(contents)",
    body="""
    for path, content in contents.items():
        try:
            with open(path, "wb") as stream:
                content(stream) if callable(content) else stream.write(content)
        except OSError as error:
            raise StorageError(path, reason(error)) from None""",
    arguments=["--n", "3", "--only", "* of write (*/cells/*"],
)
READING_NOTHING = FORGETFUL.format(
    module="regular",
    name="read_regular",
    function="read_regular(path, most_bytes, follow_links=False)",
    body="""
    try:
        return path.read_bytes()[:most_bytes]
    except OSError:
        return b"" """,
    arguments=["--n", "3", "--only", "resume: *openat*/stops/block*"],
)
KILLED = """
import os, sys
from pathlib import Path
from tests.faults.scenarios import make_scenarios
from tests.faults.strace import Effect, traced
search = make_scenarios(Path(sys.argv[1]).resolve())[0]
search.restore()
renames = [site for site in traced(search.command, search.folder).sites if site.call == "rename"]
search.restore()
print(traced(search.command, search.folder, Effect(renames[2], "signal=SIGKILL")).answer.code)
print(sorted(path.name for path in search.folder.rglob("*.tmp")) != [])
print(search.give().code, search.results() == search.expected)
os.chdir("/")
"""


def run(*arguments):
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])


@needs_strace
def test_errors_of_system_calls_never_harm_a_run():
    done = run("-m", "tests.faults.system_calls", "--n", "12")
    assert done.stdout.startswith("12 errors in ")
    assert done.stdout.endswith("wrong: nothing\n")
    assert (done.returncode, done.stderr) == (0, "")


@needs_strace
def test_files_that_are_written_in_their_place_are_noticed():
    done = run("-c", WITHOUT_TEMPORARIES)
    assert done.returncode == 1, done.stderr
    assert "the command given again ends otherwise" in done.stdout


@needs_strace
def test_refusals_that_are_taken_for_damage_are_noticed():
    done = run("-c", READING_NOTHING)
    assert done.returncode == 1, done.stderr
    assert "called damaged" in done.stdout


@needs_strace
def test_a_command_can_be_killed_at_a_call(tmp_path):
    done = run("-c", KILLED, tmp_path)
    assert done.stdout.splitlines() == ["-9", "True", "0 True"], done.stderr


LOG = """\
71 openat(AT_FDCWD</a/b>, "config.yaml", O_RDONLY) = 5</a/b/config.yaml>
71 read(5</a/b/config.yaml>, ""..., 10) = 10
71 read(6</proc/self/status>, ""..., 10) = 10
72 read(5</a/b/config.yaml>, ""..., 10 <unfinished ...>
71 read(5</a/b/config.yaml>, 0x7, 10) = -1 EIO (Input/output error) (INJECTED)
72 <... read resumed>) = -1 EIO (Input/output error) (INJECTED)
71 rename("runs/x/.y.json.71-0123abcd.tmp", "runs/x/y.json") = 0
71 getcwd("/a/b", 1024) = 5
71 getcwd(0x7ff, 1024) = -1 ENOENT (No such file or directory) (INJECTED)
71 unlink("/a/bc") = -1 ENOENT (No such file or directory)
71 newfstatat(AT_FDCWD</a/b>, "/a/b/runs", {st_mode=S_IFDIR}, 0) = 0
71 --- SIGUSR1 {si_signo=SIGUSR1} ---
71 +++ exited with 0 +++
"""


def test_sites_are_the_calls_on_things_in_the_folder():
    found = list(sites_in(whole_lines(LOG), Path("/a/b")))
    assert [site for site, _ in found] == [
        Site("openat", 1, "config.yaml"),
        Site("read", 1, "config.yaml"),
        Site("read", 1, "config.yaml"),
        Site("read", 3, "config.yaml"),
        Site("rename", 1, "runs/x/.y.json*"),
        Site("getcwd", 1, "."),
        Site("getcwd", 2, "."),
        Site("newfstatat", 1, "runs"),
    ]
    refused = [site for site, line in found if line.endswith("(INJECTED)")]
    assert refused == [
        Site("read", 1, "config.yaml"),
        Site("read", 3, "config.yaml"),
        Site("getcwd", 2, "."),
    ]


def test_every_named_error_is_one():
    assert {name for names in MANUAL.values() for name in names} <= set(dir(errno))
