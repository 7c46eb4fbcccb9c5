"""What is in a folder of arrays."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sgdlab.data.constant import is_constant
from sgdlab.data.dataset import (
    PAIRS,
    PARTS,
    array_files,
    array_paths,
    check_folder,
    check_pair,
    read_targets,
)
from sgdlab.data.npy import NpyFile
from sgdlab.data.row_shape import flatten_alike, in_words, remark_on_shapes
from sgdlab.data.rows import READ_BYTES, rows_in
from sgdlab.data.stand_in import stand_in_parts
from sgdlab.data.transform import check_finite
from sgdlab.errors import DataError, UsageError
from sgdlab.evaluation.comparison import constant_prediction
from sgdlab.optim.losses import Losses, losses_of

HEADROOM = 40  # as a power of two, which rounds nothing: more than values are ever added up

# The files of the homework, by their sha256.
PUBLISHED = {
    "1b36355263268eb4a00032854887377a54f91e83398c28345880e1214f6273ef": "Xtr, 5000 rows",
    "a95e8d61e96b388155a146bcf3cf858a5c8e391bf4d473d3fec4be3f95ed93e6": "Xte",
    "209508d19f3b9e298d377eaed0c510375eb2487c0c887351672e5db22e80615f": "ytr, 5000 rows",
    "eb1e6a0114196c028ee64d04a941e1df968866d1a10709c5e5f57f71171c4f5d": "ytr, 4000 rows",
    "8b74c79ee44a550aa337bbc4d1d2a37486f41f69b32b01efa9bc6a92864b8d23": "yte",
}


@dataclass(frozen=True)
class FileDescription:
    """One array file. ``std`` is the population's; ``published_as`` names a known original.

    ``is_stand_in`` says whether it was synthesized where it is.
    """

    part: str
    path: Path
    shape: tuple[int, ...]
    dtype: str
    n_bytes: int
    minimum: float
    maximum: float
    mean: float
    std: float
    sha256: str
    is_stand_in: bool
    published_as: str | None


@dataclass(frozen=True)
class LabelDescription:
    """The targets of one file, and what predicting the training mean costs on them."""

    part: str
    n_rows: int
    mean: float
    std: float
    minimum: float
    median: float
    maximum: float
    constant_losses: Losses | None


@dataclass(frozen=True)
class Description:
    """A folder's arrays with one prefix.

    Attributes
    ----------
    remarks
        A sentence for each thing about the files together that a reader should know.
    """

    folder: Path
    prefix: str
    files: tuple[FileDescription, ...]
    labels: tuple[LabelDescription, ...]
    remarks: tuple[str, ...]

    @property
    def is_synthetic(self) -> bool:
        """Whether any of the files is of the stand-in."""
        return any(file.is_stand_in for file in self.files)


def describe(folder: Path, prefix: str | None = None) -> Description:
    """Read all arrays of a folder; a figure beyond the range of float64 is infinite.

    Parameters
    ----------
    prefix
        Of the files' names; by default the only one that is there.

    Raises
    ------
    UsageError
        If there are several prefixes and none is given, or the given one leads to another folder.
    DataError
        If there are no arrays, or one is broken or does not fit its partner.
    """
    prefix = _only_prefix(folder) if prefix is None else prefix
    paths = array_paths(folder, prefix)
    check_folder(folder)
    present = [part for part in PARTS if os.path.lexists(paths[part])]
    if not present:
        names = ", ".join(path.name for path in paths.values())
        raise DataError(folder, "no arrays", names)
    with ExitStack() as stack, np.errstate(over="ignore", invalid="ignore"):
        files = {part: stack.enter_context(NpyFile(paths[part])) for part in present}
        for X_part, y_part in PAIRS:
            if X_part in files and y_part in files:
                check_pair(files[X_part], files[y_part])
        targets = {part: read_targets(files[part]) for part in present if part.startswith("y")}
        synthetic = stand_in_parts(files)
        return Description(
            folder,
            prefix,
            tuple(_describe_file(part, file, part in synthetic) for part, file in files.items()),
            tuple(_describe_labels(part, targets) for part in targets),
            tuple(_remarks(files, synthetic)),
        )


def _only_prefix(folder: Path) -> str:
    check_folder(folder)
    names = array_files(folder)
    found = {name[: -len(f"{part}.npy")] for name in names for part in PARTS if _is(name, part)}
    if not found:
        raise DataError(folder, "no arrays", "a folder with PREFIX + Xtr.npy, ytr.npy, ...")
    if len(found) > 1:
        shown = ", ".join(repr(prefix) for prefix in sorted(found))
        raise UsageError(folder, f"arrays with the prefixes {shown}", "one", "use `prefix`")
    return found.pop()


def _remarks(files: dict[str, NpyFile], synthetic: Sequence[str]) -> Iterator[str]:
    if 0 < len(synthetic) < len(files):
        others = ", ".join(part for part in files if part not in synthetic)
        yield f"synthetic: {', '.join(synthetic)}; not synthetic: {others}"
    if "Xtr" in files and "Xte" in files:
        train, test = files["Xtr"], files["Xte"]
        if train.n_features != test.n_features:
            counts = f"Xtr has {train.n_features} values a row, Xte {test.n_features}"
            yield f"{counts}; a run needs equally many"
        elif not flatten_alike(train.row_shape, test.row_shape):
            shapes = f"Xtr has {in_words(train.row_shape)} values a row"
            yield f"{shapes}, Xte {in_words(test.row_shape)}; a run needs them in the same order"
        else:
            yield from remark_on_shapes("Xtr", train.row_shape, "Xte", test.row_shape)


def _is(name: str, part: str) -> bool:
    return name.endswith(f"{part}.npy")


def _describe_file(part: str, file: NpyFile, is_stand_in: bool) -> FileDescription:
    minimum, maximum, total, squares = np.inf, -np.inf, 0.0, 0.0
    n_values = file.n_rows * file.n_features
    for values in _chunks(file):
        minimum, maximum = min(minimum, values.min()), max(maximum, values.max())
        total += values.sum()
    mean = total / n_values
    if not np.isfinite(mean):
        total = sum(np.ldexp(values, -HEADROOM).sum() for values in _chunks(file))
        mean = np.ldexp(total / n_values, HEADROOM)
    unit = _unit(minimum, maximum)
    for values in _chunks(file):
        squares += np.square(np.ldexp(values, -unit) - np.ldexp(mean, -unit)).sum()
    return FileDescription(
        part=part,
        path=file.path,
        shape=file.shape,
        dtype=str(file.dtype),
        n_bytes=file.n_bytes,
        minimum=float(minimum),
        maximum=float(maximum),
        mean=float(mean),
        std=float(np.ldexp(_deviation(squares / n_values, np.ldexp(mean, -unit), n_values), unit)),
        sha256=file.sha256,
        is_stand_in=is_stand_in,
        published_as=PUBLISHED.get(file.sha256),
    )


def _unit(minimum: float, maximum: float) -> int:
    """The power of two in which squares of such values stay within float64; it rounds nothing."""
    return int(np.frexp(max(abs(minimum), abs(maximum)))[1]) + 1


def _chunks(file: NpyFile) -> Iterator[NDArray[np.float64]]:
    step = rows_in(READ_BYTES, file.n_features)
    for start in range(0, file.n_rows, step):
        numbers = slice(start, min(start + step, file.n_rows))
        values = file.read_rows(numbers)
        check_finite(file, values, numbers)
        yield values.astype(np.float64)


def _describe_labels(part: str, targets: dict[str, NDArray[np.float64]]) -> LabelDescription:
    y = targets[part]
    constant = losses_of(_mean_and_std(targets["ytr"])[0] - y) if "ytr" in targets else None
    mean, std = _mean_and_std(y)
    return LabelDescription(
        part=part,
        n_rows=len(y),
        mean=mean,
        std=std,
        minimum=float(y.min()),
        median=float(np.ldexp(np.median(np.ldexp(y, -2)), 2)),
        maximum=float(y.max()),
        constant_losses=constant,
    )


def _mean_and_std(y: NDArray[np.float64]) -> tuple[float, float]:
    unit = _unit(y.min(), y.max()) + HEADROOM
    scaled = np.ldexp(y, -unit)
    mean = constant_prediction("half_mse", scaled)
    std = _deviation(float(scaled.var()), float(scaled.mean()), len(y))
    return float(np.ldexp(mean, unit)), float(np.ldexp(std, unit))


def _deviation(variance: float, mean: float, n_values: int) -> float:
    """0 where values are equal but for rounding."""
    return 0.0 if is_constant(variance, mean, n_values) else float(np.sqrt(variance))
