"""What an experiment on a config is made on: its data and one of its cells."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from sgdlab.config.grid import expand
from sgdlab.config.model import Config, Train
from sgdlab.config.reading import load_config
from sgdlab.data.dataset import Dataset, open_dataset
from sgdlab.data.shape import Shape
from sgdlab.data.stand_in import is_stand_in, synthesize_if_missing
from sgdlab.errors import UsageError
from sgdlab.observer import Observer
from sgdlab.planning.plan import n_threads
from sgdlab.system.blas import blas_threads

Result = TypeVar("Result")


@dataclass(frozen=True)
class About:
    """What an answer is about, for the heading of its table."""

    name: str
    cell: str
    is_synthetic: bool
    shape: Shape
    target_unit: str


@dataclass(frozen=True)
class Answer(Generic[Result]):
    """A measurement on data, with what it was made on."""

    about: About
    result: Result


@dataclass(frozen=True)
class Subject:
    """Open data, and one setting of all hyperparameters."""

    config: Config
    train: Train
    dataset: Dataset
    about: About


@contextmanager
def open_subject(
    config_path: Path, overrides: Sequence[str], cell: int | None, observer: Observer
) -> Iterator[Subject]:
    """Open the data of a config that has one cell, or of which one cell is named.

    Raises
    ------
    ConfigError, DataError
        See :mod:`sgdlab.errors`.
    UsageError
        If there are several cells and none is named, or the named one is not there; if there are
        folds, since every statement is on one set of rows to train.
    """
    config = load_config(config_path, overrides)
    if config.data.validation.folds is not None:
        found = f"data.validation.folds {config.data.validation.folds}"
        hint = "set data.validation to {fraction: 0.2}"
        raise UsageError(config_path, found, "a single split for this experiment", hint)
    cells = expand(config).cells
    if cell is None and len(cells) > 1:
        raise UsageError(config_path, f"{len(cells)} cells", "one", "name one with `cell`")
    if not 0 <= (cell or 0) < len(cells):
        raise UsageError(f"`cell={cell}`", "no such cell", f"0 to {len(cells) - 1}")
    chosen = cells[cell or 0]
    synthesize_if_missing(config.data, observer)
    limits = blas_threads(n_threads(config.run))
    with limits, open_dataset(config.data) as dataset:
        for remark in dataset.remarks:
            observer.note(remark)
        about = About(
            name=config.name,
            cell=chosen.name,
            is_synthetic=is_stand_in(dataset.arrays),
            shape=dataset.shape,
            target_unit=config.data.target_unit,
        )
        yield Subject(config, chosen.train, dataset, about)


def need_plain_sgd(train: Train) -> None:
    """Raise UsageError for cells whose exact minimum, curvature or stability is not known."""
    plain = {"loss": "squared", "optimizer": "sgd", "schedule": "constant", "warmup": 0.0}
    plain |= {"weight_decay": 0.0}
    for name, value in plain.items():
        if (found := getattr(train, name)) != value:
            key = f"train.{name}"
            raise UsageError(key, str(found), str(value), f"set {key} to {value}")
