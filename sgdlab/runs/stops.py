"""Arrays in a run directory: ``.npz`` files with the same bytes for the same content."""

import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgdlab.config.grid import Cell
from sgdlab.engine.running_block import Outcome
from sgdlab.runs.archive import Arrays, Expected, Form, arrays_of
from sgdlab.runs.reading import reading

_NUMBERS, _FLOATS = Expected(("i8",), ("rows",)), Expected(("f8",), ("rows",))
_HISTORY = Expected(("f8",), ("rows", "epochs"))
# What a stop has; where all rows diverged there are no features.
STOP_FORM = {
    "cell": _NUMBERS,
    "replicate": _NUMBERS,
    "fold": _NUMBERS,
    "status": Expected(("U",), ("rows",)),
    "epochs": _NUMBERS,
    "train_loss": _FLOATS,
    "bias": _FLOATS,
    "running_history": _HISTORY,
    "validation_history": _HISTORY,
    "validation_mae_history": _HISTORY,
    "weights": Expected(("f4", "f8"), ("rows", "features")),
    "seal": Expected(("U",), ()),
}


def npz_bytes(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The content of an ``.npz`` file; numpy gives its members a constant date."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def npz_arrays(path: Path, content: bytes, form: Form | None = None) -> Arrays:
    """All arrays of a file with this content; see :func:`sgdlab.runs.archive.arrays_of`.

    Raises
    ------
    StorageError
        If it is broken, or has not this form.
    """
    with reading(path):
        return arrays_of(content, form)


def outcome_arrays(outcomes: Sequence[Outcome], origin: str) -> Arrays:
    """Outcomes of one block and epoch as arrays; weights of diverged cells stand as zeros.

    Parameters
    ----------
    origin
        Of what run; see :func:`sgdlab.runs.names.origin_of`.
    """
    known = [outcome.weights for outcome in outcomes if outcome.weights is not None]
    zeros = np.zeros_like(known[0]) if known else np.zeros(0)
    arrays = {
        "cell": np.array([outcome.cell for outcome in outcomes]),
        "replicate": np.array([outcome.replicate for outcome in outcomes]),
        "fold": np.array([-1 if outcome.fold is None else outcome.fold for outcome in outcomes]),
        "status": np.array([outcome.status for outcome in outcomes]),
        "epochs": np.array([outcome.epochs for outcome in outcomes]),
        "train_loss": np.array([outcome.train_loss for outcome in outcomes]),
        "bias": np.array([outcome.bias for outcome in outcomes]),
        "running_history": np.stack([outcome.running_history for outcome in outcomes]),
        "validation_history": np.stack([outcome.validation_history for outcome in outcomes]),
        "validation_mae_history": np.stack(
            [outcome.validation_mae_history for outcome in outcomes]
        ),
        "weights": np.stack(
            [zeros if outcome.weights is None else outcome.weights for outcome in outcomes]
        ),
    }
    return sealed_arrays(arrays, origin)


def sealed_arrays(arrays: Arrays, origin: str) -> Arrays:
    """Arrays with a seal by which :func:`unsealed_arrays` knows them."""
    return arrays | {"seal": _seal(arrays, origin)}


def unsealed_arrays(arrays: Arrays, origin: str) -> Arrays:
    """The arrays without their seal.

    Raises
    ------
    ValueError
        If they are not as they were written, or of another run.
    """
    arrays = dict(arrays)
    if str(arrays.pop("seal", "")) != str(_seal(arrays, origin)):
        raise ValueError("seal: not that of these arrays in this run")
    return arrays


def _seal(arrays: Arrays, origin: str) -> NDArray[np.str_]:
    """A hash of arrays and of the run that they are of."""
    found = hashlib.sha256(origin.encode())
    for name, array in sorted(arrays.items()):
        found.update(f"{name} {array.dtype.str} {array.shape}".encode())
        found.update(np.ascontiguousarray(array).data)
    return np.array(found.hexdigest())


def outcomes_of(arrays: Arrays, origin: str) -> list[Outcome]:
    """The inverse of :func:`outcome_arrays`, of arrays that have the form of a stop.

    Raises
    ------
    ValueError
        If they are not as they were written, or of another run.
    """
    arrays = unsealed_arrays(arrays, origin)
    return [
        Outcome(
            cell=int(arrays["cell"][n]),
            replicate=int(arrays["replicate"][n]),
            fold=None if arrays["fold"][n] < 0 else int(arrays["fold"][n]),
            status=str(arrays["status"][n]),
            epochs=int(arrays["epochs"][n]),
            train_loss=float(arrays["train_loss"][n]),
            bias=float(arrays["bias"][n]),
            running_history=arrays["running_history"][n],
            validation_history=arrays["validation_history"][n],
            validation_mae_history=arrays["validation_mae_history"][n],
            weights=arrays["weights"][n] if arrays["status"][n] == "completed" else None,
        )
        for n in range(len(arrays["cell"]))
    ]


def check_planned(
    outcome: Outcome, cells: Sequence[Cell], folds: int | None, n_features: int
) -> None:
    """Raise ValueError unless an outcome is of a training of a run with these cells and folds."""
    of_folds = (None,) if folds is None else (None, *range(folds))
    is_cell = 0 <= outcome.cell < len(cells)
    n_replicates = cells[outcome.cell].train.replicates if is_cell else 0
    if not 0 <= outcome.replicate < n_replicates or outcome.fold not in of_folds:
        found = f"cell {outcome.cell}, replicate {outcome.replicate}, fold {outcome.fold}"
        raise ValueError(f"{found}: no training of this run")
    if outcome.weights is not None and outcome.weights.shape != (n_features,):
        raise ValueError(f"weights: of {outcome.weights.size} features")
