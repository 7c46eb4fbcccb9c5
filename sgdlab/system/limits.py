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
ROOT = Path("/sys/fs/cgroup")
NO_LIMIT = 2**60  # version 1 writes a number beyond all memories


def memory_limit() -> int | None:
    """Bytes that this process may have; None if nothing limits it."""
    names = {"": "memory.max", "memory": "memory.limit_in_bytes"}
    found = [limit for text in _read(names) if (limit := _whole(text)) is not None]
    if (addresses := address_limit()) is not None:
        found.append(addresses)
    return min((limit for limit in found if limit < NO_LIMIT), default=None)


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


def _read(names: dict[str, str]) -> Iterator[str]:
    """The texts of files of this process's groups, by controller; version 2 has none.

    Where the groups are hidden, as in a container, the one that is seen as the root is its own.
    """
    for line in _lines(PROC):
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        for controller, name in names.items():
            if controller not in controllers.split(","):
                continue
            folder = ROOT / controller
            for part in dict.fromkeys((Path("/"), *reversed(Path(path).parents), Path(path))):
                yield from _lines(folder / str(part).lstrip("/") / name)


def _lines(file: Path) -> list[str]:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return file.read_text().splitlines()
    return []
