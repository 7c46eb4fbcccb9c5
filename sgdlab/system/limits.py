"""What a control group or the shell lets this process have of the machine.

Control groups are nested, and every one above counts. Version 2 has one hierarchy (Linux,
Documentation/admin-guide/cgroup-v2.rst), version 1 one for each controller
(Documentation/admin-guide/cgroup-v1/memory.rst, Documentation/scheduler/sched-bwc.rst).
"""

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc/self/cgroup")
STATUS = Path("/proc/self/status")
MEMINFO = Path("/proc/meminfo")
ROOT = Path("/sys/fs/cgroup")
NO_LIMIT = 2**60  # version 1 writes a number beyond all memories


def memory_limit() -> int | None:
    """Bytes that this process may have; None if nothing limits it."""
    found = [limit for limit, _ in _group_limits()]
    if (addresses := address_limit()) is not None:
        found.append(addresses)
    return min(found, default=None)


def memory_left() -> int | None:
    """Bytes that this process may take beside those that are held; None if nothing limits it.

    A group holds what all of its processes do, without files that the kernel would forget.
    """
    found = [limit - held for limit, held in _group_limits()]
    if (addresses := address_limit()) is not None:
        found.append(addresses - _in_kb(STATUS, "VmSize"))
    return max(0, min(found)) if found else None


def memory_available() -> int | None:
    """Bytes that the machine can give without swapping; None where it does not tell."""
    return _in_kb(MEMINFO, "MemAvailable") or None


def address_limit() -> int | None:
    """Bytes of address space that this process may have, used or not; None if all."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource  # Unix alone

        soft, _ = resource.getrlimit(resource.RLIMIT_AS)
        return None if soft == resource.RLIM_INFINITY else soft
    return None


def processor_limit() -> int | None:
    """As many processors as this process may use at a time, rounded up; None if all."""
    quotas = [text.split() for text in _read({"": "cpu.max"})]
    old = (_read({"cpu": f"cpu.cfs_{what}_us"}) for what in ("quota", "period"))
    quotas += [list(pair) for pair in zip(*old, strict=False)]
    found = []
    for quota in quotas:
        numbers = [_whole(text) for text in quota]
        if len(numbers) == 2 and numbers[0] is not None and numbers[1]:
            found.append(max(1, math.ceil(numbers[0] / numbers[1])))
    return min(found, default=None)


def _whole(text: str) -> int | None:
    """A positive number of digits; None for ``max``, ``-1`` and whatever else is no limit."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else None


def _group_limits() -> Iterator[tuple[int, int]]:
    """The bytes that a group may hold and those that it holds, of all that have a limit."""
    for controller, limit_name, held_name, cached in (
        ("", "memory.max", "memory.current", ("active_file", "inactive_file")),
        (
            "memory",
            "memory.limit_in_bytes",
            "memory.usage_in_bytes",
            ("total_active_file", "total_inactive_file"),
        ),
    ):
        for folder in _folders(controller):
            limit = _whole("".join(_lines(folder / limit_name)))
            if limit is not None and limit < NO_LIMIT:
                held = _whole("".join(_lines(folder / held_name))) or 0
                stat = dict(line.partition(" ")[::2] for line in _lines(folder / "memory.stat"))
                yield limit, max(0, held - sum(_whole(stat.get(name, "")) or 0 for name in cached))


def _in_kb(file: Path, name: str) -> int:
    """Bytes by their name in a file of ``/proc``, where they are kilobytes; 0 if it is absent."""
    for line in _lines(file):
        key, _, value = line.partition(":")
        if key == name:
            return 1024 * (_whole(value.removesuffix("kB")) or 0)
    return 0


def _read(names: dict[str, str]) -> Iterator[str]:
    """The texts of files of this process's groups, by controller; version 2 has none."""
    for controller, name in names.items():
        for folder in _folders(controller):
            yield from _lines(folder / name)


def _folders(controller: str) -> Iterator[Path]:
    """Those of this process's groups; version 2 has no controllers.

    Where the groups are hidden, as in a container, the one that is seen as the root is its own.
    """
    for line in _lines(PROC):
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controller in controllers.split(","):
            for part in dict.fromkeys((Path("/"), *reversed(Path(path).parents), Path(path))):
                yield ROOT / controller / str(part).lstrip("/")


def _lines(file: Path) -> list[str]:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return file.read_text().splitlines()
    return []
