"""The state of a pass in the midst of its training, in a file of the run.

There is one at a time, in place of the last. Nothing but time is lost without it: one that is
damaged, or does not fit, is set aside, and the training starts anew.
"""

import hashlib
import json
from contextlib import suppress
from pathlib import Path

import numpy as np

from sgdlab.data.shape import Shape
from sgdlab.engine.checkpoints import Checkpoint, Seen
from sgdlab.engine.kernels import check_alike
from sgdlab.errors import StorageError, UnreadableError
from sgdlab.observer import Observer
from sgdlab.planning.memory import state_bytes
from sgdlab.planning.plan import Pass, Plan
from sgdlab.runs.archive import Arrays, arrays_of
from sgdlab.runs.reading import read_bytes, reading
from sgdlab.runs.setting_aside import set_aside
from sgdlab.runs.stops import sealed_arrays, unsealed_arrays
from sgdlab.system.files import write_files
from sgdlab.system.looking import is_there


class CheckpointFile:
    """Where a run keeps the state of the pass that is being trained.

    Parameters
    ----------
    path
        Of the file.
    run
        The folder of the run.
    origin
        Of what run a checkpoint must be; see :func:`sgdlab.runs.names.origin_of`.
    """

    def __init__(self, path: Path, run: Path, origin: str) -> None:
        self.path = path
        self._run = run
        self._origin = origin
        self._hashed: tuple[Pass, dict[int, str]] | None = None

    def write(self, plan_pass: Pass, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint in place of the last one.

        Raises
        ------
        StorageError
            If that fails; then the last one is still there.
        """
        if self._hashed is None or self._hashed[0] is not plan_pass:
            self._hashed = (plan_pass, _hashes(plan_pass))
        hashes, indices = self._hashed[1], sorted(checkpoint.blocks)
        arrays = {
            "place": np.array([checkpoint.epoch, checkpoint.row]),
            "best": np.array(checkpoint.seen.best),
            "diverged": np.array(sorted(checkpoint.seen.diverged), dtype=np.int64),
            "blocks": np.array(indices),
            "plans": np.array([hashes[index] for index in indices]),
        }
        for index, state in checkpoint.blocks.items():
            arrays |= {f"{_prefix(index)}{name}": array for name, array in state.items()}
        arrays = sealed_arrays(arrays, self._origin)
        write_files({self.path: lambda stream: np.savez(stream, allow_pickle=False, **arrays)})

    def read(self, plan: Plan, shape: Shape, observer: Observer) -> Checkpoint | None:
        """The checkpoint of a pass of a plan, if there is one; what is damaged is set aside.

        Raises
        ------
        UnreadableError
            If it cannot be read now.
        """
        if not is_there(self.path):
            return None
        try:
            with reading(self.path):
                most = max(state_bytes(plan_pass, shape) for plan_pass in plan.passes)
                arrays = arrays_of(read_bytes(self.path, most_bytes=most))
                return _checkpoint_of(unsealed_arrays(arrays, self._origin), plan)
        except UnreadableError:
            raise
        except StorageError as error:
            self.set_aside(error.found, observer)
            return None

    def set_aside(self, found: str, observer: Observer) -> None:
        """Move a checkpoint that cannot be used out of the way, and say so."""
        now = set_aside(self._run, self.path)
        what = f"{found}; set aside as {now}, and its training starts anew"
        observer.note(f"{self.path}: {what}")

    def remove(self) -> None:
        """Forget it, if there is one."""
        with suppress(OSError):
            self.path.unlink()


def _hashes(plan_pass: Pass) -> dict[int, str]:
    """What every block of a pass is trained on, and how, as a hash by its index."""
    [log] = Plan((plan_pass,)).to_log()
    how = [log["chunk_rows"], log["blas_threads"]]
    return {
        block["index"]: hashlib.sha256(json.dumps([*how, block]).encode()).hexdigest()
        for block in log["blocks"]
    }


def _prefix(index: int) -> str:
    """What the names of the arrays of a block's state begin with."""
    return f"block-{index:04d}."


def _checkpoint_of(arrays: Arrays, plan: Plan) -> Checkpoint | None:
    """The inverse of what is written; None if it is of blocks that the plan has not."""
    check_alike(arrays["place"], np.int64, (2,))
    check_alike(arrays["best"], np.float64, ())
    check_alike(arrays["diverged"], np.int64, (arrays["diverged"].size,))
    check_alike(arrays["blocks"], np.int64, (arrays["blocks"].size,))
    epoch, row = arrays["place"].tolist()
    indices, hashes = arrays["blocks"].tolist(), arrays["plans"].tolist()
    of_pass = [one for one in plan.passes if {block.index for block in one.blocks} >= {*indices}]
    known = _hashes(of_pass[0]) if of_pass else {}
    if not indices or [known.get(index) for index in indices] != hashes:
        return None
    states: dict[str, Arrays] = {_prefix(index): {} for index in indices}
    for name, array in arrays.items():
        block, dot, own = name.partition(".")
        if block + dot in states:
            states[block + dot][own] = array
    seen = Seen(float(arrays["best"]), frozenset(arrays["diverged"].tolist()))
    return Checkpoint(epoch, row, {index: states[_prefix(index)] for index in indices}, seen)
