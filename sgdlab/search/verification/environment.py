"""What decides about the last bits of a product of matrices: as a run has it, and as it is here."""

import platform
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdlab.runs.experiment import Environment
from sgdlab.system import machine
from sgdlab.system.blas import blas_threads, describe_blas


@dataclass(frozen=True)
class Fact:
    """One thing of the environment, when the run was last worked on and now."""

    name: str
    then: str
    now: str

    @property
    def is_same(self) -> bool:
        return self.then == self.now


def facts_beside(recorded: Environment, threads: Iterable[int]) -> tuple[Fact, ...]:
    """What a run says of its environment, beside this one.

    Parameters
    ----------
    threads
        All numbers of threads on which its products were made.
    """
    wanted = sorted(set(threads))
    libraries = _beside([dict(library) for library in recorded.blas], describe_blas())
    return (
        Fact("numpy", recorded.numpy, np.__version__),
        Fact("BLAS", *libraries),
        Fact("threads", _listed(wanted), _listed(sorted(set(map(_threads_had, wanted))))),
        Fact("processor", recorded.processor, machine.processor_name()),
        Fact("C library", _c_library(recorded.platform), _c_library(platform.platform())),
    )


def _beside(then: list[dict[str, Any]], now: list[dict[str, Any]]) -> tuple[str, str]:
    """The BLAS then and now; of several, where one process has loaded more, those of both."""
    before, after = (set(map(_library, libraries)) for libraries in (then, now))
    if before and after and (before <= after or after <= before):  # scipy brings one of its own
        before = after = before & after
    shown = [", ".join(sorted(names)) or "not known" for names in (before, after)]
    return shown[0], shown[1]


def _library(library: dict[str, Any]) -> str:
    """Name, version and kernel; on how many threads it multiplies by default does not matter."""
    names = ("internal_api", "version", "architecture", "threading_layer")
    return " ".join(str(library[name]) for name in names)


def _threads_had(n_threads: int) -> int:
    """On how many threads products are made here that are to be made on so many."""
    with blas_threads(n_threads):
        numbers = [library["num_threads"] for library in describe_blas()]
    return max((number for number in numbers if number is not None), default=n_threads)


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))


def _c_library(name: str) -> str:
    """The end of a platform's name, as ``glibc2.39``; its kernel computes nothing."""
    return name.rpartition("-with-")[2] if "-with-" in name else "not known"
