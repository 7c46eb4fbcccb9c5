"""Cells and shapes of data that plans are made for."""

import itertools

from hypothesis import settings
from hypothesis import strategies as st

from sgdlab.config.grid import Cell
from sgdlab.config.model import Run, Train
from sgdlab.data.shape import Shape

FACES = Shape(n_train=3200, n_validation=800, n_test=1000, n_features=2304)
SMALL = Shape(n_train=100, n_validation=20, n_test=10, n_features=5)
AUTO = Run()


def cells_of(**axes):
    """Every combination of the given values."""
    usual = {"batch_size": [10], "learning_rate": [0.1], "epochs": [2]} | axes
    points = itertools.product(*usual.values())
    trains = [Train(**dict(zip(usual, point, strict=True))) for point in points]
    return [Cell(index, train) for index, train in enumerate(trains)]


some_axes = st.fixed_dictionaries(
    {
        "batch_size": st.lists(st.integers(1, 130), min_size=1, max_size=4, unique=True),
        "epochs": st.lists(st.integers(1, 9), min_size=1, max_size=3, unique=True),
        "l2": st.lists(st.sampled_from([0.0, 0.1, 1.0]), min_size=1, max_size=3, unique=True),
    },
    optional={
        "loss": st.lists(st.sampled_from(["squared", "huber"]), min_size=1, unique=True),
        "order": st.lists(st.sampled_from(["in_order", "shuffle_once"]), min_size=1, unique=True),
        "precision": st.just(["float64", "float32"]),
        "replicates": st.integers(1, 3).map(lambda n: [n]),
    },
)
some_runs = st.builds(Run, trajectories_per_block=st.just("auto") | st.integers(1, 9))
fixed_seed = settings(max_examples=60, derandomize=True, database=None, deadline=None)
