"""What ``scaling-rule`` takes for rounding, where biases are large or floats are short."""

import numpy as np
import pytest

from sgdlab.config.model import Data, Run, Train
from sgdlab.data.dataset import open_dataset
from sgdlab.lab.scaling_rule.comparison import Exactly, Law
from sgdlab.lab.scaling_rule.design import ScalingOptions, make_base, variants_of
from sgdlab.lab.scaling_rule.measure import compare_rules, train_at_one
from sgdlab.lab.trainer import train_settings
from sgdlab.observer import Observer
from tests.oracles.reference import plain_sgd

RUN, OBSERVER, FACTORS = Run(), Observer(), (1, 2)


def measured(n_rows, bias, noise, options, **words):
    """The spread at k = 1, every rule, and how far rounding alone moved the first model."""
    rng = np.random.default_rng([n_rows, 5])
    X = rng.standard_normal((n_rows, 3))
    y = bias + X @ [1.0, 2.0, 3.0] + noise * rng.standard_normal(n_rows)
    usual = {"order": "shuffle_each_epoch", "seed": 3}
    train = Train(**usual, batch_size=2, learning_rate=0.01, epochs=4, **words)
    X, y = (part.astype(train.precision) for part in (X, y))
    data = Data(path=".", validation={"fraction": 0.25, "take": "tail"})
    with open_dataset(data, {"Xtr": X, "ytr": y, "Xte": X, "yte": y}) as dataset:
        base, dataset = make_base(train, dataset, options)
        at_one = train_at_one(base, dataset, RUN, OBSERVER)
        rules = variants_of(base, FACTORS)
        settings = [variant.train(base) for variant in rules.values()]
        found = train_settings(settings, dataset, RUN, OBSERVER)
    by_rule = dict(zip(rules.values(), found, strict=True))
    rows = (part[: base.n_rows].astype(np.longdouble) for part in (X, y))
    exact = plain_sgd(base.train, *rows, X[:1], y[:1])
    off = np.append(at_one[0].weights - exact.weights, at_one[0].bias - exact.bias)
    spread, scaled = compare_rules(base, at_one, rules, by_rule, 0.1)
    return spread, scaled, float(np.linalg.norm(off.astype(np.float64)))


@pytest.mark.parametrize(
    ("bias", "words"),
    [
        (800.0, {"precision": "float32", "initial_bias": 800.0}),
        (900.0, {"precision": "float32", "initial_bias": 900.0, "train_bias": False}),
        (-900.0, {"precision": "float32", "initial_bias": -900.0, "l2": 0.01}),
        (3e11, {"initial_bias": 3e11, "train_bias": False}),
        (-3e11, {"initial_bias": -3e11}),
    ],
)
def test_noise_far_above_rounding_is_chance(bias, words):
    options = ScalingOptions(FACTORS, 4, 4, 1, 0.01)
    spread, scaled, rounding = measured(1200, bias, 1.0, options, **words)
    assert spread > 1000 * rounding > 0
    assert all(isinstance(one.against_one, Law) for one in scaled)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize(
    ("bias", "start", "trains_bias"),
    [(0.0, 0.0, True), (0.0, 0.0, False), (40.0, 40.0, False), (4096.0, 4096.0, True),
     (40.0, 0.0, True)],
)  # fmt: skip
def test_without_noise_converged_models_differ_by_rounding_alone(
    precision, bias, start, trains_bias
):
    options = ScalingOptions(FACTORS, 4, 40, 2, 0.05)
    words = {"precision": precision, "initial_bias": start, "train_bias": trains_bias}
    spread, scaled, _ = measured(400, bias, 0.0, options, **words)
    assert spread == 0
    assert {one.verdict for one in scaled} == {"same"}
    assert all(isinstance(one.against_one, Exactly) for one in scaled)
    assert {(one.difference.value, one.difference.standard_error) for one in scaled} == {(0, 0)}
