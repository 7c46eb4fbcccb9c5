"""How a gradient becomes a step, with the conventions of PyTorch's optimizers.

``l2`` is part of the gradient, and ``weight_decay`` shrinks the weights beside the step, whatever
the optimizer is; neither touches the bias. Every optimizer is elementwise, so that trajectories of
a stack do not know of each other.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sgdlab.words.registry import Numbers, Registry, Word, hyperparameter

Averages = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Optimizer(Word):
    """A rule of steps; its own hyperparameters have shape (n_trajectories,), or are one number.

    Attributes
    ----------
    averages
        Names of what is remembered of past gradients; each starts as zeros.
    is_plain
        Whether the direction is the gradient and nothing else. Then a stack of trajectories may
        shrink its weights by one number a trajectory, and small batches may be trained in windows.
    n_temporaries
        How many arrays as large as the gradients a step makes on its way, for plans of memory.
    """

    averages: ClassVar[tuple[str, ...]] = ()
    is_plain: ClassVar[bool] = False
    n_temporaries: ClassVar[int] = 3

    @abstractmethod
    def direction(self, gradient: NDArray[Any], averages: Averages, n_updates: int) -> NDArray[Any]:
        """What is subtracted from the parameters, apart from the learning rate.

        Parameters
        ----------
        gradient : float array, shape (n_trajectories, n_parameters)
        averages
            By name, in the shape of the gradient; changed in place.
        n_updates
            How many there were, this one included.
        """


def as_column(values: Numbers, like: NDArray[Any]) -> NDArray[Any]:
    """One number a trajectory, in the dtype of an array (n_trajectories, n_parameters)."""
    return np.reshape(values, (-1, 1)).astype(like.dtype)


OPTIMIZERS: Registry[Optimizer] = Registry("train.optimizer", Optimizer)


@OPTIMIZERS.add
@dataclass(frozen=True)
class Sgd(Optimizer):
    """The gradient itself."""

    name = "sgd"
    is_plain = True
    n_temporaries = 0

    def direction(self, gradient: NDArray[Any], averages: Averages, n_updates: int) -> NDArray[Any]:
        return gradient


@OPTIMIZERS.add
@dataclass(frozen=True)
class Momentum(Optimizer):
    """``v = momentum * v + gradient``, and the step is v (Polyak 1964)."""

    name = "momentum"
    averages = ("velocity",)
    n_temporaries = 2
    momentum: Numbers = hyperparameter(
        0.9, "of momentum and nesterov: share of the last step that is kept", ge=0, lt=1
    )

    def direction(self, gradient: NDArray[Any], averages: Averages, n_updates: int) -> NDArray[Any]:
        velocity = averages["velocity"]
        velocity *= as_column(self.momentum, gradient)
        velocity += gradient
        return velocity


@OPTIMIZERS.add
@dataclass(frozen=True)
class Nesterov(Momentum):
    """The same v; the step is ``gradient + momentum * v`` (Sutskever et al. 2013, as PyTorch)."""

    name = "nesterov"
    n_temporaries = 3

    def direction(self, gradient: NDArray[Any], averages: Averages, n_updates: int) -> NDArray[Any]:
        velocity = super().direction(gradient, averages, n_updates)
        ahead: NDArray[Any] = gradient + as_column(self.momentum, gradient) * velocity
        return ahead


@OPTIMIZERS.add
@dataclass(frozen=True)
class Adam(Optimizer):
    """The mean gradient over the root of the mean square (Kingma and Ba 2015, arXiv:1412.6980).

    With ``weight_decay`` beside it as in Loshchilov and Hutter 2019, arXiv:1711.05101.
    """

    name = "adam"
    averages = ("mean", "mean_square")
    n_temporaries = 5
    beta1: Numbers = hyperparameter(0.9, "of adam: of the mean gradient", ge=0, lt=1)
    beta2: Numbers = hyperparameter(0.999, "of adam: of the mean squared gradient", ge=0, lt=1)
    epsilon: Numbers = hyperparameter(1e-8, "of adam: added to the root", ge=1e-30)

    def direction(self, gradient: NDArray[Any], averages: Averages, n_updates: int) -> NDArray[Any]:
        for name, value, beta in (
            ("mean", gradient, self.beta1),
            ("mean_square", np.square(gradient), self.beta2),
        ):
            average = averages[name]
            average *= as_column(beta, gradient)
            average += as_column(1.0 - beta, gradient) * value
        mean = averages["mean"] / as_column(1.0 - self.beta1**n_updates, gradient)
        square = averages["mean_square"] / as_column(1.0 - self.beta2**n_updates, gradient)
        direction: NDArray[Any] = mean / (np.sqrt(square) + as_column(self.epsilon, gradient))
        return direction
