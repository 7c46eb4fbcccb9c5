"""What may be minimised: a loss of a row's residual ``r = prediction - target``."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sgdlab.words.registry import Numbers, Registry, Word, hyperparameter


@dataclass(frozen=True)
class Loss(Word):
    """A loss; its own hyperparameters broadcast against the residuals."""

    is_linear: ClassVar[bool] = False
    """Whether the derivative is the residual itself, so that steps are linear in the weights."""

    @abstractmethod
    def value(self, residuals: NDArray[Any]) -> NDArray[Any]:
        """The loss of every residual, in its shape; of which trainings take the derivative."""

    @abstractmethod
    def derivative(self, residuals: NDArray[Any]) -> NDArray[Any]:
        """What the loss grows by with the residual, in its shape; may be ``residuals`` itself."""


LOSSES: Registry[Loss] = Registry("train.loss", Loss)


@LOSSES.add
@dataclass(frozen=True)
class Squared(Loss):
    """``r**2 / 2``: the factor 1/2 is Bishop's; scikit-learn's mean squared error has none."""

    name = "squared"
    is_linear = True

    def value(self, residuals: NDArray[Any]) -> NDArray[Any]:
        halves: NDArray[Any] = np.square(residuals) / 2
        return halves

    def derivative(self, residuals: NDArray[Any]) -> NDArray[Any]:
        return residuals


@LOSSES.add
@dataclass(frozen=True)
class Absolute(Loss):
    r"""``\|r\|``, with the subgradient sign(r), which is 0 at 0."""

    name = "absolute"

    def value(self, residuals: NDArray[Any]) -> NDArray[Any]:
        sizes: NDArray[Any] = np.abs(residuals)
        return sizes

    def derivative(self, residuals: NDArray[Any]) -> NDArray[Any]:
        signs: NDArray[Any] = np.sign(residuals)
        return signs


@LOSSES.add
@dataclass(frozen=True)
class Huber(Loss):
    r"""``r**2 / 2`` up to \|r\| = delta, beyond it ``delta * (\|r\| - delta / 2)``.

    Huber 1964, doi:10.1214/aoms/1177703732.
    """

    name = "huber"
    huber_delta: Numbers = hyperparameter(
        1.0, "residual at which huber turns from squared to absolute", gt=0
    )

    def value(self, residuals: NDArray[Any]) -> NDArray[Any]:
        sizes = np.abs(residuals)
        beyond: NDArray[Any] = self.huber_delta * (sizes - self.huber_delta / 2)
        return np.where(sizes <= self.huber_delta, np.square(residuals) / 2, beyond)

    def derivative(self, residuals: NDArray[Any]) -> NDArray[Any]:
        clipped: NDArray[Any] = np.clip(residuals, -self.huber_delta, self.huber_delta)
        return clipped
