"""Losses on the validation rows, of several epochs at a time.

One product of the weights of several epochs reads the rows once, not once an epoch.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sgdlab.engine.error_sums import ErrorSums
from sgdlab.engine.kernels import Arrays, check_alike, put_back
from sgdlab.engine.products import predictions
from sgdlab.planning.memory import epochs_together


@dataclass(frozen=True)
class Validated:
    """Losses of some trajectories after an epoch, shapes (n_members,)."""

    epoch: int
    members: NDArray[np.int64]
    half_mse: NDArray[np.float64]
    mae: NDArray[np.float64]


class Validation:
    """Weights that wait for the validation rows.

    Parameters
    ----------
    n_trajectories, n_features
        Of the weights of an epoch.
    """

    def __init__(self, n_trajectories: int, n_features: int, dtype: DTypeLike) -> None:
        self._n_together = epochs_together(n_trajectories * n_features * np.dtype(dtype).itemsize)
        n_rows = self._n_together * n_trajectories
        self._weights = np.empty((n_rows, n_features), dtype)
        self._bias = np.empty(n_rows, dtype)
        self._waiting: list[tuple[int, NDArray[np.int64]]] = []
        self._n = 0
        self._sums = ErrorSums(0)

    def add(
        self,
        epoch: int,
        members: NDArray[np.int64],
        weights: NDArray[Any],
        bias: NDArray[np.float64],
    ) -> None:
        """Take weights (n_trajectories, n_features) and bias of some members after an epoch."""
        added = slice(self._n, self._n + len(members))
        np.take(weights, members, axis=0, out=self._weights[added], mode="clip")
        self._bias[added] = bias[members]
        self._n = added.stop
        self._waiting.append((epoch, members))
        self._sums = ErrorSums(self._n)

    @property
    def is_full(self) -> bool:
        """Whether no other epoch is to wait."""
        return len(self._waiting) == self._n_together

    @property
    def is_empty(self) -> bool:
        return not self._n

    def state(self) -> Arrays:
        """What waits, by name, until more is added; nothing may be half measured."""
        return {
            "epochs": np.array([epoch for epoch, _ in self._waiting], dtype=np.int64),
            "n_members": np.array([len(members) for _, members in self._waiting], dtype=np.int64),
            "members": np.concatenate([np.empty(0, np.int64), *(m for _, m in self._waiting)]),
            "weights": self._weights[: self._n],
            "bias": self._bias[: self._n],
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Let wait what waited when this state was taken.

        Raises
        ------
        KeyError, ValueError
            If it is not the state of a validation of as many trajectories.
        """
        self._waiting = self._waited(state)
        self._n = sum(len(members) for _, members in self._waiting)
        put_back(self._weights[: self._n], state["weights"])
        put_back(self._bias[: self._n], state["bias"])
        self._sums = ErrorSums(self._n)

    def _waited(self, state: Mapping[str, NDArray[Any]]) -> list[tuple[int, NDArray[np.int64]]]:
        """Which members waited after which epochs; of a stranger's state all is checked."""
        epochs, n_members, members = (state[name] for name in ("epochs", "n_members", "members"))
        for array in (epochs, n_members, members):
            check_alike(array, np.int64, (array.size,))
        n_trajectories = len(self._weights) // self._n_together
        is_right = len(epochs) == len(n_members) < self._n_together
        is_right &= bool((np.diff(epochs, prepend=0) > 0).all())
        is_right &= bool(((n_members > 0) & (n_members <= n_trajectories)).all())
        is_right &= bool(((members >= 0) & (members < n_trajectories)).all())
        if not is_right or n_members.sum() != len(members):
            raise ValueError("validation: members that cannot have waited")
        parts = np.split(members.copy(), np.cumsum(n_members)[:-1]) if len(n_members) else []
        return list(zip(epochs.tolist(), parts, strict=True))

    @property
    def epochs(self) -> list[int]:
        """After which epochs something waits."""
        return [epoch for epoch, _ in self._waiting]

    def measure(self, rows: NDArray[Any], targets: NDArray[Any]) -> None:
        """Predict some of the rows by all that wait."""
        predicted = predictions(self._weights[: self._n], rows)
        predicted += self._bias[: self._n, None]
        self._sums.add(predicted, targets)

    def take(self) -> Iterator[Validated]:
        """The losses on all rows so far, of what has waited; then nothing waits any more."""
        half_mse, mae = self._sums.half_mse, self._sums.mae
        start = 0
        for epoch, members in self._waiting:
            of_epoch = slice(start, start + len(members))
            yield Validated(epoch, members, half_mse[of_epoch], mae[of_epoch])
            start = of_epoch.stop
        self._waiting, self._n = [], 0
