"""Everything about XOR in one result."""

from dataclasses import dataclass

from sgdlab.lab.xor.exact import (
    DescentStep,
    LinearSolution,
    Network,
    descend,
    known_network,
    solve_linear,
)
from sgdlab.lab.xor.network import Restarts

DESCENT_RATE = 1.0
DESCENT_STEPS = (0, 1, 2, 5, 10, 20, 50)


@dataclass(frozen=True)
class XorStudy:
    """XOR by a linear model, exactly and by descent, by a known network, and by trained ones."""

    linear: LinearSolution
    descent_rate: float
    descent: tuple[DescentStep, ...]
    network: Network
    restarts: Restarts


def study_xor(restarts: Restarts) -> XorStudy:
    """Put networks from random starts beside what is known exactly."""
    descent = descend(DESCENT_RATE, DESCENT_STEPS)
    return XorStudy(solve_linear(), DESCENT_RATE, descent, known_network(), restarts)
