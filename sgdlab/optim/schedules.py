"""Learning rates that change during a training, as factors of the one that was given.

A schedule is a function of the fraction of the training that is done, from 0 to 1, and is applied
at every update. ``final`` is the factor that it comes to at the end.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from sgdlab.config import Train, column

Floats = NDArray[np.float64]


def constant(fraction: Floats, final: Floats, n_steps: Floats) -> Floats:
    return np.ones_like(fraction)


def exponential(fraction: Floats, final: Floats, n_steps: Floats) -> Floats:
    """The same relative decrease at every update."""
    return np.power(final, fraction)


def step(fraction: Floats, final: Floats, n_steps: Floats) -> Floats:
    """``n_steps`` equal relative drops, with equally long plateaus between them."""
    return np.power(final, np.floor(fraction * (n_steps + 1)) / n_steps)


def inverse_time(fraction: Floats, final: Floats, n_steps: Floats) -> Floats:
    """``1 / (1 + c t)``, the decay under which SGD converges (Robbins and Monro 1951)."""
    return 1.0 / (1.0 + fraction * (1.0 / final - 1.0))


def cosine(fraction: Floats, final: Floats, n_steps: Floats) -> Floats:
    """Half a period of a cosine (Loshchilov and Hutter 2017, arXiv:1608.03983)."""
    return final + (1.0 - final) * (1.0 + np.cos(np.pi * fraction)) / 2.0


SCHEDULES: dict[str, Callable[[Floats, Floats, Floats], Floats]] = {
    "constant": constant,
    "exponential": exponential,
    "step": step,
    "inverse_time": inverse_time,
    "cosine": cosine,
}


def depends_on_epochs(train: Train) -> bool:
    """Whether the first epochs would differ if there were more of them in all."""
    return train.schedule != "constant" or train.warmup > 0


class LearningRates:
    """The learning rates of a stack of cells at every update.

    A warm-up is a linear rise in front of the schedule, which then has the rest of the training to
    itself (Goyal et al. 2017, arXiv:1706.02677, section 2.2). The factor of an update is the
    schedule's where its batch begins, and in the warm-up the line's where its batch ends, so that
    the first update is not lost.

    Attributes
    ----------
    is_constant
        Whether no cell's learning rate changes.
    """

    def __init__(self, trains: Sequence[Train]) -> None:
        self._base = column(trains, "learning_rate")
        self._epochs = column(trains, "epochs").astype(np.float64)
        self._final = column(trains, "final_factor")
        self._n_steps = column(trains, "schedule_steps").astype(np.float64)
        self._warmup = column(trains, "warmup")
        names = np.array([train.schedule for train in trains])
        self._members = [(SCHEDULES[name], names == name) for name in np.unique(names).tolist()]
        self.is_constant = not any(map(depends_on_epochs, trains))

    def at(self, begin: float | Floats, end: float | Floats) -> Floats:
        """Of the update on a batch from ``begin`` to ``end``, in epochs; shape (n_cells,).

        Of several batches, given as arrays of shape (n, 1), the shape is (n, n_cells) if they may
        differ.
        """
        if self.is_constant:
            return self._base
        rest = 1.0 - self._warmup
        fraction = np.clip((begin / self._epochs - self._warmup) / rest, 0.0, 1.0)
        factors = np.empty_like(fraction)
        for schedule, cells in self._members:
            factors[..., cells] = schedule(
                fraction[..., cells], self._final[cells], self._n_steps[cells]
            )
        is_warming = begin < self._warmup * self._epochs
        with np.errstate(divide="ignore"):
            rise = np.minimum(end / (self._warmup * self._epochs), 1.0)
        return self._base * np.where(is_warming, rise, factors)

    def freeze(self, cells: NDArray[np.bool_]) -> None:
        """No more steps of some cells."""
        self._base[cells] = 0.0
