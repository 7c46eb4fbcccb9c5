"""What cells are compared by: a loss of every row's error, of which a metric is the mean."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sgdlab.words.registry import Registry, Word


@dataclass(frozen=True)
class Metric(Word):
    """A metric; its name is also that of the number in whatever holds losses of every kind."""

    label: ClassVar[str]
    """In tables and sentences."""
    logged_as: ClassVar[str]
    """The number of a training's log that is its mean over the validation rows."""
    constant: ClassVar[str]
    """Which statistic of the targets is the constant with the smallest mean."""

    @abstractmethod
    def row_losses(self, errors: NDArray[np.float64]) -> NDArray[np.float64]:
        """The loss of every prediction minus its target, in their shape."""

    @abstractmethod
    def best_constant(self, targets: NDArray[np.float64]) -> float:
        """The constant prediction with the smallest mean on these targets."""

    def of(self, losses: Any) -> Any:
        """Its value among losses of every kind."""
        return getattr(losses, self.name)


METRICS: Registry[Metric] = Registry("select.metric", Metric)


@METRICS.add
@dataclass(frozen=True)
class HalfMse(Metric):
    """Half the mean squared error, in squared target units."""

    name = "half_mse"
    label = "half-MSE"
    logged_as = "validation_loss"
    constant = "mean"

    def row_losses(self, errors: NDArray[np.float64]) -> NDArray[np.float64]:
        halves: NDArray[np.float64] = np.square(errors) / 2
        return halves

    def best_constant(self, targets: NDArray[np.float64]) -> float:
        mean = float(np.mean(targets))
        if not np.isfinite(mean):
            return mean
        # Of equal targets rounding may take it out of their range.
        return float(np.clip(mean, np.min(targets), np.max(targets)))


@METRICS.add
@dataclass(frozen=True)
class Mae(Metric):
    """The mean absolute error, in target units."""

    name = "mae"
    label = "MAE"
    logged_as = "validation_mae"
    constant = "median"

    def row_losses(self, errors: NDArray[np.float64]) -> NDArray[np.float64]:
        sizes: NDArray[np.float64] = np.abs(errors)
        return sizes

    def best_constant(self, targets: NDArray[np.float64]) -> float:
        return float(np.median(targets))
