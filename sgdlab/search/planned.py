"""What a search would do and cost."""

from dataclasses import dataclass

from sgdlab.planning.cost import Estimate, Prediction
from sgdlab.planning.plan import Plan


@dataclass(frozen=True)
class PlannedSearch:
    """What a search would do and cost; the prediction where this machine was measured."""

    name: str
    is_synthetic: bool
    plan: Plan
    cost: Estimate
    prediction: Prediction | None = None
