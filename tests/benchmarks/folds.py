"""Five folds beside one split: seconds of whole searches, and bytes read where rows are streamed.

The folds train each cell five times on as many rows as the split does, and the selected cell once
more on all rows; the bytes of that are counted apart.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

from rich.console import RenderableType

from sgdlab import workflows
from sgdlab.data.dataset import Dataset
from sgdlab.data.npy import NpyFile
from sgdlab.observer import Observer
from sgdlab.report.layout import new_table
from tests.benchmarks.data import CONFIG
from tests.benchmarks.shown import ratio_table, seconds_cells
from tests.benchmarks.stopwatch import Stopwatch

SPLIT, FOLDS = "one split", "5 folds"
VALIDATIONS = {SPLIT: "{fraction: 0.2}", FOLDS: "{folds: 5}"}
STREAMED = ("grid.epochs=[8]", "run.memory_budget=1MB")


def tables(dataset: Dataset, stopwatch: Stopwatch) -> Iterator[RenderableType]:
    medians = stopwatch.medians({name: partial(search, dataset, name) for name in VALIDATIONS})
    table = new_table("", "seconds of 256 cells", "of 8 epochs: MB read", "by the final training")
    read = {name: megabytes_read(dataset, name) for name in VALIDATIONS}
    for name, (selecting, final) in read.items():
        table.add_row(name, *seconds_cells([medians[name]]), f"{selecting:.0f}", f"{final:.0f}")
    yield table
    yield ""
    yield ratio_table({f"{FOLDS} / {SPLIT}": medians[FOLDS] / medians[SPLIT]})
    yield ""
    ratios = new_table("ratio of bytes read", "")
    ratios.add_row("without the final training", f"{read[FOLDS][0] / read[SPLIT][0]:.2f}")
    ratios.add_row("with it", f"{sum(read[FOLDS]) / sum(read[SPLIT]):.2f}")
    yield ratios


def search(
    dataset: Dataset, name: str, overrides: tuple[str, ...] = (), observer: Observer | None = None
) -> None:
    """The homework's grid, from the files to the finished run."""
    where = (f"data.path={dataset.config.path}", f"data.prefix={dataset.config.prefix}")
    how = (f"data.validation={VALIDATIONS[name]}", *overrides)
    with TemporaryDirectory() as runs_dir:
        options = workflows.SearchOptions(Path(runs_dir))
        workflows.grid_search(CONFIG, (*where, *how), options, observer)


class Meter(Observer):
    """Megabytes of X that were read during each training."""

    def __init__(self) -> None:
        self.megabytes: list[float] = []
        self._is_on = False

    def begin(self, progress: object) -> None:
        self.megabytes.append(0.0)
        self._is_on = True

    def end(self) -> None:
        self._is_on = False

    def reading(self, read):
        """The method that reads rows, counted."""

        def counted(file, *arguments, **keywords):
            rows = read(file, *arguments, **keywords)
            if self._is_on and file.n_features > 1:
                self.megabytes[-1] += rows.nbytes / 1e6
            return rows

        return counted


def megabytes_read(dataset: Dataset, name: str) -> tuple[float, float]:
    """By all cells, and by the training of the selected one on all rows."""
    meter = Meter()
    with mock.patch.object(NpyFile, "read_rows", meter.reading(NpyFile.read_rows)):
        search(dataset, name, STREAMED, meter)
    selecting, *final = meter.megabytes
    return selecting, sum(final)
