"""A finished run is executed again from its own record, and compared with what it has stored."""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgdlab.config.grid import Cell
from sgdlab.config.model import Data
from sgdlab.data.dataset import Dataset
from sgdlab.errors import UsageError
from sgdlab.evaluation.own_arrays import own_arrays
from sgdlab.observer import Observer
from sgdlab.runs.conclusion import Conclusion
from sgdlab.runs.directory import RunDirectory
from sgdlab.search.verification.closeness import Closeness
from sgdlab.search.verification.comparison import Comparison
from sgdlab.search.verification.ending import EndedAgain
from sgdlab.search.verification.environment import facts_beside
from sgdlab.search.verification.execution import Executed, execute
from sgdlab.search.verification.of_ending import EndBeside
from sgdlab.search.verification.of_logs import LogsBeside
from sgdlab.search.verification.result import Place, Sample, Verification
from sgdlab.search.verification.sample import Share, share_of
from sgdlab.search.verification.stored import Stored, read_stored
from sgdlab.system.blas import blas_threads
from sgdlab.system.looking import real

PathLike = str | os.PathLike[str]
UNTESTED = "test losses are not compared: a sample has not the weights of all cells tested together"
UNKEPT = "weights that are not kept are known by a hash alone, which says nothing of nearness"
SESSIONS = "{} sessions made this run, and the environment that it tells of is the last one's"


@dataclass(frozen=True)
class VerifyOptions:
    """What of a run is executed again, and where its arrays are.

    Attributes
    ----------
    sample
        Of so many cells the blocks alone, drawn with ``seed``; the best is always among them. None:
        all.
    data, prefix
        Folder and prefix of the run's own arrays where they are not where it had them.
    """

    sample: int | None = None
    seed: int = 0
    data: PathLike | None = None
    prefix: str | None = None


@np.errstate(all="ignore")  # as in a search, what leaves the range of float64 is not known
def verify_run(
    directory: RunDirectory,
    options: VerifyOptions,
    observer: Observer,
    arrays: Mapping[str, NDArray[Any]] | None = None,
) -> Verification:
    """Execute a run again and compare every number; nothing in its folder is touched.

    In the environment of the run numbers must be the same to the last bit. In another one they must
    be near: see :mod:`sgdlab.search.verification.closeness`.

    Parameters
    ----------
    arrays
        The run's own in memory, in place of files.

    Raises
    ------
    UsageError
        If the run is not finished, or an option makes no sense.
    StorageError
        If something of the run is absent or damaged, another sgdlab made it, or the memory is too
        small.
    DataError
        If its arrays are absent, or are others.
    """
    _check_options(options, arrays)
    stored = read_stored(RunDirectory(real(directory.path)))
    place = _place(stored.experiment.config.data, options)
    run = (stored.directory, stored.experiment, place, arrays, observer)
    hints = ("give `data`, the folder where they are now",) * 2
    with own_arrays(*run, *hints) as dataset:
        return _verified(stored, dataset, options, observer)


def _check_options(options: VerifyOptions, arrays: Mapping[str, NDArray[Any]] | None) -> None:
    if options.sample is not None and options.sample < 1:
        raise UsageError(f"`sample={options.sample}`", "no cells", "1 or more")
    if options.data is not None and arrays is not None:
        raise UsageError(f"`data={options.data}`", "arrays in memory too", "one of them")


def _place(known: Data, options: VerifyOptions) -> Data:
    """Where the arrays of a run are now."""
    prefix = known.prefix if options.prefix is None else options.prefix
    path = known.path if options.data is None else str(options.data)
    return known.model_copy(update={"path": path, "prefix": prefix})


def _verified(
    stored: Stored, dataset: Dataset, options: VerifyOptions, observer: Observer
) -> Verification:
    experiment, cells = stored.experiment, stored.grid.cells
    plans = (stored.plan, stored.final_plan)
    share = share_of(cells, experiment.best, plans, options.sample, options.seed)
    threads = experiment.sessions[-1].threads
    all_threads = {threads, *(one_pass.blas_threads for one_pass in share.passes)}
    facts = facts_beside(experiment.environment, all_threads)
    comparison = Comparison(all(fact.is_same for fact in facts))
    with blas_threads(threads):  # as the session that finished the run
        executed = execute(
            share.passes, cells, _with_weights(stored), dataset, experiment, observer
        )
        remarks = _compare(stored, executed, dataset, comparison)
    dataset.check_unchanged()
    if comparison.is_exact and comparison.first is not None and len(experiment.sessions) > 1:
        remarks.append(SESSIONS.format(len(experiment.sessions)))
    return Verification(
        directory=stored.directory,
        config=experiment.config,
        is_synthetic=experiment.synthetic,
        facts=facts,
        n_cells=len(cells),
        sample=_sample(share, executed, experiment.best, options.seed),
        tallies=comparison.tallies,
        mismatch=comparison.first,
        remarks=tuple(remarks),
    )


def _with_weights(stored: Stored) -> Collection[int]:
    """The cells whose weights are needed to end the run, or are kept in it."""
    experiment = stored.experiment
    if "all" in (experiment.tested, experiment.kept):
        return range(len(stored.grid.cells))
    return () if experiment.best is None else (int(experiment.best),)


def _compare(
    stored: Stored, executed: Executed, dataset: Dataset, comparison: Comparison
) -> list[str]:
    """Compare numbers in the order in which they come to be; gives what else there is to say."""
    largest = float(np.abs(dataset.training(np.float64).targets).max())

    def near(cell: Cell) -> Closeness:
        return Closeness.of(cell.train.precision, largest, dataset.shape.n_features)

    hashes = LogsBeside(stored, executed, near, comparison).compare_trainings()
    ended = EndedAgain(stored, executed, dataset, comparison.is_exact)
    beside = EndBeside(stored, near, ended.is_tested, comparison)
    best, known = ended.best, stored.experiment.best
    of_record = Place(stored.directory.experiment_file.name, "best")
    made: dict[Path, bytes] = {}
    conclusion: Conclusion | None = None
    if best == known and ended.has_weights:  # of another cell there are none
        conclusion, made = ended.finish()
    if made and best is not None:
        beside.compare_weights(made[stored.directory.weights_file], executed.whole_cells)
    if comparison.is_exact:
        for place, before, now in hashes:
            comparison.value(place, before, now)
    comparison.value(of_record, known, best)
    if conclusion is not None:
        if best is not None:
            file = stored.directory.predictions_file
            beside.compare_predictions(made[file], stored.grid.cells[int(best)])
        beside.compare_conclusion(conclusion)
        beside.compare_table(made[stored.directory.results_file])
    return _left_out(stored, ended, comparison)


def _left_out(stored: Stored, ended: EndedAgain, comparison: Comparison) -> list[str]:
    """What could not be compared, and why."""
    remarks = [] if ended.is_tested else [UNTESTED]
    if not comparison.is_exact and stored.experiment.kept == "best" and len(stored.grid.cells) > 1:
        remarks.append(UNKEPT)
    return remarks


def _sample(share: Share, executed: Executed, best: str | None, seed: int) -> Sample | None:
    if share.drawn is None:
        return None
    names = tuple(cell.name for cell in share.drawn)
    return Sample(best, names, seed, len(executed.whole_cells))
