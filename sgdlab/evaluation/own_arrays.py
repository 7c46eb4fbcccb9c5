"""The arrays that a run was trained on, where they are now."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from sgdlab.config.model import Data
from sgdlab.data.dataset import Dataset, array_paths, open_dataset
from sgdlab.errors import DataError
from sgdlab.observer import Observer
from sgdlab.runs.directory import RunDirectory
from sgdlab.runs.experiment import Experiment
from sgdlab.system.looking import is_there


@contextmanager
def own_arrays(
    directory: RunDirectory,
    experiment: Experiment,
    place: Data,
    arrays: Mapping[str, NDArray[Any]] | None,
    observer: Observer,
    if_absent: str,
    if_others: str,
) -> Iterator[Dataset]:
    """Open the arrays of a run, and compare them with what it says of them.

    Parameters
    ----------
    place
        The run's config of its data, or the same with where they are said to be now.
    arrays
        In memory, in place of files.
    if_absent, if_others
        What to do then.

    Raises
    ------
    DataError
        If they are absent, or are not those that the run was trained on.
    """
    if arrays is None:
        _check_present(place, directory, if_absent)
    with open_dataset(place, arrays) as dataset:
        if not directory.is_of(experiment, dataset.arrays, observer):
            where = "arrays in memory" if arrays is not None else place.path
            found = f"not the arrays that {directory.name} was trained on"
            raise DataError(where, found, "them unchanged", if_others)
        yield dataset


def _check_present(place: Data, directory: RunDirectory, if_absent: str) -> None:
    if place.path is None:
        found = "trained on arrays in memory"
        raise DataError(directory.path, found, "arrays in files", "give `data`")
    for path in array_paths(Path(place.path), place.prefix).values():
        if not is_there(path):
            expected = f"the arrays that {directory.name} was trained on"
            raise DataError(path, "no such file", expected, if_absent)
