"""XOR: the best linear model in exact fractions, and the network that solves it."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

INPUTS = ((0, 0), (0, 1), (1, 0), (1, 1))
TARGETS = (0, 1, 1, 0)
PARAMETERS = ("w1", "w2", "b")

Row = tuple[Fraction, ...]


@dataclass(frozen=True)
class LinearSolution:
    """The minimum of ``J = mean((x.w + b - y)**2)`` over the four points of XOR.

    Attributes
    ----------
    equations
        The normal equations in lowest terms: coefficients of w1, w2 and b, and the right side.
    parameters
        w1, w2 and b.
    mean_squared_error
        J, as the homework writes it; the half mean squared error is half of that.
    predictions
        For the points in the order of ``INPUTS``.
    """

    equations: tuple[Row, ...]
    parameters: Row
    mean_squared_error: Fraction
    predictions: Row


def solve_linear() -> LinearSolution:
    """Least squares on XOR in rational arithmetic: nothing is rounded."""
    points = [tuple(map(Fraction, (*x, 1))) for x in INPUTS]
    equations = tuple(
        _lowest_terms(
            [sum(p[i] * p[j] for p in points) for j in range(3)]
            + [sum(p[i] * y for p, y in zip(points, TARGETS, strict=True))]
        )
        for i in range(3)
    )
    parameters = _solve(equations)
    predictions = tuple(
        sum((a * w for a, w in zip(point, parameters, strict=True)), Fraction(0))
        for point in points
    )
    squares = [(p - y) ** 2 for p, y in zip(predictions, TARGETS, strict=True)]
    return LinearSolution(equations, parameters, sum(squares, Fraction(0)) / 4, predictions)


def _lowest_terms(row: Sequence[Fraction | int]) -> Row:
    """The same equation with the smallest whole coefficients."""
    divisor = int(np.gcd.reduce([int(value) for value in row]))
    return tuple(Fraction(value) / divisor for value in row)


def _solve(equations: tuple[Row, ...]) -> Row:
    """Gauss-Jordan elimination; the equations have one solution."""
    rows = [list(row) for row in equations]
    for n in range(len(rows)):
        pivot = next(m for m in range(n, len(rows)) if rows[m][n] != 0)
        rows[n], rows[pivot] = rows[pivot], rows[n]
        rows[n] = [value / rows[n][n] for value in rows[n]]
        for m in range(len(rows)):
            if m != n:
                factor = rows[m][n]
                rows[m] = [a - factor * b for a, b in zip(rows[m], rows[n], strict=True)]
    return tuple(row[-1] for row in rows)


@dataclass(frozen=True)
class DescentStep:
    """Where full-batch gradient descent on the half mean squared error has come to."""

    step: int
    parameters: tuple[float, ...]  # w1, w2, b
    mean_squared_error: float


def descend(learning_rate: float, shown_steps: tuple[int, ...]) -> tuple[DescentStep, ...]:
    """Gradient descent of the linear model from ``w = (1, -1), b = 0``, at some of its steps."""
    X = np.column_stack([np.array(INPUTS, dtype=float), np.ones(4)])
    y = np.array(TARGETS, dtype=float)
    parameters, found = np.array([1.0, -1.0, 0.0]), []
    for step in range(max(shown_steps) + 1):
        residuals = X @ parameters - y
        if step in shown_steps:
            error = float(np.mean(residuals**2))
            found.append(DescentStep(step, tuple(parameters.tolist()), error))
        parameters = parameters - learning_rate * X.T @ residuals / 4
    return tuple(found)


@dataclass(frozen=True)
class Network:
    """``max(0, x W + c) . v + b``: two inputs, some hidden rectified linear units, one output.

    ``W`` (2, n_hidden), ``c`` and ``v`` (n_hidden,), ``b``.
    """

    W: NDArray[np.float64]
    c: NDArray[np.float64]
    v: NDArray[np.float64]
    b: float

    def hidden(self) -> NDArray[np.float64]:
        """Activations at the points of ``INPUTS``, shape (4, n_hidden)."""
        return np.maximum(0.0, np.array(INPUTS, dtype=float) @ self.W + self.c)

    def outputs(self) -> NDArray[np.float64]:
        """At the points of ``INPUTS``, shape (4,)."""
        outputs: NDArray[np.float64] = self.hidden() @ self.v + self.b
        return outputs


def known_network() -> Network:
    """Solves XOR exactly (Goodfellow, Bengio, Courville 2016, Deep Learning, section 6.1)."""
    return Network(np.ones((2, 2)), np.array([0.0, -1.0]), np.array([1.0, -2.0]), 0.0)
