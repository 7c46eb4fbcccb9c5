"""How far SGD with a constant learning rate stays above the exact minimum: its noise floor."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sgdlab.config.model import Train
from sgdlab.engine.direct import DirectKernel
from sgdlab.optim.closed_form import Minimum, largest_eigenvalue, minimise, rounding_of_fit
from sgdlab.optim.moments import check_range, moments
from sgdlab.words.orders import ORDERS

SMALLEST_NOISE = 1e-12  # relative to that of the best constant


@dataclass(frozen=True)
class Problem:
    """Strongly convex: ``mean((x.w + b - y)**2) / 2 + l2/2 * w.w``, with its exact minimum.

    Attributes
    ----------
    X : float64 array, shape (n_rows, n_features)
    y : float64 array, shape (n_rows,)
    batch_size
        Divides the rows: a shorter last batch would weigh its rows more than others.
    trains_bias
        Otherwise the bias stays at that of the minimum.
    curvature
        The largest eigenvalue of the Hessian, L2 included.
    noise
        Trace of the covariance of a single row's gradient at the minimum.
    smallest_noise
        A smaller one is none: it is what rounding leaves, or little beside that of the best
        constant.
    """

    X: NDArray[np.float64]
    y: NDArray[np.float64]
    batch_size: int
    l2: float
    trains_bias: bool
    minimum: Minimum
    curvature: float
    noise: float
    smallest_noise: float

    @property
    def n_batches(self) -> int:
        return len(self.y) // self.batch_size

    def pace(self, learning_rate: float) -> float:
        """Time constants of the steepest direction in an epoch."""
        return learning_rate * self.curvature * self.n_batches

    def excess(
        self, weights: NDArray[np.float64], bias: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The objective above its minimum, without cancellation; shape (n_models,).

        The objective is quadratic and its gradient vanishes at the minimum, so the excess is the
        quadratic form of the distance from there. ``weights`` (n_models, n_features).
        """
        apart = weights - self.minimum.weights
        moved = apart @ self.X.T + (bias - self.minimum.bias)[:, None]
        excess: NDArray[np.float64] = (
            np.mean(moved**2, axis=1) + self.l2 * np.sum(apart**2, axis=1)
        ) / 2
        return excess

    def expected_floor(self, learning_rate: float) -> float:
        """The floor of sampling with replacement, at first order in the learning rate.

        With Hessian H and gradient covariance S of a batch, the stationary covariance C solves
        ``H C + C H = learning_rate * S``, hence tr(H C) / 2 = learning_rate * tr(S) / 4
        (Mandt, Hoffman and Blei 2017, arXiv:1704.04289).
        """
        return learning_rate * self.noise / (4 * self.batch_size)


def rotated(X: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows in coordinates of the space that they span, if that has fewer dimensions than columns.

    SGD from zero or from the minimum never leaves that space, and no loss or norm changes under a
    rotation: the same process, at a fraction of the arithmetic.
    """
    n_rows, n_features = X.shape
    return np.linalg.qr(X.T).R.T if n_rows < n_features else X


def make_problem(
    X: NDArray[np.float64],
    y: NDArray[np.float64],
    batch_size: int,
    l2: float,
    bias: float | None,
    largest_condition: float = math.inf,
) -> Problem:
    """The problem on some rows, with its exact minimum.

    Parameters
    ----------
    bias
        Held at this value, or None: trained.
    largest_condition
        Raises ``l2`` to the largest eigenvalue of X.T X / n over this.
    """
    check_range(X, y)
    X = rotated(X)
    sums = moments([(X, y)])
    eigenvalue = largest_eigenvalue(sums, with_bias=bias is None)
    l2 = max(l2, eigenvalue / largest_condition)
    minimum = minimise(sums, l2, bias)
    inputs = X if bias is not None else np.column_stack([X, np.ones(len(X))])
    noise = _gradient_noise(X @ minimum.weights + minimum.bias - y, inputs)
    of_constant = _gradient_noise((y.mean() if bias is None else bias) - y, inputs)
    sizes = np.sqrt(np.mean(np.square(inputs), axis=0))
    rounding = rounding_of_fit(minimum, sizes[: X.shape[1]], y) * np.linalg.norm(sizes)
    smallest = max(SMALLEST_NOISE * of_constant, float(rounding) ** 2)
    return Problem(X, y, batch_size, l2, bias is None, minimum, eigenvalue + l2, noise, smallest)


def _gradient_noise(residuals: NDArray[np.float64], inputs: NDArray[np.float64]) -> float:
    """Trace of the covariance of the rows' gradients."""
    return float(np.sum(np.var(residuals[:, None] * inputs, axis=0)))


@dataclass(frozen=True)
class Descent:
    """Where a training starts, and with which learning rate and for how long it goes on."""

    learning_rate: float
    epochs: int
    weights: NDArray[np.float64]
    bias: float


def excess_histories(
    problem: Problem, descents: Sequence[Descent], order: str, seed: int, replicate: int
) -> NDArray[np.float64]:
    """Train all together; the excess after every epoch, shape (n_descents, most epochs).

    NaN after a training's own last epoch, and not finite where it diverged.
    """
    kernel = _kernel(problem, descents)
    epochs = np.array([descent.epochs for descent in descents])
    histories = np.full((len(descents), epochs.max()), np.nan)
    n_rows, shown = len(problem.y), ORDERS.make(order, seed=seed, replicate=replicate)
    for epoch in range(epochs.max()):
        rows = shown.positions(n_rows, epoch)
        kernel.start_epoch(n_rows)
        kernel.step(np.take(problem.X, rows, axis=0), problem.y[rows])
        is_on = epochs > epoch
        with np.errstate(over="ignore", invalid="ignore"):
            excess = problem.excess(kernel.weights[is_on], kernel.bias[is_on])
        histories[is_on, epoch] = excess
    return histories


def _kernel(problem: Problem, descents: Sequence[Descent]) -> DirectKernel:
    trains = [
        Train(
            batch_size=problem.batch_size,
            learning_rate=descent.learning_rate,
            epochs=descent.epochs,
            l2=problem.l2,
            initial_bias=descent.bias,
            train_bias=problem.trains_bias,
        )
        for descent in descents
    ]
    return DirectKernel(trains, np.stack([descent.weights for descent in descents]), np.float64)
