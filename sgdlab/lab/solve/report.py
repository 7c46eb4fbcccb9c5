"""How ``solve`` is shown: the fits, the noise, and what they mean."""

import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sgdlab.evaluation.comparison import compared_with_constant
from sgdlab.lab.solve.measure import Fit, Solution
from sgdlab.lab.subject import Answer
from sgdlab.optim.curvature import stability_limit
from sgdlab.report.layout import new_table, new_title
from sgdlab.report.numbers import ABSENT, length, number, plain, setting
from sgdlab.uncertainty.rounding import EPSILON

NOTE = "* L2 is selected on the validation rows; the test rows play no part in it"
SETS = ("training", "validation", "test")


def table(answer: Answer[Solution]) -> RenderableType:
    """The constant predictor, maximum likelihood and the ridge path, with what they mean."""
    about, solution = answer.about, answer.result
    rows = f"{about.shape.n_train} rows of {about.shape.n_features} columns"
    heading = f"{about.name}: closed form, {_bias_words(solution)}, {rows}"
    return Group(
        new_title(heading, about.is_synthetic),
        _fits_table(solution),
        Text(NOTE, style="dim"),
        Text(),
        _figures(solution),
        Text(),
        *(Text(f"{finding[0].upper()}{finding[1:]}.") for finding in findings(solution)),
    )


def document(answer: Answer[Solution]) -> dict[str, Any]:
    """Everything in full precision; the weights belong to columns as ``data`` preprocesses them."""
    about, solution = answer.about, answer.result
    factors, baseline = solution.factors, solution.baseline
    spectrum = factors.spectrum
    return {
        "name": about.name,
        "cell": about.cell,
        "synthetic": about.is_synthetic,
        "n_rows": spectrum.n_rows,
        "n_features": spectrum.n_features,
        "rank": spectrum.rank,
        "bias_mode": solution.bias_mode,
        "method": "normal_equations" if spectrum.from_moments else "factorised_rows",
        "condition_number": spectrum.condition_number(),
        "largest_eigenvalue": factors.largest_eigenvalue,
        "stable_learning_rate": _stable_learning_rate(solution),
        **asdict(solution.likelihood),
        "constant": baseline.constant,
        "constant_losses": {name: asdict(losses) for name, losses in baseline.losses.items()},
        "maximum_likelihood": _fit_row(solution, solution.maximum_likelihood)
        | {"weights": solution.maximum_likelihood.minimum.weights},
        "selected": _fit_row(solution, solution.best) | {"weights": solution.best.minimum.weights},
        "path": [_fit_row(solution, fit) for fit in solution.path],
        "differences": {
            name: [asdict(difference) for difference in pair]
            for name, pair in baseline.differences.items()
        },
        "findings": findings(solution),
        "test_used_for_selection": False,
    }


def rows(answer: Answer[Solution]) -> list[dict[str, Any]]:
    """Maximum likelihood, then a row for each L2."""
    solution = answer.result
    return [_fit_row(solution, fit) for fit in (solution.maximum_likelihood, *solution.path)]


def findings(solution: Solution) -> list[str]:
    """How far the numbers are to be trusted and what they mean, a sentence each."""
    pairs = solution.baseline.differences
    sentences = [_how_solved(solution)]
    if solution.likelihood.log_likelihood is None:
        sentences.append("without L2 every training row is met: sigma^2 = 0, no likelihood")
    for n, model in enumerate(("maximum likelihood", f"ridge at l2 {setting(solution.best.l2)}")):
        differences = {name: pair[n] for name, pair in pairs.items()}
        sentences.append(compared_with_constant(model, differences))
    return sentences + _on_the_edge(solution)


def _how_solved(solution: Solution) -> str:
    factors, spectrum = solution.factors, solution.factors.spectrum
    shape = f"{spectrum.n_rows} rows have rank {spectrum.rank} of {spectrum.n_features} columns"
    shortest = f"{shape}: of all weights that fit equally well, these are the shortest"
    if spectrum.from_moments:
        digits = math.floor(-math.log10(EPSILON * spectrum.condition_number()))
        return f"solved with X.T X, whose condition number leaves about {digits} digits of 16"
    if factors.refused_because is None:
        return f"{shortest} (from a factorisation of the rows)"
    refused = f"X.T X is not to be trusted: {factors.refused_because}"
    refused += "; the rows themselves were factorised (QR)"
    return refused if spectrum.rank == spectrum.n_features else f"{refused}; {shortest}"


def _on_the_edge(solution: Solution) -> list[str]:
    best, path = solution.best, solution.path
    if len(path) < 2 or best.l2 == 0 or path[0] is not best is not path[-1]:
        return []
    end = "smallest" if best is path[0] else "largest"
    return [f"the selected L2 is the {end} of the path; look beyond it"]


def _bias_words(solution: Solution) -> str:
    if solution.bias_mode == "config":
        return f"bias held at {plain(solution.maximum_likelihood.minimum.bias)}"
    return "bias fitted" if solution.bias_mode == "free" else "no bias"


def _fits_table(solution: Solution) -> Table:
    fits = new_table(
        "\nfit", "\nL2", "effective\nparameters", "norm\nof w", "\nbias",
        "training\nhalf-MSE", "valid.\nhalf-MSE", "test*\nhalf-MSE",
        optional=("norm\nof w", "effective\nparameters"),
    )  # fmt: skip
    baseline = solution.baseline
    losses = [number(baseline.losses[name].half_mse) for name in SETS]
    fits.add_row("constant", ABSENT, ABSENT, ABSENT, plain(baseline.constant), *losses)
    fits.add_row("max. likelihood", *_values(solution, solution.maximum_likelihood))
    fits.add_section()
    for fit in solution.path:
        name, style = ("ridge, selected", "bold") if fit is solution.best else ("ridge", None)
        fits.add_row(name, *_values(solution, fit), style=style)
    return fits


def _values(solution: Solution, fit: Fit) -> Iterator[str]:
    is_exact = fit.l2 == 0 and solution.likelihood.log_likelihood is None
    yield setting(fit.l2)
    yield f"{fit.effective_parameters:.1f}"
    yield number(_norm(fit))
    yield plain(fit.minimum.bias)
    yield "0" if is_exact else number(fit.training.half_mse)
    yield number(fit.validation.half_mse)
    yield number(fit.test.half_mse if fit.test else None)


def _figures(solution: Solution) -> Table:
    likelihood, spectrum = solution.likelihood, solution.factors.spectrum
    n_left = max(0, spectrum.n_rows - likelihood.n_parameters)
    centred = " (centred)" if solution.bias_mode == "free" else ""
    condition = spectrum.condition_number()
    figures = new_table("", "", show_header=False)
    for name, value in {
        f"sigma^2, maximum likelihood: divisor n = {spectrum.n_rows}": number(likelihood.sigma2),
        f"sigma^2, unbiased: divisor n - p = {n_left}": number(likelihood.sigma2_unbiased),
        "log-likelihood": number(likelihood.log_likelihood).rstrip("."),
        f"condition number of X.T X{centred}": f"{condition:.3g}",
        "largest eigenvalue of the Hessian, without L2": number(
            solution.factors.largest_eigenvalue
        ),
        f"full-batch descent with L2 {setting(solution.cell_l2)} is stable below rate": number(
            _stable_learning_rate(solution)
        ),
    }.items():
        figures.add_row(name, value)
    return figures


def _stable_learning_rate(solution: Solution) -> float | None:
    """The limit of full-batch gradient descent on this cell; None where nothing is curved."""
    curvature = solution.factors.largest_eigenvalue + solution.cell_l2
    return stability_limit(curvature) if curvature > 0 else None


def _fit_row(solution: Solution, fit: Fit) -> dict[str, Any]:
    is_likelihood = fit is solution.maximum_likelihood
    row: dict[str, Any] = {
        "fit": "maximum_likelihood" if is_likelihood else "ridge",
        "selected": fit is solution.best,
        "l2": fit.l2,
        "effective_parameters": fit.effective_parameters,
        "weights_norm": _norm(fit),
        "bias": fit.minimum.bias,
        "objective": fit.minimum.objective,
        "condition_number": fit.minimum.condition_number,
    }
    for name, losses in {
        "train": fit.training,
        "validation": fit.validation,
        "test": fit.test,
    }.items():
        row[f"{name}_loss"] = losses.half_mse if losses else None
        row[f"{name}_mae"] = losses.mae if losses else None
    return row


def _norm(fit: Fit) -> float:
    return length(fit.minimum.weights)
