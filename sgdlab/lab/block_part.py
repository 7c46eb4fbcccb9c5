"""A block of trainings as a part of an experiment that can be kept."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from sgdlab.engine.running_block import Outcome
from sgdlab.planning.plan import Block
from sgdlab.runs.parts_folder import Arrays
from sgdlab.runs.stops import outcome_arrays, outcomes_of


@dataclass
class BlockPart:
    """What came out of a block so far.

    Attributes
    ----------
    settings
        The name of the settings that the plan is of, among those of the experiment.
    """

    settings: str
    block: Block
    n_features: int
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.settings}/block-{self.block.index:04d}"

    @property
    def is_whole(self) -> bool:
        """Whether nothing of the block is left to be trained."""
        return len(self.outcomes) == len(self._trainings())

    def arrays(self) -> Arrays:
        """All outcomes; those of as many epochs stand together, since their histories do."""
        together: dict[int, list[Outcome]] = defaultdict(list)
        for outcome in self.outcomes:
            together[outcome.epochs].append(outcome)
        return {
            f"{epochs}.{key}": array
            for epochs, outcomes in together.items()
            for key, array in outcome_arrays(outcomes, self.name).items()
        }

    def read(self, arrays: Arrays) -> Sequence[Outcome]:
        """The inverse of :meth:`arrays`.

        Raises
        ------
        KeyError, ValueError
            If these are not outcomes of the block.
        """
        together: dict[str, dict[str, NDArray[Any]]] = defaultdict(dict)
        for name, array in arrays.items():
            epochs, _, key = name.partition(".")
            if key:
                together[epochs][key] = array
        found = [one for of_one in together.values() for one in outcomes_of(of_one, self.name)]
        if sorted((one.cell, one.replicate) for one in found) != sorted(self._trainings()):
            raise ValueError("not the trainings of the block")
        for outcome in found:
            self._check(outcome)
        return found

    def _check(self, outcome: Outcome) -> None:
        if (weights := outcome.weights) is not None:
            precision = self.block.trajectories[0].train.precision
            _check_array("weights", weights, precision, self.n_features)
        elif outcome.status != "diverged":
            raise ValueError(f"status {outcome.status}")
        for history in (outcome.running_history, outcome.validation_history):
            _check_array("losses", history, "float64", outcome.epochs)

    def _trainings(self) -> set[tuple[int, int]]:
        """The cells of the block, with their replicates."""
        return {
            (stop.cell, trajectory.replicate)
            for trajectory in self.block.trajectories
            for stop in trajectory.stops
        }


def _check_array(what: str, array: NDArray[Any], dtype: str, length: int) -> None:
    if array.shape != (length,) or array.dtype != dtype:
        raise ValueError(f"{what}: {array.dtype} of shape {array.shape}")
