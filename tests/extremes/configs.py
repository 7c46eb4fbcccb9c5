"""Random configs and arrays with numbers from 1e-300 to 1e300, all of which are valid."""

from dataclasses import dataclass
from typing import Any

import numpy as np

SHAPES = [(5, 1), (5, 8), (12, 1), (12, 8), (14, 60), (30, 2), (30, 8), (40, 60)]  # rows, columns
OPTIMIZERS = ["sgd", "sgd", "sgd", "momentum", "nesterov", "adam"]
ORDERS = ["in_order", "shuffle_once", "shuffle_each_epoch", "with_replacement", "shuffle_blocks"]
SCHEDULES = ["constant", "constant", "exponential", "step", "inverse_time", "cosine"]
EXTREMES = [5e-324, 1e-320, 1e-300, 1e-200, 1e-100, 1e-30, 1e30, 1e100, 1e200, 1e300, 1.7e308]
SMALLEST_STANDARDIZED = 1e-290  # below, float64 has fewer digits, and so has the deviation
LARGEST_SQUARED = 1e15  # a gradient of which float32 holds the square, as adam remembers it


@dataclass(frozen=True)
class Extreme:
    """A config and its arrays."""

    config: dict[str, Any]
    arrays: dict[str, np.ndarray]


@np.errstate(all="ignore")
def extreme(seed: int, number: int) -> Extreme:
    """The config with a number."""
    rng = np.random.default_rng([seed, number])
    n_rows, n_columns = SHAPES[rng.integers(len(SHAPES))]
    precision = "float32" if rng.random() < 0.2 else "float64"
    farthest = 35 if precision == "float32" else 300
    x_size, y_size = _size(rng, farthest), _size(rng, farthest)
    arrays = _arrays(rng, n_rows, n_columns, x_size, y_size, precision)
    data, run = _data(rng), {"threads": int(rng.integers(1, 3))}
    x_size = float(abs(arrays["Xtr"].astype(np.float64)).max()) or 1.0
    divided = x_size / data.get("divide_by", 1.0)
    if data.get("preprocess") == "standardize":
        if divided < SMALLEST_STANDARDIZED:
            data.pop("divide_by", None)
        divided = 1.0
    if rng.random() < 0.3:
        run["memory_budget"] = 1
    if rng.random() < 0.5:
        run["trajectories_per_block"] = int(rng.integers(1, 5))
    train, grid = _hyperparameters(rng, n_rows, divided, y_size, n_columns)
    gradient = divided * max(1.0, y_size)
    if train["optimizer"] == "adam" and not 1 / LARGEST_SQUARED < gradient < LARGEST_SQUARED:
        precision = "float64"
    train["precision"] = precision
    config = {"data": data, "train": train, "grid": grid, "run": run}
    if rng.random() < 0.3:
        config["select"] = {"metric": "mae"}
    if "folds" in data.get("validation", {}) and rng.random() < 0.5:
        config.setdefault("select", {})["rule"] = "one_standard_error"
    return Extreme(config, arrays)


def _size(rng, farthest: float) -> float:
    """Of numbers: usual, or anything up to so many decimal places from it."""
    kind = rng.random()
    if kind < 0.35:
        return 1.0
    return float(10 ** (rng.uniform(-1, 1) * (20 if kind < 0.6 else farthest)))


def _arrays(rng, n_rows, n_columns, x_size, y_size, precision) -> dict[str, np.ndarray]:
    w, shift = rng.standard_normal(n_columns), rng.choice([0.0, 0.5])
    sizes = np.full(n_columns, x_size)
    if precision == "float64" and rng.random() < 0.2:
        sizes[rng.integers(n_columns)] = _size(rng, 300)
    arrays, kind = {}, rng.random()
    for part, n in (("tr", n_rows), ("te", 4)):
        X = rng.standard_normal((n, n_columns)) + shift
        y = X @ w / np.sqrt(n_columns) + 0.3 * rng.standard_normal(n) + shift
        if kind < 0.1:
            X[:, 0] = 0.0
        elif kind < 0.2:
            y = np.zeros(n)
        arrays[f"X{part}"], arrays[f"y{part}"] = X * sizes, y * y_size
    if x_size == 1.0 and kind > 0.9:
        for part in ("Xtr", "Xte"):
            arrays[part] = rng.integers(0, 65536, arrays[part].shape).astype(np.uint16)
    return arrays


def _data(rng) -> dict[str, Any]:
    data: dict[str, Any] = {}
    if rng.random() < 0.3:
        data["preprocess"] = str(rng.choice(["center", "standardize"]))
    if rng.random() < 0.15:
        data["divide_by"] = float(rng.choice([1e-300, 1e-20, 255.0, 1e20, 1e300]))
    if rng.random() < 0.3:
        data["validation"] = {"folds": int(rng.integers(2, 4))}
    return data


def _hyperparameters(rng, n_rows, x_size, y_size, n_columns):
    """A value for every cell, and axes of a grid: some that learn, some that are bold."""
    train: dict[str, Any] = {
        "loss": str(rng.choice(["squared", "squared", "absolute", "huber"])),
        "optimizer": str(rng.choice(OPTIMIZERS)),
        "order": str(rng.choice(ORDERS)),
        "schedule": str(rng.choice(SCHEDULES)),
        "train_bias": bool(rng.random() < 0.5),
        "seed": int(rng.integers(1000)),
    }
    if train["order"] == "shuffle_blocks":
        train |= {"block_rows": int(rng.integers(1, 5)), "buffer_blocks": int(rng.integers(1, 4))}
    if train["schedule"] != "constant":
        train["final_factor"] = float(rng.choice([0.01, 0.5, 1.0, 1e-300, 5e-324]))
        train["warmup"] = float(rng.choice([0.0, 0.0, 0.3, 5e-324]))
        if train["schedule"] == "inverse_time" and train["warmup"] == 0.3:
            train["final_factor"] = 0.01  # else it falls at once, when depends on a rounding
    if rng.random() < 0.2:
        train["replicates"] = 2
    _maybe(train, "initial_bias", rng, [y_size, -y_size, *EXTREMES])
    _maybe(train, "huber_delta", rng, [y_size, y_size, *EXTREMES], train["loss"] == "huber")
    _maybe(train, "weight_decay", rng, [0.01, *EXTREMES])
    if train["optimizer"] in ("momentum", "nesterov"):
        train["momentum"] = float(rng.choice([0.0, 0.5, 0.9, 5e-324, 1 - 2**-53]))
    if train["optimizer"] == "adam":
        train["beta1"] = float(rng.choice([0.0, 0.9, 5e-324]))
        train["beta2"] = float(rng.choice([0.0, 0.999, 1e-300, 1 - 2**-53]))
        train["epsilon"] = float(rng.choice([1e-8, 1e-30, 1e300]))
    if rng.random() < 0.25:
        train["initial_weights"] = "normal"
        train["initial_scale"] = rng.choice([0.01, np.divide(y_size, x_size), *EXTREMES])
        train["initial_scale"] = _valid(train["initial_scale"])
    curvature = float(np.float64(x_size) ** 2) * n_columns
    rate = _learning(train, x_size, y_size, curvature)
    rates = [rate * 10 ** rng.uniform(-1, 0), rate * 10 ** rng.uniform(0, 15), rng.choice(EXTREMES)]
    l2 = [0.0, curvature * 10 ** rng.uniform(-3, 0), rng.choice(EXTREMES)]
    batch_sizes = {1, int(rng.integers(2, 6)), n_rows}
    grid = {
        "learning_rate": sorted({_valid(rate) for rate in rates}),
        "l2": sorted({0.0} | {_valid(value) for value in l2[1 : rng.integers(1, 4)]}),
        "batch_size": sorted(rng.permutation(list(batch_sizes))[:2].tolist()),
        "epochs": [1, 3] if rng.random() < 0.3 else [int(rng.integers(1, 4))],
    }
    return train, grid


def _maybe(train, name, rng, values, always=False) -> None:
    if always or rng.random() < 0.2:
        sign = np.sign(rng.standard_normal()) if name == "initial_bias" else 1.0
        value = float(rng.choice(values))
        train[name] = float(sign * _valid(abs(value)))


def _learning(train, x_size, y_size, curvature) -> float:
    """About the largest learning rate with which a training goes well."""
    if train["optimizer"] == "adam":
        return float(np.divide(0.1 * y_size, x_size))
    if train["loss"] == "squared":
        return float(np.divide(0.5, curvature))
    pull = 1.0 if train["loss"] == "absolute" else min(train["huber_delta"], y_size)
    return float(np.divide(0.1 * y_size, curvature) / pull)


def _valid(value: float) -> float:
    """The nearest number that a config takes where it wants a positive one."""
    value = float(value)
    return 1.0 if np.isnan(value) else float(np.clip(value, 5e-324, 1.7e308))
