"""Numbers that were computed again beside those that are stored."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgdlab.search.verification.result import Mismatch, Place, Tally, Value

PlaceOf = Callable[[tuple[int, ...]], Place]


class Comparison:
    """Counts what is compared, and remembers the first number that is another than is stored.

    Parameters
    ----------
    is_exact
        Whether numbers must be the same to the last bit; else they may differ by what is allowed.
    """

    def __init__(self, is_exact: bool) -> None:
        self.is_exact = is_exact
        self.first: Mismatch | None = None
        self._tallies: dict[str, Tally] = {}

    @property
    def tallies(self) -> tuple[Tally, ...]:
        """Of files and folders, in the order in which they were come to."""
        return tuple(self._tallies.values())

    def value(
        self, place: Place, stored: Value, found: Value, allowed: NDArray[Any] | float = 0.0
    ) -> bool:
        """Compare a number or a word; whether it is the same."""
        stored, found = _or_none(stored), _or_none(found)
        if _is_number(stored) and _is_number(found):
            both = (np.array([stored], np.float64), np.array([found], np.float64))
            is_same = not self._differ(*both, np.atleast_1d(allowed)).any()
        else:
            is_same = stored == found
        self._count(place.file, 1, int(not is_same))
        if not is_same and self.first is None:
            self.first = Mismatch(place, stored, found)
        return is_same

    def array(
        self,
        file: str,
        stored: NDArray[Any],
        found: NDArray[Any],
        place_of: PlaceOf,
        allowed: NDArray[Any] | float = 0.0,
    ) -> None:
        """Compare arrays of equal shape and dtype.

        Parameters
        ----------
        place_of
            Where the number with some indices stands.
        """
        differ = self._differ(stored, found, np.broadcast_to(np.asarray(allowed), stored.shape))
        n_different = int(np.count_nonzero(differ))
        self._count(file, stored.size, n_different)
        if n_different and self.first is None:
            index = tuple(int(n) for n in np.argwhere(differ)[0])
            values = (stored[index].item(), found[index].item())
            self.first = Mismatch(place_of(index), *map(_or_none, values))

    def _count(self, file: str, n_compared: int, n_different: int) -> None:
        """Count what was compared with a file; those of a folder count as one."""
        folder, slash, _ = file.rpartition("/")
        name = f"{folder}/" if slash else file
        tally = self._tallies.setdefault(name, Tally(name))
        tally.n_compared += n_compared
        tally.n_different += n_different

    def _differ(
        self, stored: NDArray[Any], found: NDArray[Any], allowed: NDArray[Any]
    ) -> NDArray[np.bool_]:
        if stored.dtype.kind != "f":
            return np.asarray(stored != found)
        is_same = (stored == found) & (np.signbit(stored) == np.signbit(found))
        is_same |= np.isnan(stored) & np.isnan(found)
        if not self.is_exact:
            is_same |= (np.abs(found - stored) <= allowed) & np.isfinite(stored)
        differ: NDArray[np.bool_] = ~is_same
        return differ


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _or_none(value: Value) -> Value:
    """JSON has null where a number is not finite."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
