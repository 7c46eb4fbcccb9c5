"""What is reported of a model on one set of rows."""

import math
from dataclasses import dataclass

from sgdlab.evaluation.mae_step import MaeStep
from sgdlab.evaluation.rounding import Rounding
from sgdlab.evaluation.score import Scores
from sgdlab.optim.losses import Losses
from sgdlab.uncertainty.differences import Difference


@dataclass(frozen=True)
class EvaluatedRows:
    """A cell on one set of rows.

    With folds, ``validation`` are all rows to train, each predicted by the model of the fold that
    holds it out; the losses there are means over folds.

    Attributes
    ----------
    losses
        Means over replicates.
    constant_losses
        Of the constant predictor, which knows the run's training rows; or those of the fold.
    difference
        Of the cell to the constant predictor, in the run's metric.
    error_90, largest_error
        Absolute errors, of all replicates together: nine in ten are at most the first.
    logged
        The losses as the run's log has them; NaN where it has not.
    unlike_log
        Which of them, ``half_mse`` or ``mae``, are others than were logged, beyond rounding.
    step
        From the weights of replicate 0; None if it is not wanted, or each fold has its own weights.
    """

    rows: str
    n_rows: int
    losses: Losses
    error_90: float
    largest_error: float
    constant_losses: Losses
    difference: Difference
    logged: Losses
    unlike_log: tuple[str, ...]
    step: MaeStep | None

    @property
    def logged_loss(self) -> float | None:
        """``losses.half_mse`` as the run's log has it; None if it has not."""
        return None if math.isnan(self.logged.half_mse) else self.logged.half_mse

    @property
    def is_as_logged(self) -> bool | None:
        """Whether the losses are those of the log but for rounding; None if it has none."""
        if math.isnan(self.logged.half_mse) and math.isnan(self.logged.mae):
            return None
        return not self.unlike_log

    @classmethod
    def of(
        cls,
        rows: str,
        scores: Scores,
        logged: Losses,
        rounding: Rounding,
        step: MaeStep | None = None,
    ) -> "EvaluatedRows":
        """What is reported of some scores."""
        return cls(
            rows,
            len(scores.targets),
            scores.losses,
            *scores.large_errors,
            scores.constant_losses,
            scores.difference,
            logged,
            rounding.unexplained(scores.losses, logged),
            step,
        )
