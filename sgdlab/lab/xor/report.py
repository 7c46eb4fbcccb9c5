"""How ``xor-solve`` is shown: the linear model, the known network, and random starts."""

from collections.abc import Iterator
from dataclasses import asdict
from fractions import Fraction
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from sgdlab.lab.xor.exact import INPUTS, PARAMETERS, TARGETS, LinearSolution
from sgdlab.lab.xor.measure import XorStudy
from sgdlab.lab.xor.network import Restarts
from sgdlab.report.layout import new_table
from sgdlab.report.numbers import ABSENT, plain, setting


def table(result: XorStudy) -> RenderableType:
    """What a linear model can do, what two hidden units can, and how often descent finds it."""
    return Group(
        *_linear(result.linear),
        Text(),
        Text(f"Gradient descent on it, learning rate {setting(result.descent_rate)}", style="bold"),
        _descent(result),
        Text(),
        Text("Two rectified linear units solve it exactly: max(0, x W + c) . v + b", style="bold"),
        _network(result),
        Text("  (Goodfellow, Bengio, Courville, Deep Learning, section 6.1)", style="dim"),
        Text(),
        *_restarts(result.restarts),
    )


def _linear(solution: LinearSolution) -> Iterator[RenderableType]:
    yield Text("XOR with a linear model, by least squares in exact fractions", style="bold")
    for row in solution.equations:
        terms = " + ".join(
            name if factor == 1 else f"{factor} {name}"
            for factor, name in zip(row, PARAMETERS, strict=False)
        )
        yield Text(f"  {terms} = {row[-1]}")
    w1, w2, b = solution.parameters
    error = solution.mean_squared_error
    yield Text(f"  w = ({w1}, {w2}), b = {b}")
    predictions = ", ".join(map(str, solution.predictions))
    yield Text(f"  predictions {predictions} for the targets {', '.join(map(str, TARGETS))}")
    yield Text(f"  J = mean squared error = {error}, half of it {error / 2}: no better than a coin")


def _descent(result: XorStudy) -> RenderableType:
    steps = new_table("step", "w1", "w2", "b", "J")
    for step in result.descent:
        figures = (*step.parameters, step.mean_squared_error)
        steps.add_row(str(step.step), *(f"{value:.6f}" for value in figures))
    w1, w2, b = result.linear.parameters
    steps.add_row("exact", *map(str, (w1, w2, b, result.linear.mean_squared_error)))
    return steps


def _network(result: XorStudy) -> RenderableType:
    network = result.network
    points = new_table("x1", "x2", "hidden 1", "hidden 2", "output", "target")
    for x, hidden, output, y in zip(
        INPUTS, network.hidden(), network.outputs(), TARGETS, strict=True
    ):
        points.add_row(*map(str, x), *map(plain, (*hidden, output)), str(y))
    W, c, v = (part.astype(int).tolist() for part in (network.W, network.c, network.v))
    return Group(points, Text(f"  W = {W}, c = {c}, v = {v}, b = {plain(network.b)}", style="dim"))


def _restarts(found: Restarts) -> Iterator[RenderableType]:
    units = "unit" if found.n_hidden == 1 else "units"
    networks = f"{found.n_restarts} networks of {found.n_hidden} {units}"
    yield Text(f"{networks}, trained from standard normal weights", style="bold")
    rate = setting(found.learning_rate)
    yield Text(f"{found.n_steps} steps of gradient descent, learning rate {rate}", style="dim")
    levels = new_table("rest at J =", "networks", "share", "with a dead unit")
    *_, diverged = found.levels
    for level in found.levels if diverged.n_restarts else found.levels[:-1]:
        share = f"{level.n_restarts / found.n_restarts:.1%}"
        name = f"{level.name} (solved)" if level.name == "0" else level.name
        n_dead = ABSENT if level.n_with_dead_unit is None else str(level.n_with_dead_unit)
        levels.add_row(name, str(level.n_restarts), share, n_dead)
    yield levels
    low, high = found.interval
    yield Text(f"Solved: {found.share:.1%}; 95 % interval {low:.1%} to {high:.1%} (Wilson).")
    _, *resting, other, _ = found.levels
    n_resting = sum(level.n_restarts for level in resting)
    n_alive = n_resting - sum(level.n_with_dead_unit or 0 for level in resting)
    if n_resting:
        yield Text(
            f"Of {n_resting} failures at rest {n_alive} ({n_alive / n_resting:.0%}) have no dead "
            "unit: a local minimum."
        )
    if other.n_restarts:
        yield Text(f"{other.n_restarts} have not come to rest; try more steps, or a smaller rate.")
    if diverged.n_restarts:
        yield Text(f"{diverged.n_restarts} have diverged; try a smaller rate.")


def document(result: XorStudy) -> dict[str, Any]:
    """Fractions are text; J is the mean squared error."""
    linear, network = result.linear, result.network
    return {
        "linear": {
            "equations": [list(map(str, row)) for row in linear.equations],
            "parameters": _named(map(str, linear.parameters)),
            "mean_squared_error": str(linear.mean_squared_error),
            "half_mse": str(linear.mean_squared_error / Fraction(2)),
            "predictions": list(map(str, linear.predictions)),
        },
        "descent": {
            "learning_rate": result.descent_rate,
            "steps": [
                {"step": step.step, **_named(step.parameters), "J": step.mean_squared_error}
                for step in result.descent
            ],
        },
        "network": {
            **{name: getattr(network, name).tolist() for name in ("W", "c", "v")},
            "b": network.b,
            "hidden": network.hidden().tolist(),
            "outputs": network.outputs().tolist(),
        },
        "restarts": asdict(result.restarts) | {"share": result.restarts.share},
    }


def _named(values: Any) -> dict[str, Any]:
    return dict(zip(PARAMETERS, values, strict=True))


def rows(result: XorStudy) -> list[dict[str, Any]]:
    """The levels at which networks rest."""
    return [
        {
            "J": level.name,
            "networks": level.n_restarts,
            "share": level.n_restarts / result.restarts.n_restarts,
            "with_dead_unit": level.n_with_dead_unit,
        }
        for level in result.restarts.levels
    ]
