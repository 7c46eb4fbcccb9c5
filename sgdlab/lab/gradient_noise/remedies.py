"""What each way to keep gradient noise in check does to it, at the same frozen weights.

The plain step ``w -= lr g``, with g over m independent rows, has the noise lr**2 tr(Sigma)/m. Every
remedy is run beside it on the same minibatches; where algebra knows its noise, that stands beside.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sgdlab.errors import DataError
from sgdlab.lab.gradient_noise.minibatches import IndexSets, families_a_pass, gradient_deviations
from sgdlab.lab.gradient_noise.row_gradients import Moments, RowGradients, Vector
from sgdlab.lab.gradient_noise.update_noise import Estimate, NoiseFactors, UpdateSums, noise_factors
from sgdlab.lab.gradient_noise.update_rules import Rule, averaged, of_optimizer, scaled, shifted
from sgdlab.random_streams import Purpose, generator
from sgdlab.words.optimizers import Adam, Momentum

N_CHAINS, N_UPDATES = 32, 140
N_FIRST_UPDATES = 60  # not counted: momentum forgets its start (0.9**60 is 0.002)
N_SWEEPS = 8  # over all rows, each with fresh masks

NOTABLE_CHANGE = 0.05  # less is not worth a remedy

COSINE_HALF_WAY = 0.5
DECAY, DECAY_EPOCHS = 0.95, 10
L2 = 0.1
KEEP = 0.8
LARGER = 4
BETA, BETA2, EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Remedy:
    """One way to keep noise in check, at one ``setting``.

    ``exact`` is what algebra says and ``measured`` what the minibatches show; ``reason`` explains
    it.
    """

    name: str
    setting: str
    reason: str
    exact: NoiseFactors | None
    measured: NoiseFactors

    def change(self, factor: str) -> int:
        """-1 or 1 where ``noise`` or ``same_step`` is clearly lower or higher than 1, else 0."""
        found: Estimate | None = getattr(self.exact or self.measured, factor)
        if found is None:
            return 0
        margin = NOTABLE_CHANGE + found.margin
        return int(found.value > 1 + margin) - int(found.value < 1 - margin)


@dataclass(frozen=True)
class Remedies:
    """The table of remedies, with the plain step that they are compared with."""

    n_rows: int
    batch_size: int
    learning_rate: float
    plain_noise: float
    plain_signal: float
    remedies: tuple[Remedy, ...]


@dataclass(frozen=True)
class _Plan:
    """A remedy before it is measured; ``step`` is the exact squared length of its mean update."""

    name: str
    setting: str
    reason: str
    rule: Rule
    noise: float | None = None
    step: float = 1.0

    @property
    def exact(self) -> NoiseFactors | None:
        if self.noise is None:
            return None
        return NoiseFactors(Estimate(self.noise), Estimate(self.noise / self.step))


def measure_remedies(
    gradients: RowGradients, batch_size: int, learning_rate: float, seed: int
) -> Remedies:
    """Measure every remedy against the plain step with batches of ``batch_size`` rows.

    Raises
    ------
    DataError
        If all rows have the same gradient, or their mean is 0: nothing to compare with.
    """
    moments = gradients.moments()
    noise, signal = moments.trace / batch_size, moments.squared_norm
    if not (noise > 0 and signal > 0):
        found = f"noise {noise:g} and squared mean gradient {signal:g} at these weights"
        raise DataError("training rows", found, "both positive", "try another `at_epoch`")
    random = generator(seed, Purpose.GRADIENT_NOISE)
    plans = _plans(gradients, moments)
    sums = _run_chains(gradients, moments, plans, batch_size, random)
    remedies = [
        Remedy(
            plan.name, plan.setting, plan.reason, plan.exact, noise_factors(of_plan, noise, signal)
        )
        for plan, of_plan in zip(plans, sums, strict=True)
    ]
    # Rows and masks are drawn independently, so m of them divide both variances by m alike.
    dropped = noise_factors(_run_dropout(gradients, random), moments.trace, signal)
    reason = "the masks are a noise of their own, on top of the rows'"
    remedies.append(Remedy("dropout", f"{KEEP:g} of inputs kept", reason, None, dropped))
    return Remedies(gradients.n_rows, batch_size, learning_rate, noise, signal, tuple(remedies))


def _plans(gradients: RowGradients, moments: Moments) -> list[_Plan]:
    """Every remedy that acts on minibatch gradients, after the plain step."""
    penalty = L2 * gradients.is_penalised * gradients.parameters
    penalised = moments.gradient + penalty
    with_penalty = float(penalised @ penalised) / moments.squared_norm
    half, decay = COSINE_HALF_WAY, DECAY**DECAY_EPOCHS
    shorter = "the noise falls with lr^2 and the mean step with lr"
    constant = "its gradient is the same for every batch and has no variance"
    larger = f"1/{LARGER} of the noise, for {LARGER} times the rows a step"
    smooth = "averages over steps; the sum of many is as noisy as before"
    divided = "averages too, and divides by the gradients' size: lr in another unit"
    return [
        _Plan("plain step", "", "what the others are compared with", scaled(1), 1.0),
        _Plan("schedule", "cosine, half way", shorter, scaled(half), half**2, half**2),
        _Plan("decay", f"{DECAY:g}^{DECAY_EPOCHS}", shorter, scaled(decay), decay**2, decay**2),
        _Plan("L2", f"{L2:g} more", constant, shifted(penalty), 1.0, with_penalty),
        _Plan("larger batch", f"{LARGER} m", larger, averaged(LARGER), 1 / LARGER),
        _Plan(
            "momentum",
            f"{BETA:g}",
            smooth,
            of_optimizer(Momentum(BETA)),
            1 / (1 - BETA**2),
            1 / (1 - BETA) ** 2,
        ),
        _Plan("adam", f"{BETA:g}, {BETA2:g}", divided, of_optimizer(Adam(BETA, BETA2, EPSILON))),
    ]


def _run_chains(
    gradients: RowGradients,
    moments: Moments,
    plans: list[_Plan],
    batch_size: int,
    random: np.random.Generator,
) -> list[UpdateSums]:
    """Let every rule see the same minibatches."""
    sums: list[UpdateSums] = []
    steps = _minibatch_gradients(gradients, moments, batch_size, random)
    for step, minibatches in enumerate(steps):
        for n, plan in enumerate(plans):
            updates = plan.rule(minibatches)
            if step == N_FIRST_UPDATES:
                sums.append(UpdateSums(N_CHAINS, updates[0].copy()))
            if step >= N_FIRST_UPDATES:
                sums[n].add(updates, 1 / N_UPDATES)
    return sums


def _minibatch_gradients(
    gradients: RowGradients, moments: Moments, batch_size: int, random: np.random.Generator
) -> Iterator[Vector]:
    """Independent ones, with replacement, shape (N_CHAINS, n_parameters) a step."""
    n_steps = N_FIRST_UPDATES + N_UPDATES
    per_pass = families_a_pass(gradients, N_CHAINS)
    for start in range(0, n_steps, per_pass):
        n_sets = N_CHAINS * min(per_pass, n_steps - start)
        sets = IndexSets(n_sets, batch_size, True, gradients.n_rows, random)
        [deviations] = gradient_deviations(gradients, [sets])
        yield from moments.gradient + deviations.reshape(-1, N_CHAINS, gradients.n_parameters)


def _run_dropout(gradients: RowGradients, random: np.random.Generator) -> UpdateSums:
    """Gradients of single rows whose inputs are dropped, or kept and scaled so that the mean stays.

    Srivastava et al. 2014, jmlr.org/papers/v15/srivastava14a.html. Each sweep over the rows is a
    chain of its own.
    """
    sums = UpdateSums(N_SWEEPS, gradients.mean + gradients.penalty)
    n_features = len(gradients.weights)
    for sweep in range(N_SWEEPS):
        for inputs, targets in gradients.inputs():
            dropped = inputs.copy()
            dropped[:, :n_features] *= (
                random.random((len(inputs), n_features), dtype=np.float32) < KEEP
            ) / KEEP
            rows = gradients.derivatives(dropped, targets)[:, None] * dropped
            rows -= gradients.mean
            sums.mean[sweep] += rows.sum(axis=0) / gradients.n_rows
            sums.mean_square[sweep] += np.square(rows).sum() / gradients.n_rows
    return sums
