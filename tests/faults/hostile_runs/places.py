"""Hostile files and folders: what stands where a file or a folder of a run should stand."""

import contextlib
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.faults.hostile_runs.documents import one_of

HUGE_BYTES = 2**40
NAMES = (b"..\xff", b"new\nline", b"\x1b[2J.json", b"._0000.json", b"0000.json\xe2\x80\xae", b"-rf")
NAMES += (
    b"0001 copy.json",
    b".0000.json.1-00000000.tmp",
    b"9999999.json",
    b"x" * 255,
    b"\xff\xfe.npz",
)
NAMES += (b"block-9999-epoch-999999.npz", b"block-0000-epoch-000001.npz", b"0000001.json")
FOLDERS = ("cells", "final", "state", "state/stops", "state/next", "state/next/cells", "damaged")
FILES = (
    "experiment.json", "results.csv", "weights.npz", "predictions.npz", "cells/0000.json",
    "final/0000.json", "state/lock", "state/lock.holder", "state/next/experiment.json",
    "state/next/weights.npz", "state/next/cells/0000.json", "cells/.0000.json.1-00000000.tmp",
    "state/stops/block-0000-epoch-000003.npz", "state/stops/block-0007-epoch-000001.npz",
)  # fmt: skip

Rng = np.random.Generator


def change(run: Path, outside: Path, rng: Rng) -> str:
    """Put something else in the place of a file or a folder, and say what."""
    if rng.random() < 0.15:
        folder, name = run / one_of(("", *FOLDERS), rng), one_of(NAMES, rng)
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(b"{}")
        return f"{folder.name}/{name[:20]!r} too"
    is_folder = rng.random() < 0.4
    place = run / one_of(FOLDERS if is_folder else FILES, rng)
    return f"{place.relative_to(run)} is {put(place, outside, rng)}"


def put(place: Path, outside: Path, rng: Rng) -> str:
    """Something hostile, of which there is a copy in ``outside`` where it is a link."""
    how: Callable[[Path, Path], None] = one_of(WAYS, rng)
    with contextlib.suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        _remove(place)
        how(place, outside)
    return how.__name__.strip("_").replace("_", " ")


def _remove(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


def _a_fifo(place: Path, outside: Path) -> None:
    os.mkfifo(place)


def _zeros_without_end(place: Path, outside: Path) -> None:
    place.symlink_to("/dev/zero")


def _a_link_out(place: Path, outside: Path) -> None:
    """To what would be there, or to a file that is not."""
    place.symlink_to(outside / place.name)


def _a_link_to_a_folder(place: Path, outside: Path) -> None:
    place.symlink_to(outside)


def _a_dangling_link(place: Path, outside: Path) -> None:
    place.symlink_to(outside / f"new-{place.name}")


def _a_loop(place: Path, outside: Path) -> None:
    place.symlink_to(place.name)


def _a_folder(place: Path, outside: Path) -> None:
    (place / "inside").mkdir(parents=True)


def _an_empty_folder(place: Path, outside: Path) -> None:
    place.mkdir()


def _a_socket(place: Path, outside: Path) -> None:
    here = os.getcwd()
    os.chdir(place.parent)  # such names are short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(place.name)
    finally:
        os.chdir(here)


def _huge_and_sparse(place: Path, outside: Path) -> None:
    with open(place, "wb") as file:
        file.write(b"{")
        file.truncate(HUGE_BYTES)


def _large_and_sparse(place: Path, outside: Path) -> None:
    with open(place, "wb") as file:
        file.truncate(10**9)


def _empty(place: Path, outside: Path) -> None:
    place.write_bytes(b"")


def _text(place: Path, outside: Path) -> None:
    place.write_bytes(b"pid 1 on \x1b[31mhost\n\xff\x00")


def _brackets(place: Path, outside: Path) -> None:
    place.write_bytes(b'{"schema_version": 3, "a": ' + b"[" * 100_000)


def _lists(place: Path, outside: Path) -> None:
    place.write_bytes(b'{"schema_version": 3, "a": [' + b"[]," * 10_000_000 + b"1]}")


WAYS = (
    _a_fifo, _zeros_without_end, _a_link_out, _a_link_out, _a_link_to_a_folder, _a_dangling_link,
    _a_loop, _a_folder, _an_empty_folder, _a_socket, _huge_and_sparse, _large_and_sparse, _empty,
    _text, _brackets, _lists,
)  # fmt: skip
