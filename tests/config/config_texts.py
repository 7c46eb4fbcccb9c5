"""Configs as text for the tests, and what is said of them."""

from pathlib import Path

import pytest

from sgdlab.cli.flags import as_option
from sgdlab.config.reading import load_config
from sgdlab.errors import ConfigError, line

DATA = "data: {path: d}\n"
TRAIN = "train: {batch_size: 10, learning_rate: 0.1, epochs: 2}\n"


def load(text, *overrides, name="c.yaml"):
    path = Path(name)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_config(path, overrides)


def mistakes(text, *overrides):
    with pytest.raises(ConfigError) as caught:
        load(text, *overrides)
    return [line(problem, as_option) for problem in caught.value.problems]


def mistake(text, *overrides):
    [line] = mistakes(text, *overrides)
    return line


def train(**changes):
    """A config with changed keys of ``train``, as they are written."""
    keys = {"batch_size": "10", "learning_rate": "0.1", "epochs": "2"} | changes
    written = ", ".join(f"{key}: {value}" for key, value in keys.items() if value is not None)
    return f"{DATA}train: {{{written}}}\n"
