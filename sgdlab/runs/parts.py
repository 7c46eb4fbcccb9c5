"""Finished parts of a long experiment, which are kept until its result is shown.

Whatever ends an experiment before, be it Ctrl-C, a signal or a power cut: the same one goes on from
its finished parts, in the same program on the same processor, and ends with the same bytes. An
experiment needs none of this to work: where nothing can be kept, it says so and goes on.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

import sgdlab
from sgdlab.errors import NothingToSelectError, SgdlabError, StorageError, UsageError
from sgdlab.observer import Observer
from sgdlab.runs.names import NUMERICS_VERSION
from sgdlab.runs.parts_folder import (
    MOST_BYTES,
    Arrays,
    PartsFolder,
    folder_of,
    names_of,
    open_parts,
)
from sgdlab.system import machine
from sgdlab.system.blas import kernels_of_numpy
from sgdlab.system.looking import is_there

FIRST_S = 1.0  # what has not taken longer is computed again as soon
LARGEST_SHARE = 0.03  # of the time, which writing may take
AMOUNT = "amount"  # the array of a part that says how much of the experiment it is

Found = TypeVar("Found")


class Parts:
    """Finished parts of an experiment, by their names; this base class keeps none."""

    def expect(self, total: int, unit: str = "parts") -> None:
        """How many parts there are in all, or how much of whatever is counted in them."""

    def find(self, name: str, read: Callable[[Arrays], Found]) -> Found | None:
        """What ``read`` makes of the arrays of a part that was kept before; None if none was.

        Arrays that ``read`` cannot use are those of no part.
        """
        return None

    def keep(self, name: str, arrays: Callable[[], Arrays], amount: int = 1) -> None:
        """Keep a part, perhaps in place of one of that name.

        ``arrays`` gives its arrays when they are written, as they are now.
        """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Remove what was kept, if there is a result, or leave it."""


NOTHING_KEPT = Parts()
_UNTIL_SHOWN: ContextVar[ExitStack | None] = ContextVar("_UNTIL_SHOWN", default=None)


@contextmanager
def kept_until_shown() -> Iterator[None]:
    """Keep the parts of experiments that end inside until the end: a result may not be shown."""
    with ExitStack() as stack:
        token = _UNTIL_SHOWN.set(stack)
        try:
            yield
        finally:
            _UNTIL_SHOWN.reset(token)


def array_of(arrays: Arrays, name: str, dtype: DTypeLike, shape: tuple[int, ...]) -> NDArray[Any]:
    """An array of a part.

    Raises
    ------
    KeyError, ValueError
        If there is none, or one of another dtype or shape.
    """
    array = arrays[name]
    if array.dtype != np.dtype(dtype) or array.shape != shape:
        raise ValueError(f"{name}: {array.dtype} of shape {array.shape}")
    return array


def parts_in(
    runs_dir: str | os.PathLike[str] | None,
    command: str,
    what: Callable[[], object],
    observer: Observer,
    check: Callable[[], None] = lambda: None,
) -> Parts:
    """The parts of an experiment; none are kept where there is no folder of runs."""
    if runs_dir is None:
        return NOTHING_KEPT
    return KeptParts(Path(runs_dir), command, what, observer, check)


class KeptParts(Parts):
    """Parts in ``lab/COMMAND-HASH`` below the folder of runs.

    They are first written after a second, then so seldom that it takes little of the time. A second
    process with the same experiment computes all of it by itself and keeps nothing.

    Parameters
    ----------
    what
        Gives all that the parts depend on, apart from the program and the machine; asked for when
        there is something to find or to keep.
    check
        Raises if what was computed may be of something else.
    """

    def __init__(
        self,
        runs_dir: Path,
        command: str,
        what: Callable[[], object],
        observer: Observer,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._runs_dir = runs_dir
        self._command = command
        self._what = what
        self._observer = observer
        self._check = check
        self._due = time.monotonic() + FIRST_S
        self._total, self._unit = 0, "parts"
        self._found: dict[str, Arrays] = {}
        self._pending: dict[str, tuple[Callable[[], Arrays], int]] = {}
        self._amounts: dict[str, int] = {}  # of what is written
        self._folder: PartsFolder | None = None
        self._open = ExitStack()
        self._is_given_up = False

    def __enter__(self) -> Self:
        with self._giving_up():
            if names_of(self._runs_dir, self._command):
                origin, name = self._origin()
                if is_there(folder_of(self._runs_dir, name)):
                    self._take_up(origin, name)
        return self

    def expect(self, total: int, unit: str = "parts") -> None:
        self._total, self._unit = total, unit
        if self._folder is not None and self._amounts:
            self._observer.note(f"{self._folder.path}: going on with {self.kept} before")

    def find(self, name: str, read: Callable[[Arrays], Found]) -> Found | None:
        if (arrays := self._found.pop(name, None)) is None:
            return None
        try:
            return read(arrays)
        except Exception as error:  # whoever can write there can write anything
            self._amounts.pop(name, None)
            self._observer.note(f"part {name}: of no use ({error}); computed again")
            return None

    def keep(self, name: str, arrays: Callable[[], Arrays], amount: int = 1) -> None:
        if self._is_given_up:
            return
        self._pending[name] = (arrays, amount)
        if time.monotonic() >= self._due:
            self._write()

    @property
    def kept(self) -> str:
        """How much is kept, as ``12 of 40 parts kept``."""
        amount = sum(self._amounts.values())
        of_total = f" of {self._total}" if self._total else ""
        return f"{amount}{of_total} {self._unit} kept"

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None and (stack := _UNTIL_SHOWN.get()) is not None:
            stack.push(self._end)
        else:
            self._end(kind, error, traceback)

    def _end(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._open:
            if self._folder is None:
                return
            if error is None or isinstance(error, NothingToSelectError | UsageError):
                with suppress(SgdlabError):  # the same command would end in the same way
                    self._folder.remove()
                return
            with suppress(SgdlabError):  # what is written already is kept
                self._write()
            if isinstance(error, Exception):
                again = "; the same command goes on from there"
                self._observer.note(f"{self._folder.path}: {self.kept}{again}")
            else:
                error.add_note(self.kept)

    def _write(self) -> None:
        """Make durable what is pending, unless it is of data that were changed meanwhile."""
        start = time.monotonic()
        with self._giving_up():
            if self._folder is None:
                self._take_up(*self._origin())
                start = time.monotonic()  # hashing arrays is not done again
            self._check()
            for parts in self._in_files():
                assert self._folder is not None
                self._folder.write(parts)
                self._amounts |= {name: int(arrays[AMOUNT]) for name, arrays in parts.items()}
        self._pending = {}
        now = time.monotonic()
        self._due = now + max(FIRST_S, (now - start) / LARGEST_SHARE)

    def _in_files(self) -> Iterator[dict[str, Arrays]]:
        """What is pending, a file's parts at a time; what would be too large for one is left."""
        parts: dict[str, Arrays] = {}
        size = 0
        for name, (given, amount) in self._pending.items():
            arrays = {**given(), AMOUNT: np.array(amount)}
            n_bytes = sum(array.nbytes + 1000 for array in arrays.values())
            if n_bytes > MOST_BYTES:
                continue
            if size + n_bytes > MOST_BYTES:
                yield parts
                parts, size = {}, 0
            parts[name] = arrays
            size += n_bytes
        if parts:
            yield parts

    def _take_up(self, origin: str, name: str) -> None:
        folder = self._open.enter_context(open_parts(self._runs_dir, name, origin))
        for part, arrays in folder.read(self._observer).items():
            with suppress(KeyError, ValueError):
                self._amounts[part] = int(array_of(arrays, AMOUNT, np.int64, ()))
                self._found[part] = arrays
        self._folder = folder  # not before: what could not be read stays as it is

    def _origin(self) -> tuple[str, str]:
        """A hash of all that the parts depend on, and the name of their folder."""
        where = {
            "sgdlab": sgdlab.__version__,
            "numerics_version": NUMERICS_VERSION,
            "numpy": np.__version__,
            "processor": machine.processor_name(),
            "blas": kernels_of_numpy(),
        }
        what = {"command": self._command, "what": self._what(), "where": where}
        origin = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
        return origin, f"{self._command}-{origin[:8]}"

    @contextmanager
    def _giving_up(self) -> Iterator[None]:
        """Keep nothing more if that cannot be done inside, and say why."""
        try:
            yield
        except (StorageError, MemoryError) as error:
            self._is_given_up = True
            self._found, self._pending = {}, {}
            why = str(error) if isinstance(error, StorageError) else "not enough memory"
            self._observer.note(f"from here on no finished parts are kept: {why}")
