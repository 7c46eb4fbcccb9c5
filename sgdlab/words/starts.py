"""The weights from which a training starts."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sgdlab.random_streams import Purpose, generator
from sgdlab.words.registry import Registry, Word, hyperparameter


@dataclass(frozen=True)
class Start(Word):
    """Where the weights of one replicate of a cell start."""

    seed: int = 0
    replicate: int = 0

    is_zero: ClassVar[bool] = False
    """Whether all weights are 0, so that the first predictions are the bias alone."""

    @abstractmethod
    def weights(self, n_features: int) -> NDArray[np.float64]:
        """Shape (n_features,)."""


STARTS: Registry[Start] = Registry("train.initial_weights", Start)


@STARTS.add
@dataclass(frozen=True)
class Zeros(Start):
    """All 0."""

    name = "zeros"
    is_zero = True

    def weights(self, n_features: int) -> NDArray[np.float64]:
        return np.zeros(n_features)


@STARTS.add
@dataclass(frozen=True)
class Normal(Start):
    """Independent normal numbers around 0."""

    name = "normal"
    initial_scale: float = hyperparameter(0.01, "standard deviation of normal weights", gt=0)

    def weights(self, n_features: int) -> NDArray[np.float64]:
        numbers = generator(self.seed, Purpose.INITIAL_WEIGHTS, self.replicate)
        return self.initial_scale * numbers.standard_normal(n_features)
