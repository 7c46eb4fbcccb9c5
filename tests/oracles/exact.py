"""Least squares in fractions: no rounding at all, for a few small rows."""

from fractions import Fraction


def exactly(numbers):
    return [Fraction(float(number)) for number in numbers]


def mean(values):
    return sum(values) / len(values)


def solve(matrix, right):
    """Gauss-Jordan elimination of a square system that is not singular."""
    table = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for n in range(len(table)):
        pivot = next(k for k in range(n, len(table)) if table[k][n] != 0)
        table[n], table[pivot] = table[pivot], table[n]
        table[n] = [value / table[n][n] for value in table[n]]
        for k in range(len(table)):
            if k != n:
                factor = table[k][n]
                table[k] = [a - factor * b for a, b in zip(table[k], table[n], strict=True)]
    return [row[-1] for row in table]


def least_squares(X, y):
    """Weights, bias and mean squared residual of the best linear model."""
    rows = [[*exactly(row), Fraction(1)] for row in X]
    targets = exactly(y)
    columns = list(zip(*rows, strict=True))
    gram = [[sum(map(Fraction.__mul__, a, b)) for b in columns] for a in columns]
    cross = [sum(map(Fraction.__mul__, a, targets)) for a in columns]
    *weights, bias = solve(gram, cross)
    residuals = [
        sum(map(Fraction.__mul__, row, [*weights, bias])) - target
        for row, target in zip(rows, targets, strict=True)
    ]
    return weights, bias, mean([residual**2 for residual in residuals])
