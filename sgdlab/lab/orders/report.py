"""What ``orders`` shows."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sgdlab.lab.orders.measure import COMPARED, OrdersResult
from sgdlab.lab.subject import Answer
from sgdlab.report.layout import new_table, new_title
from sgdlab.report.numbers import finite, measured
from sgdlab.uncertainty.means import Mean, differ

SMALL_DIFFERENCE = 0.1  # of the larger number
HEADINGS = ("with\nreplacement", "shuffled\nonce", "shuffled\neach epoch")


def table(answer: Answer[OrdersResult]) -> RenderableType:
    """Floors over learning rates, the approach to them, and what they mean."""
    result = answer.result
    notes = (
        "floor: excess over the exact minimum after training from there, ± standard error",
        "theory: learning_rate / 4 * the trace of a batch gradient's covariance",
        "pace: time constants of the steepest direction in an epoch",
    )
    approach = f"\nExcess on the way from zero, learning rate {result.approach_rate:.3g}"
    return Group(
        _title(answer),
        _floors_table(result),
        *(Text(note, style="dim") for note in notes),
        Text(approach, style="bold"),
        _approach_table(result),
        Text(),
        *(Text(sentence) for sentence in sentences(result)),
    )


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
        "l2": problem.l2,
        "minimum": problem.minimum.objective,
        "largest_eigenvalue": problem.curvature - problem.l2,
        "gradient_noise_trace": problem.noise,
        "replicates": result.replicates,
        "missed_with_replacement": result.missed,
        "floors": rows(answer),
        "fitted_learning_rates": list(result.fitted),
        "slopes": [asdict(slope) for slope in result.slopes],
        "approach_learning_rate": result.approach_rate,
        "approach": [asdict(approach) for approach in result.approach],
        "conclusions": list(sentences(result)),
    }


def rows(answer: Answer[OrdersResult]) -> list[dict[str, Any]]:
    """A row for each order and learning rate."""
    return [
        {
            "order": floor.order,
            "learning_rate": floor.learning_rate,
            "pace": floor.pace,
            "epochs": floor.epochs,
            "floor": finite(floor.excess.value),
            "floor_standard_error": finite(floor.excess.standard_error),
            "expected_floor": floor.expected,
            "drift": finite(floor.drift),
            "from_zero": finite(floor.from_zero.value),
            "from_zero_standard_error": finite(floor.from_zero.standard_error),
        }
        for floor in answer.result.floors
    ]


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
    table = new_table(
        "learning\nrate", "\npace", "\nepochs", HEADINGS[0], "\ntheory", *HEADINGS[1:]
    )
    rates = dict.fromkeys(floor.learning_rate for floor in result.floors)
    for rate in rates:
        floors = {order: result.floor(order, rate) for order in COMPARED}
        random, once, each_epoch = (measured(floors[order].excess) for order in COMPARED)
        first = floors[COMPARED[0]]
        values = (f"{first.pace:.3g}", str(first.epochs), random, f"{first.expected:.3g}")
        table.add_row(f"{rate:.3g}", *values, once, each_epoch)
    table.add_section()
    random, once, each_epoch = (measured(slope.slope) for slope in result.slopes)
    table.add_row("slope", "", "", random, "1", once, each_epoch)
    return table


def _approach_table(result: OrdersResult) -> Table:
    table = new_table("\nepochs", *HEADINGS)
    for approach in result.approach:
        table.add_row(
            str(approach.epoch), *(measured(approach.excess[order]) for order in COMPARED)
        )
    return table


def sentences(result: OrdersResult) -> Iterator[str]:
    """What the figures say, in plain words."""
    random, once, each_epoch = (measured(slope.slope) for slope in result.slopes)
    rates = f"{result.fitted[0]:.3g} to {result.fitted[-1]:.3g}"
    yield (
        f"From learning rate {rates} the floor grows as its power {random} with replacement, "
        f"{once} shuffled once, {each_epoch} shuffled each epoch. Theory: 1 with replacement; "
        "at least 2 shuffled, while an epoch's pace is small."
    )
    rate, objective = result.approach_rate, result.problem.minimum.objective
    first = result.approach[0]
    ends = [result.floor(order, rate).excess for order in (COMPARED[0], COMPARED[-1])]
    early = [first.excess[order] for order in (COMPARED[0], COMPARED[-1])]
    yield (
        f"Does it matter that with replacement an epoch misses {result.missed:.0%} of the rows? "
        f"Where training ends, {_matters(*ends)}: at learning rate {rate:.3g} it stays "
        f"{measured(ends[0])} above the minimum ({ends[0].value / objective:.1g} of it), shuffled "
        f"each epoch {measured(ends[1])}. On the way there, {_matters(*early)}: after "
        f"{first.epoch} epochs from zero, {measured(early[0])} and {measured(early[1])} remain."
    )


def _matters(one: Mean, other: Mean) -> str:
    """Yes for a clear difference that is not small beside the numbers themselves."""
    is_large = abs(one.value - other.value) > SMALL_DIFFERENCE * max(one.value, other.value)
    return "yes" if is_large and differ(one, other) else "hardly"
