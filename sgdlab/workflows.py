"""A function for each command: it can be called from Python, and prints nothing.

Those that make a run or read one stand in :mod:`sgdlab.search.workflows`. What can go wrong is an
error of :mod:`sgdlab.errors`. A long experiment keeps its finished parts in ``runs_dir``, and goes
on from there when it is called again after an interruption; None: nowhere.
"""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sgdlab.config.schema import json_schema
from sgdlab.data.stand_in import synthesize
from sgdlab.lab.describe.measure import Description, describe
from sgdlab.lab.experiment import Experiment
from sgdlab.lab.gradient_noise.frozen import AtEpoch, frozen
from sgdlab.lab.gradient_noise.measure import GradientNoise, measure_at_epoch
from sgdlab.lab.gradient_noise.measure import NoiseOptions as NoiseOptions
from sgdlab.lab.gradient_noise.remedies import Remedies, measure_remedies
from sgdlab.lab.orders.design import OrdersOptions as OrdersOptions
from sgdlab.lab.orders.measure import OrdersResult, measure_orders
from sgdlab.lab.sampling.measure import SamplingResult, simulate_each
from sgdlab.lab.sampling.theory import Sampling
from sgdlab.lab.scaling_rule.design import ScalingOptions as ScalingOptions
from sgdlab.lab.scaling_rule.measure import ScalingRule, measure_scaling
from sgdlab.lab.solve import measure as lab_solve
from sgdlab.lab.solve.measure import BiasMode, Solution
from sgdlab.lab.subject import Answer, open_subject
from sgdlab.lab.xor.measure import XorStudy, study_xor
from sgdlab.lab.xor.network import train_restarts
from sgdlab.observer import Observer
from sgdlab.runs.experiment import Extent
from sgdlab.runs.parts import parts_in
from sgdlab.search.verification.verify import VerifyOptions as VerifyOptions
from sgdlab.search.wanted import SearchOptions as SearchOptions
from sgdlab.search.workflows import evaluate as evaluate
from sgdlab.search.workflows import grid_search as grid_search
from sgdlab.search.workflows import plan_search as plan_search
from sgdlab.search.workflows import train as train
from sgdlab.search.workflows import verify as verify
from sgdlab.system.machine import n_processors

PathLike = str | os.PathLike[str]
RunsDir = PathLike | None


def solve(
    config_path: PathLike,
    overrides: Sequence[str] = (),
    cell: int | None = None,
    bias: BiasMode = "free",
    l2: Sequence[float] | None = None,
    test_losses: Extent = "best",
    observer: Observer | None = None,
) -> Answer[Solution]:
    """Maximum likelihood and a ridge path, exactly; see :func:`sgdlab.lab.solve.measure.solve`.

    Parameters
    ----------
    cell
        Which cell's bias is taken; may be left out if there is one cell.
    bias
        ``free`` fits it, ``config`` holds it at ``train.initial_bias``, ``none`` at 0.
    l2
        Of the ridge path; by default chosen from the largest eigenvalue.
    test_losses
        ``all`` looks at the test rows for every L2 and not for the selected one alone.
    """
    with open_subject(Path(config_path), overrides, cell, observer or Observer()) as subject:
        solution = lab_solve.solve(subject.dataset, bias, subject.train, l2, test_losses == "all")
        return Answer(subject.about, solution)


def gradient_noise(
    config_path: PathLike,
    overrides: Sequence[str] = (),
    cell: int | None = None,
    options: NoiseOptions | None = None,
    observer: Observer | None = None,
    runs_dir: RunsDir = "runs",
) -> Answer[AtEpoch[GradientNoise]]:
    """The variance of minibatch gradients at a cell's weights after some epochs."""
    noise = Experiment("gradient-noise", measure_at_epoch)
    options, observer = options or NoiseOptions(), observer or Observer()
    return noise.on(config_path, overrides, cell, options, observer, runs_dir)


def noise_remedies(
    config_path: PathLike,
    overrides: Sequence[str] = (),
    cell: int | None = None,
    at_epoch: int = 1,
    seed: int = 0,
    observer: Observer | None = None,
) -> Answer[AtEpoch[Remedies]]:
    """What each way to keep noise in check does to an update, where :func:`gradient_noise` is."""
    observer = observer or Observer()
    with open_subject(Path(config_path), overrides, cell, observer) as subject:
        batch_size = min(subject.train.batch_size, subject.dataset.shape.n_train)
        with frozen(subject, at_epoch, observer) as gradients:
            result = measure_remedies(gradients, batch_size, subject.train.learning_rate, seed)
        return Answer(subject.about, AtEpoch(at_epoch, result))


def scaling_rule(
    config_path: PathLike,
    overrides: Sequence[str] = (),
    cell: int | None = None,
    options: ScalingOptions | None = None,
    observer: Observer | None = None,
    runs_dir: RunsDir = "runs",
) -> Answer[ScalingRule]:
    """Multiply the batch size by k, and the learning rate by k, sqrt k or 1; compare with k = 1."""
    scaling = Experiment("scaling-rule", measure_scaling)
    options, observer = options or ScalingOptions(), observer or Observer()
    return scaling.on(config_path, overrides, cell, options, observer, runs_dir)


def orders(
    config_path: PathLike,
    overrides: Sequence[str] = (),
    cell: int | None = None,
    options: OrdersOptions | None = None,
    observer: Observer | None = None,
    runs_dir: RunsDir = "runs",
) -> Answer[OrdersResult]:
    """Noise floors by the order of the rows, over learning rates, and what a training leaves."""
    of_orders = Experiment("orders", measure_orders)
    options, observer = options or OrdersOptions(), observer or Observer()
    return of_orders.on(config_path, overrides, cell, options, observer, runs_dir)


def simulate_sampling(
    n_rows: Sequence[int],
    epochs: int = 1,
    n_trials: int = 1000,
    seed: int = 0,
    batch_size: int = 1,
    without_replacement: bool = False,
    observer: Observer | None = None,
    runs_dir: RunsDir = "runs",
) -> list[SamplingResult]:
    """How many rows are never sampled, in trials and by theory, for each number of rows.

    Parameters
    ----------
    batch_size
        Rows that are distinct in each batch; batches of 1 are sampling with replacement.
    without_replacement
        Every epoch is a permutation: one batch of all rows.

    Raises
    ------
    UsageError
        If a number is out of its range, before anything is drawn.
    """
    samplings = [Sampling(n, epochs, n if without_replacement else batch_size) for n in n_rows]
    what, observer = partial(repr, (samplings, n_trials, seed)), observer or Observer()
    with parts_in(runs_dir, "simulate-sampling", what, observer) as parts:
        return simulate_each(samplings, n_trials, seed, n_processors(), observer, parts)


def xor_solve(
    n_hidden: int = 2,
    n_restarts: int = 1000,
    n_steps: int = 5000,
    learning_rate: float = 0.1,
    seed: int = 0,
    observer: Observer | None = None,
    runs_dir: RunsDir = "runs",
) -> XorStudy:
    """XOR by the best linear model, by a known network, and by networks from random starts.

    Raises
    ------
    UsageError
        If there is no network to train, or more than ends within minutes.
    """
    asked = n_hidden, n_restarts, n_steps, learning_rate, seed
    with parts_in(runs_dir, "xor-solve", partial(repr, asked), observer or Observer()) as parts:
        return study_xor(train_restarts(*asked, parts))


def synthesize_data(folder: PathLike, prefix: str, seed: int = 0) -> Description:
    """Write the stand-in arrays into a folder that has none, and describe them."""
    synthesize(Path(folder), prefix, seed)
    return describe(Path(folder), prefix)


def describe_data(folder: PathLike, prefix: str | None = None) -> Description:
    """What is in a folder of arrays."""
    return describe(Path(folder), prefix)


def schema() -> dict[str, Any]:
    """The JSON Schema of a config file."""
    return json_schema()
