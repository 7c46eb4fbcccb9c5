"""How often ``scaling-rule`` is wrong on inputs whose answer is known.

``python -m tests.scaling_rule_truth`` judges 120 inputs: replicates that are drawn from known laws
and given to the comparison itself, and trainings of which algebra says how they end. A verdict is
wrong that says "holds" (or "same") of laws that are farther apart than the margin, or "fails" (or
"differs") of laws that are not. "Cannot be told" is never wrong.
"""

import itertools
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from sgdlab.config.model import Data, Run, Train
from sgdlab.data.dataset import open_dataset
from sgdlab.errors import NothingToSelectError
from sgdlab.lab.scaling_rule.comparison import Reference, compare
from sgdlab.lab.scaling_rule.design import Base, ScalingOptions, make_base, variants_of
from sgdlab.lab.scaling_rule.measure import compare_rules, train_at_one
from sgdlab.lab.trainer import train_settings
from sgdlab.observer import Observer

MARGIN = 0.1
MOST_WRONG = 5
AGREES = {"holds", "same"}
DENIES = {"fails", "differs", "diverged"}

Judged = list[tuple[str, str]]  # "equal", "different" or "open" as the truth is; and a verdict
Input = tuple[str, Callable[[], Judged]]  # of a family


def is_wrong(judged: Judged) -> bool:
    return any(
        verdict in {"equal": DENIES, "different": AGREES}.get(truth, ())
        for truth, verdict in judged
    )


def inputs() -> Iterator[Input]:
    """120 of them, 14 families."""
    dimensions = (1, 2, 5, 15, 60, 2305)
    replicates = (12, 30, 60, 100)
    for n, (d, r) in enumerate(itertools.islice(itertools.product(dimensions, replicates), 20)):
        yield "equal laws", lambda n=n, d=d, r=r: drawn(n, d, r, shift=0.0, scale=1.0)
    for n, shift in enumerate((0.02, 0.03, 0.05, 0.13, 0.16, 0.2, 0.3, 0.5, 1.0, 3.0, 30.0)):
        d, r = dimensions[n % 6], replicates[(n + 1) % 4]
        yield "another mean", lambda n=n, d=d, r=r, s=shift: drawn(100 + n, d, r, s, 1.0)
    for n, scale in enumerate(
        (0.0, 0.1, 0.3, 0.5, 0.7, 0.85, 0.96, 1.04, 1.15, 1.3, 1.6, 2.0, 5.0)
    ):
        d, r = dimensions[n % 6], replicates[n % 4]
        yield "another spread", lambda n=n, d=d, r=r, s=scale: drawn(200 + n, d, r, 0.0, s)
    for n in range(6):
        yield (
            "heavy tails",
            lambda n=n: drawn(300 + n, (1, 4, 40)[n % 3], 40, 0.0, (1.0, 0.5)[n // 3], True),
        )
    for n in range(10):
        yield "signs of residuals", lambda n=n: constant_signs(n)
    for n in range(10):
        yield "noise-dominated", lambda n=n: at_the_floor(n)
    for n in range(10):
        yield "drift-dominated", lambda n=n: on_the_way(n)
    for n in range(5):
        yield "noise-free, converged", lambda n=n: noise_free(n, n_epochs=40)
    for n in range(5):
        yield "noise-free, on the way", lambda n=n: noise_free(n, n_epochs=2)
    for n in range(5):
        yield "nothing random", lambda n=n: in_order(n)
    for n in range(10):
        shift = (0.09, 0.105, 0.12, 0.5, 68.0)[n % 5]
        yield "a mean that pairs know", lambda n=n, s=shift: paired_shift(n, (30, 100)[n // 5], s)
    for n in range(5):
        yield "large bias, float32", lambda n=n: large_bias(n, 800.0, "float32")
    for n in range(5):
        yield "large bias, not trained", lambda n=n: large_bias(n, 3e11, "float64")
    for n in range(5):
        yield "k = 1 diverges", lambda n=n: diverging(n)


def drawn(seed: int, d: int, n: int, shift: float, scale: float, heavy: bool = False) -> Judged:
    """Replicates of two normal laws, which differ in mean (in spreads) or in spread, in one way.

    Some directions vary more than others in every second input, as those of trained weights do, and
    in every second pair of inputs the paired replicates have most of their randomness in common.
    """
    rng = np.random.default_rng(seed)
    widths = 1 / np.arange(1.0, d + 1) if seed % 2 else np.ones(d)

    def draw(n):
        return widths * (rng.standard_t(4, size=(n, d)) if heavy else rng.standard_normal((n, d)))

    spread = np.mean(np.linalg.norm(draw(20_000 // d + 2000) - draw(20_000 // d + 2000), axis=1))
    away = spread * shift * widths / np.linalg.norm(widths)
    paired, common = draw(n), 0.999 if seed % 4 > 1 and not heavy else 0.0
    paired_with = (common * paired + np.sqrt(1 - common**2) * draw(n) for _ in range(2))
    models = {"the rule": scale * next(paired_with) + away, "exactly the law": next(paired_with)}
    found = compare(Reference(paired, draw(n), 1e-13), models, rng)
    truth = "equal" if max(shift, abs(scale - 1)) < MARGIN else "different"
    truths = {"the rule": truth, "exactly the law": "equal"}
    return [(truths[key], law.verdict(MARGIN)) for key, law in found.items()]


def problem(seed: int, n_rows: int, n_features: int, noise: float, offset: float = 0.0):
    """Rows of standard normal numbers with linear targets; a quarter of them to validate."""
    rng = np.random.default_rng([seed, 77])
    X = rng.standard_normal((n_rows, n_features))
    y = X @ rng.standard_normal(n_features) / np.sqrt(n_features)
    y += offset + noise * rng.standard_normal(n_rows)
    data = Data(path=".", validation={"fraction": 0.25, "take": "tail"})
    return open_dataset(data, {"Xtr": X, "ytr": y, "Xte": X, "yte": y})


def verdicts(base: Base, dataset, factors, truths) -> Judged:
    """What is said of every rule, beside what is true; rules without a truth are not trained."""
    run, observer = Run(), Observer()
    at_one = train_at_one(base, dataset, run, observer)
    rules = {key: of for key, of in variants_of(base, factors).items() if truths(*key) != "open"}
    trained = train_settings([of.train(base) for of in rules.values()], dataset, run, observer)
    outcomes = dict(zip(rules.values(), trained, strict=True))
    _, scaled = compare_rules(base, at_one, rules, outcomes, MARGIN)
    return [(truths(one.budget, one.factor, one.rule), one.verdict) for one in scaled]


def constant_signs(seed: int) -> Judged:
    """Absolute loss, all residuals negative throughout: a step adds the mean of a batch's rows.

    So at equal epochs k times the rate makes exactly the same of k times the batch, and at equal
    steps the same rate does.
    """
    with problem(seed, 192, 4 + seed, noise=1.0, offset=1e4) as dataset:
        train = Train(
            loss="absolute",
            order="shuffle_each_epoch",
            batch_size=2,
            epochs=2 + seed % 3,
            learning_rate=0.01,
            replicates=12,
            seed=seed,
        )
        base = Base(train, dataset.shape.n_train, 0, 1.0, 1e4)
        truth = {"epochs": {"x k": "equal"}, "steps": {"x 1": "equal"}}
        return verdicts(base, dataset, (1, 2, 4), lambda b, k, r: truth[b].get(r, "different"))


def at_the_floor(seed: int) -> Judged:
    """After many time constants at a small rate: the variance is that of rate / batch size.

    At equal steps the spread of k times the rate changes by less than k * rate * curvature; that of
    the others by at least 1 - 2**(-1/4), a sixth.
    """
    with problem(seed, 256, (2, 15)[seed % 2], noise=1.0) as dataset:
        train = Train(
            order="with_replacement", batch_size=2, epochs=16, learning_rate=0.008, seed=seed
        )
        options = ScalingOptions((1, 2), (30, 60)[seed % 2], 8, 2, 0.008)
        base, dataset = make_base(train, dataset, options)
        truth = {
            "epochs": {},
            "steps": {"x k": "equal", "x sqrt k": "different", "x 1": "different"},
        }
        return verdicts(base, dataset, (1, 2), lambda b, k, r: truth[b].get(r, "open"))


def on_the_way(seed: int) -> Judged:
    """A tenth of a time constant: at equal epochs the path is that of rate * steps alone.

    At equal steps the same rule goes k times as far, which is many times the spread.
    """
    with problem(seed, 512, 8, noise=0.5, offset=3.0) as dataset:
        train = Train(
            order="with_replacement", batch_size=2, epochs=2, learning_rate=2e-4, seed=seed
        )
        options = ScalingOptions((1, 2, 4), (20, 40)[seed % 2], 2, 2, 2e-4)
        base, dataset = make_base(train, dataset, options)
        truth = {"epochs": {"x k": "equal", "x sqrt k": "different", "x 1": "different"},
                 "steps": {"x k": "different", "x sqrt k": "different"}}  # fmt: skip
        return verdicts(base, dataset, (1, 2, 4), lambda b, k, r: truth[b].get(r, "open"))


def noise_free(seed: int, n_epochs: int) -> Judged:
    """Targets without noise: all that converges ends at the same weights, however it got there.

    Before that, at equal steps, whoever goes faster is closer to them.
    """
    with problem(seed, 128, 2 + seed % 2, noise=0.0) as dataset:
        train = Train(order="shuffle_each_epoch", batch_size=2, epochs=n_epochs, learning_rate=0.05,
                      initial_bias=0.0, seed=seed)  # fmt: skip
        rate = 0.2 if n_epochs > 2 else 0.002
        base, dataset = make_base(train, dataset, ScalingOptions((1, 2), 12, n_epochs, 2, rate))
        if n_epochs > 2:
            return verdicts(base, dataset, (1, 2), lambda b, k, r: "equal")
        truth = {"epochs": {"x 1": "different"}, "steps": {"x k": "different"}}
        return verdicts(base, dataset, (1, 2), lambda b, k, r: truth[b].get(r, "open"))


def paired_shift(seed: int, n: int, shift: float) -> Judged:
    """Another mean in one direction, known from pairs to a thousandth of the spread."""
    rng, d = np.random.default_rng([seed, 78]), (1, 2, 4)[seed % 3]
    spread = np.linalg.norm(np.subtract(*rng.standard_normal((2, 400_000, d))), axis=1).mean()
    paired, independent, noise = rng.standard_normal((3, n, d))
    models = paired + shift * spread / np.sqrt(d) + 1e-3 * noise
    [law] = compare(Reference(paired, independent, 1e-13), {0: models}, rng).values()
    return [("equal" if shift < MARGIN else "different", law.verdict(MARGIN))]


def large_bias(seed: int, bias: float, precision: str) -> Judged:
    """The floor of :func:`at_the_floor`, far from 0: no model is another but for rounding."""
    with problem(seed, 256, 2, noise=1.0, offset=bias) as dataset:
        train = Train(order="with_replacement", batch_size=2, epochs=16, learning_rate=0.008,
                      precision=precision, initial_bias=bias,
                      train_bias=precision == "float32", seed=seed)  # fmt: skip
        base, dataset = make_base(train, dataset, ScalingOptions((1, 2), 30, 8, 2, 0.008))
        truth = {"x k": "equal", "x sqrt k": "different", "x 1": "different"}
        return verdicts(base, dataset, (1, 2), lambda b, k, r: truth[r] if b == "steps" else "open")


def in_order(seed: int) -> Judged:
    """Rows in the order of the file: every model is one model, and rules end elsewhere."""
    with problem(seed, 128, 5, noise=1.0) as dataset:
        train = Train(order="in_order", batch_size=2, epochs=3, learning_rate=0.01, seed=seed)
        base, dataset = make_base(train, dataset, ScalingOptions((1, 2), 20, 3, 2, 0.01))
        return verdicts(base, dataset, (1, 2), lambda b, k, r: "different")


def diverging(seed: int) -> Judged:
    """A rate beyond the stability limit, of which nothing can be said at all."""
    with problem(seed, 128, 5, noise=1.0) as dataset:
        train = Train(
            order="shuffle_each_epoch", batch_size=2, epochs=40, learning_rate=0.01, seed=seed
        )
        base, dataset = make_base(train, dataset, ScalingOptions((1, 2), 20, 40, 2, None))
        rate = base.limit * (1.2 + seed)
        base = replace(base, train=base.train.model_copy(update={"learning_rate": rate}))
        try:
            return verdicts(base, dataset, (1, 2), lambda b, k, r: "open" if k == 1 else "equal")
        except NothingToSelectError:
            return []


def judge(chosen: Iterator[Input]) -> int:
    """How many are wrong; prints a line for every family."""
    n_inputs = n_wrong = 0
    for family, members in itertools.groupby(chosen, key=lambda one: one[0]):
        judged = [give() for _, give in members]
        wrong = sum(map(is_wrong, judged))
        said = Counter(itertools.chain.from_iterable(judged))
        verdicts_said = ", ".join(
            f"{n} {verdict} of {truth}" for (truth, verdict), n in said.items()
        )
        print(
            f"{family}: {len(judged)} inputs, {wrong} wrong: {verdicts_said or 'refused'}",
            flush=True,
        )
        n_inputs, n_wrong = n_inputs + len(judged), n_wrong + wrong
    print(f"{n_inputs} inputs, {n_wrong} with a wrong verdict")
    return n_wrong


if __name__ == "__main__":
    sys.exit(judge(inputs()) > MOST_WRONG)
