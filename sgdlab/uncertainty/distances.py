"""Distances between points of many dimensions, by products of matrices."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def distances(points: Floats, others: Floats) -> Floats:
    """Euclidean distances, shape (n_points, n_others), of rows of shape (n_dimensions,).

    About the mean of all, since squares of what they have in common would drown them.
    """
    center = (points.mean(axis=0) + others.mean(axis=0)) / 2
    points, others = points - center, others - center
    squares = np.square(points).sum(axis=1)[:, None] + np.square(others).sum(axis=1)
    squares -= 2 * (points @ others.T)
    found: Floats = np.sqrt(np.maximum(squares, 0))
    return found


def distances_within(points: Floats) -> Floats:
    """Distances of points among themselves, shape (n_points, n_points): symmetric, 0 to itself."""
    found = distances(points, points)
    np.fill_diagonal(found, 0)
    return (found + found.T) / 2
