"""What ``orders`` shows."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sgdlab.lab.orders.compared import COMPARED
from sgdlab.lab.orders.conclusions import sentences
from sgdlab.lab.orders.floors import Floor
from sgdlab.lab.orders.measure import OrdersResult
from sgdlab.lab.orders.own_training import OwnTraining
from sgdlab.lab.subject import Answer
from sgdlab.report.layout import new_table, new_title
from sgdlab.report.numbers import ABSENT, finite, measured
from sgdlab.uncertainty.means import Mean

HEADINGS = ("with\nreplacement", "fresh\nsubset", "shuffled\nonce", "shuffled\neach epoch")
NAMES = dict(zip(COMPARED, (heading.replace("\n", " ") for heading in HEADINGS), strict=True))
SLOPES = dict(zip(COMPARED, ("1", "1", "2 or more", "2 or more"), strict=True))  # in theory
UNSETTLED = "*"


def table(answer: Answer[OrdersResult]) -> RenderableType:
    """Floors over learning rates, the approach to them, and what they mean."""
    result = answer.result
    parts: list[RenderableType] = [_title(answer), _floors_table(result)]
    parts += [Text(note, style="dim") for note in _notes(result)]
    if result.approach_rate is not None:
        heading = f"\nExcess on the way from zero, learning rate {result.approach_rate:.3g}"
        parts += [Text(heading, style="bold"), _approach_table(result)]
    return Group(*parts, Text(), *(Text(sentence) for sentence in sentences(result)))


def document(answer: Answer[OrdersResult]) -> dict[str, Any]:
    """Everything, in full precision."""
    result, problem = answer.result, answer.result.problem
    return {
        "name": answer.about.name,
        "cell": answer.about.cell,
        "synthetic": answer.about.is_synthetic,
        "n_rows": len(problem.y),
        "batch_size": problem.batch_size,
        "n_batches": problem.n_batches,
        "steps_an_epoch_of_a_fresh_subset": result.subset_steps,
        "l2": problem.l2,
        "minimum": problem.minimum.objective,
        "largest_eigenvalue": problem.curvature - problem.l2,
        "gradient_noise_trace": problem.noise,
        "replicates": result.replicates,
        "missed_with_replacement": result.missed,
        "missed_by_fresh_subset": result.missed_by_subset,
        "floors": rows(answer),
        "fitted_learning_rates": list(result.fitted),
        "slopes": [asdict(slope) for slope in result.slopes],
        "approach_learning_rate": result.approach_rate,
        "approach": [asdict(approach) for approach in result.approach],
        "own_training": _own_document(result.own),
        "conclusions": list(sentences(result)),
    }


def rows(answer: Answer[OrdersResult]) -> list[dict[str, Any]]:
    """A row for each order and learning rate."""
    return [
        {
            "order": floor.order,
            "learning_rate": floor.learning_rate,
            "pace": floor.pace,
            "steps": floor.n_steps,
            "n_diverged": floor.n_diverged,
            **_flat("floor", floor.excess),
            "expected_floor": floor.expected,
            "drift": floor.drift,
            "has_settled": floor.has_settled,
            **_flat("from_zero", floor.from_zero),
        }
        for floor in answer.result.floors
    ]


def _flat(name: str, mean: Mean | None) -> dict[str, float | None]:
    value, error = (mean.value, finite(mean.standard_error)) if mean else (None, None)
    return {name: value, f"{name}_standard_error": error}


def _own_document(own: OwnTraining) -> dict[str, Any]:
    train = own.train
    return {
        "learning_rate": train.learning_rate,
        "batch_size": train.batch_size,
        "epochs": train.epochs,
        "l2": train.l2,
        "replicates": own.replicates,
        "minimum": own.minimum,
        **_flat("with_replacement", own.with_replacement),
        **_flat("shuffle_each_epoch", own.shuffled),
        "difference_interval": own.interval,
        "left_with_replacement": own.excess[0].value if own.excess else None,
        "left": own.left,
        "matters": own.verdict,
    }


def _title(answer: Answer[OrdersResult]) -> Text:
    about, result, problem = answer.about, answer.result, answer.result.problem
    title = new_title(f"{about.name}: noise floors by the order of the rows", about.is_synthetic)
    title.append(
        f"\nthe first {len(problem.y)} rows to train, batch size {problem.batch_size}, "
        f"{problem.n_batches} batches an epoch, {result.replicates} replicates"
        f"\nl2 {problem.l2:.4g}, condition number {problem.minimum.condition_number:.3g}, "
        f"minimum of the objective {problem.minimum.objective:#.5g}",
        style="not bold",
    )
    return title


def _floors_table(result: OrdersResult) -> Table:
    table = new_table("learning\nrate", "\npace", "\nsteps", "\norder", "\nfloor", "\ntheory",
                      "\ndrift")  # fmt: skip
    table.columns[3].justify = "left"
    for rate in dict.fromkeys(floor.learning_rate for floor in result.floors):
        floors = [result.floor(order, rate) for order in COMPARED]
        first = (f"{rate:.3g}", f"{floors[0].pace:.3g}", str(floors[0].n_steps))
        for floor, shared in zip(floors, (first, *[("", "", "")] * 3), strict=True):
            table.add_row(*shared, *_floor_values(floor, result.replicates))
        table.add_section()
    for slope in result.slopes:
        name = "slope" if slope is result.slopes[0] else ""
        found = measured(slope.slope) if slope.slope else ABSENT
        table.add_row(name, "", "", NAMES[slope.order], found, SLOPES[slope.order], "")
    return table


def _floor_values(floor: Floor, replicates: int) -> Iterator[str]:
    yield NAMES[floor.order]
    if floor.excess is None:
        yield f"{floor.n_diverged} of {replicates} diverged"
    else:
        yield measured(floor.excess)
    yield ABSENT if floor.expected is None else f"{floor.expected:.3g}"
    mark = "" if floor.has_settled else UNSETTLED
    yield ABSENT if floor.drift is None else f"{floor.drift:.2f}{mark}"


def _notes(result: OrdersResult) -> Iterator[str]:
    problem = result.problem
    yield "floor: excess over the exact minimum after training from there, ± standard error"
    yield (
        f"fresh subset: an epoch is {result.subset_steps} of the {problem.n_batches} batches of "
        "distinct rows, drawn anew"
    )
    yield "theory: learning_rate / 4 * the trace of a batch gradient's covariance, and of a"
    yield "fresh subset that times the share of the rows that its epochs miss"
    yield "pace: time constants of the steepest direction in an epoch of all rows"
    yield "drift: the floor's last half over its first half"
    if any(not floor.has_settled and not floor.n_diverged for floor in result.floors):
        yield f"{UNSETTLED} has not settled: the floor was still moving at the end"


def _approach_table(result: OrdersResult) -> Table:
    table = new_table("\nsteps", *HEADINGS)
    for approach in result.approach:
        values = (measured(approach.excess[order]) for order in COMPARED)
        table.add_row(str(approach.n_steps), *values)
    return table
