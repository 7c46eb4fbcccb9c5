"""Learning rates that change during a training, as factors of the one that was given.

A schedule is a function of the fraction of the training that is done, from 0 to 1, and is applied
at every update.
"""

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sgdlab.words.registry import Numbers, Registry, Word, hyperparameter

SMALLEST_INVERTED = 1e-300

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Schedule(Word):
    """A schedule; its own hyperparameters broadcast against the fractions."""

    is_constant: ClassVar[bool] = False
    """Whether the first epochs are the same however many there are in all."""

    @abstractmethod
    def factor(self, fraction: Floats) -> Floats:
        """What the learning rate is multiplied with, in the shape of ``fraction``."""


SCHEDULES: Registry[Schedule] = Registry("train.schedule", Schedule)


@SCHEDULES.add
@dataclass(frozen=True)
class Constant(Schedule):
    """The learning rate as it was given."""

    name = "constant"
    is_constant = True

    def factor(self, fraction: Floats) -> Floats:
        return np.ones_like(fraction)


@dataclass(frozen=True)
class _Falling(Schedule):
    """Comes to ``final_factor`` at the end."""

    final_factor: Numbers = hyperparameter(0.01, "of every schedule but constant", gt=0, le=1)


@SCHEDULES.add
@dataclass(frozen=True)
class Exponential(_Falling):
    """The same relative decrease at every update."""

    name = "exponential"

    def factor(self, fraction: Floats) -> Floats:
        return np.power(self.final_factor, fraction)


@SCHEDULES.add
@dataclass(frozen=True)
class Step(_Falling):
    """``schedule_steps`` equal relative drops, with equally long plateaus between them."""

    name = "step"
    schedule_steps: Numbers = hyperparameter(3, "drops of the schedule step", ge=1, le=10**6)

    def factor(self, fraction: Floats) -> Floats:
        n_steps = self.schedule_steps
        return np.power(self.final_factor, np.floor(fraction * (n_steps + 1)) / n_steps)


@SCHEDULES.add
@dataclass(frozen=True)
class InverseTime(_Falling):
    """``1 / (1 + c t)``, the decay under which SGD converges (Robbins and Monro 1951)."""

    name = "inverse_time"

    def factor(self, fraction: Floats) -> Floats:
        if self._has_inverse.all():
            return _inverse_time(fraction, self.final_factor)
        final = np.where(self._has_inverse, self.final_factor, 1.0)
        small = self.final_factor / (self.final_factor + fraction * (1.0 - self.final_factor))
        return np.where(self._has_inverse, _inverse_time(fraction, final), small)

    @cached_property
    def _has_inverse(self) -> NDArray[np.bool_]:
        """Whether ``1 / final_factor`` is in the range of float64."""
        return np.greater(self.final_factor, SMALLEST_INVERTED)


def _inverse_time(fraction: Floats, final_factor: Numbers) -> Floats:
    factors: Floats = 1.0 / (1.0 + fraction * (1.0 / final_factor - 1.0))
    return factors


@SCHEDULES.add
@dataclass(frozen=True)
class Cosine(_Falling):
    """Half a period of a cosine (Loshchilov and Hutter 2017, arXiv:1608.03983)."""

    name = "cosine"

    def factor(self, fraction: Floats) -> Floats:
        rise = (1.0 - self.final_factor) * (1.0 + np.cos(np.pi * fraction))
        return self.final_factor + rise / 2.0
