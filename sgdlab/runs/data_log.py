"""Which arrays a run is trained on, and whether others are the same."""

import math
from collections.abc import Mapping
from typing import Annotated

from pydantic import FailFast, Field, model_validator

from sgdlab.data.dataset import PARTS, Dataset, fingerprint_of
from sgdlab.data.row_array import FileStamp, RowArray
from sgdlab.data.shape import Shape
from sgdlab.observer import Observer
from sgdlab.runs.reading import Count, Index, Log, Logged, Sha256, keys

StampLog = Annotated[FileStamp, Logged(n_bytes=Count, inode=Index)]


class WholeFile(Log):
    """An array of more than 1 GB, whose share in the fingerprint is of pieces of it.

    Attributes
    ----------
    sha256
        Of all its bytes.
    stamp
        Of the file that had them when it was last looked at; None of an array in memory. As long as
        a file has it, nobody has written into it, and it is not read again to know that.
    """

    sha256: Sha256
    stamp: StampLog | None


class DataLog(Log):
    """Which arrays a run is trained on.

    Attributes
    ----------
    row_shape
        Of a row of Xtr, before it is flattened.
    sha256
        Of the files, by part; beyond 1 GB, of pieces of them.
    whole
        Of those that are larger, by part.
    """

    shape: Annotated[
        Shape,
        Logged(
            n_train=Count,
            n_validation=Index,
            n_test=Count,
            n_features=Count,
            folds=Count | None,
            itemsize=Count,
        ),
    ]
    row_shape: Annotated[tuple[Count, ...], FailFast(), Field(strict=False)]
    fingerprint: Sha256
    sha256: Annotated[dict[str, Sha256], keys(*PARTS)]
    whole: dict[str, WholeFile]

    @classmethod
    def of(cls, dataset: Dataset, observer: Observer) -> "DataLog":
        """What is to be known of some arrays; large ones are read once, from start to end."""
        whole = {
            part: WholeFile(sha256=_whole_sha256(array, observer), stamp=array.stamp)
            for part, array in dataset.arrays.items()
            if array.is_sampled
        }
        return cls(
            shape=dataset.shape,
            row_shape=dataset.arrays["Xtr"].row_shape,
            fingerprint=dataset.fingerprint,
            sha256=dataset.file_hashes,
            whole=whole,
        )

    @model_validator(mode="after")
    def _shapes_agree(self) -> "DataLog":
        if math.prod(self.row_shape) != self.shape.n_features:
            found = f"{list(self.row_shape)}, but shape.n_features is {self.shape.n_features}"
            raise ValueError(f"row_shape: {found}")
        return self

    def is_of(self, arrays: Mapping[str, RowArray], observer: Observer) -> bool:
        """Whether these are the same arrays, to the last byte, wherever they stand now.

        Large ones are read from start to end unless they have the stamp that is known.

        Raises
        ------
        ValueError
            If nothing is known of a large one.
        """
        if fingerprint_of(arrays) != self.fingerprint:
            return False
        large = {part: array for part, array in arrays.items() if array.is_sampled}
        for part in large:
            if part not in self.whole:
                raise ValueError(f"data.whole.{part}: not there")
        return all(_is_same(array, self.whole[part], observer) for part, array in large.items())

    def seen_at(self, arrays: Mapping[str, RowArray]) -> "DataLog":
        """The same, with the stamps that its files have now."""
        whole = {
            part: known.model_copy(update={"stamp": arrays[part].stamp or known.stamp})
            for part, known in self.whole.items()
        }
        return self.model_copy(update={"whole": whole})


def _is_same(array: RowArray, known: WholeFile, observer: Observer) -> bool:
    if array.stamp is not None and array.stamp == known.stamp:
        return True
    return _whole_sha256(array, observer) == known.sha256


def _whole_sha256(array: RowArray, observer: Observer) -> str:
    if "whole_sha256" not in vars(array):
        observer.note(f"{array.name}: reading all of its {array.n_bytes / 1e9:.3g} GB for a hash")
    return array.whole_sha256
