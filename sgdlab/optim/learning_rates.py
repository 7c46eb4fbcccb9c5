"""The learning rates of a stack of trajectories at every update."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from sgdlab.config.model import Train
from sgdlab.config.objects import column
from sgdlab.words.schedules import SCHEDULES, Schedule

Floats = NDArray[np.float64]


def depends_on_epochs(train: Train) -> bool:
    """Whether the first epochs would differ if there were more of them in all."""
    return train.warmup > 0 or not SCHEDULES[train.schedule].is_constant


@dataclass(frozen=True)
class LearningRates:
    """The learning rates of a stack of trajectories.

    A warm-up is a linear rise in front of the schedule, which then has the rest of the training to
    itself (Goyal et al. 2017, arXiv:1706.02677, section 2.2). The factor of an update is the
    schedule's where its batch begins, and in the warm-up the line's where its batch ends, so that
    the first update is not lost.

    Attributes
    ----------
    base, epochs, warmup : float64 arrays, shape (n_trajectories,)
        As they were given.
    schedules
        Every schedule with the trajectories that it is the schedule of.
    is_constant
        Whether no trajectory's learning rate changes.
    """

    base: Floats
    epochs: Floats
    warmup: Floats
    schedules: tuple[tuple[Schedule, NDArray[np.bool_]], ...]
    is_constant: bool

    @classmethod
    def of_stack(cls, trains: Sequence[Train]) -> "LearningRates":
        """Those that some trajectories ask for."""
        names = np.array([train.schedule for train in trains])
        schedules = []
        for name in np.unique(names).tolist():
            members = [train for train in trains if train.schedule == name]
            schedules.append((SCHEDULES.make(name, partial(column, members)), names == name))
        return cls(
            base=column(trains, "learning_rate"),
            epochs=column(trains, "epochs").astype(np.float64),
            warmup=column(trains, "warmup"),
            schedules=tuple(schedules),
            is_constant=not any(map(depends_on_epochs, trains)),
        )

    def at(self, begin: float | Floats, end: float | Floats) -> Floats:
        """The rates of the update on a batch from ``begin`` to ``end``, in epochs.

        Shape (n_trajectories,); of several batches, given as arrays of shape (n, 1), the shape is
        (n, n_trajectories) if they may differ.
        """
        if self.is_constant:
            return self.base
        rest = 1.0 - self.warmup
        fraction = np.clip((begin / self.epochs - self.warmup) / rest, 0.0, 1.0)
        factors = np.empty_like(fraction)
        for schedule, members in self.schedules:
            factors[..., members] = schedule.factor(fraction[..., members])
        is_warming = begin < self.warmup * self.epochs
        with np.errstate(divide="ignore", over="ignore"):
            rise = np.minimum(end / (self.warmup * self.epochs), 1.0)
        return self.base * np.where(is_warming, rise, factors)
