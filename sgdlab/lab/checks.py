"""What the numbers that an experiment is asked for must be."""

import math

from sgdlab.errors import StorageError, UsageError
from sgdlab.planning.cost import at_most
from sgdlab.system import machine

LARGEST_L2 = 1e100  # whose products with rows do not overflow


def check_count(name: str, value: int, largest: int | None = None) -> None:
    """Raise UsageError unless a parameter is at least 1, and at most ``largest``."""
    if value < 1 or (largest is not None and value > largest):
        expected = "1 or more" if largest is None else f"1 to {largest}"
        raise UsageError(f"`{name}={value}`", "out of range", expected)


def check_learning_rate(learning_rate: float) -> None:
    """Raise UsageError unless steps can be made with this learning rate."""
    if not 0 < learning_rate < math.inf:
        raise UsageError(f"`learning_rate={learning_rate}`", "no step size", "a positive number")


def check_l2(l2: float) -> None:
    """Raise UsageError unless a model can be solved with this L2."""
    if not 0 <= l2 <= LARGEST_L2:
        raise UsageError(f"`l2={l2}`", "out of range", f"a number from 0 to {LARGEST_L2:g}")


def check_memory(what: str, n_bytes: float, hint: str) -> None:
    """Raise StorageError if something takes more memory than there is, before it is made."""
    free = machine.free_memory_bytes()
    if n_bytes > free:
        found = f"{what} takes about {n_bytes / 1e9:.3g} GB"
        raise StorageError("memory", found, at_most(free), hint)
