"""How a run ends if it is executed again: by what was trained again, and what is stored else."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sgdlab.data.dataset import Dataset
from sgdlab.errors import NothingToSelectError
from sgdlab.runs.cell_log import CellResult
from sgdlab.runs.conclusion import Conclusion
from sgdlab.runs.experiment import Extent
from sgdlab.runs.kept import Kept, Weights, as_logged, read_kept
from sgdlab.runs.logs import Logs, log_name
from sgdlab.runs.names import origin_of
from sgdlab.runs.seals import sealed, sha256_of
from sgdlab.search.finishing import Ending
from sgdlab.search.verification.execution import Executed
from sgdlab.search.verification.stored import Stored


@dataclass(frozen=True)
class EndedAgain:
    """The end of a run, of whose cells some were trained again."""

    stored: Stored
    executed: Executed
    dataset: Dataset
    is_exact: bool

    @cached_property
    def best(self) -> str | None:
        """The name of the cell that is selected.

        By what was computed again, if that is the same to the last bit: cells that are equal but
        for rounding are not told apart elsewhere. Else by what is stored, which is to be as near.
        """
        logs, final = (self._logs, self._final) if self.is_exact else self.stored.as_they_say()
        try:
            return self._ending.selected(logs, final).cell.name
        except NothingToSelectError:
            return None

    @property
    def is_tested(self) -> bool:
        """Whether test losses can be measured as they were: cells of which they are together."""
        stored = self.stored.experiment
        return stored.tested == "best" or stored.kept == "all" or self._is_whole

    @property
    def has_weights(self) -> bool:
        """Whether the best cell has not diverged this time, where it is one that had not."""
        if self.best is None:
            return True
        index = int(self.best)
        models = [logs.results.get(index) for logs in (self._logs, self._final)]
        return all(model.status == "completed" for model in models if model is not None)

    def finish(self) -> tuple[Conclusion, dict[Path, bytes]]:
        """What is found, and the files that are written then."""
        if self.best is None:
            return self._ending.finish(self._logs, self._final)
        best = self._logs.results[int(self.best)]
        return self._ending.finish_with(best, self._logs, self._final)

    @cached_property
    def _ending(self) -> Ending:
        stored, experiment = self.stored, self.stored.experiment
        tested: Extent = experiment.tested if self.is_tested else "best"
        rows, grid, rule = self.dataset, stored.grid, experiment.config.select
        run = (stored.directory, self._weights)
        return Ending(*run, rows, grid, rule, tested, experiment.kept)

    @property
    def _is_whole(self) -> bool:
        return all(self.executed.result(*log) is not None for log in self.stored.all_logs())

    @cached_property
    def _logs(self) -> Logs:
        return self._read(is_final=False)

    @cached_property
    def _final(self) -> Logs:
        return self._read(is_final=True)

    def _read(self, is_final: bool) -> Logs:
        experiment, origin = self.stored.experiment, origin_of(self.stored.experiment)
        folder, found = self.stored.folder(is_final).name, Logs({}, {}, {})
        for cell, is_of_final in self.stored.all_logs():
            if is_of_final != is_final:
                continue
            result, name = self.executed.result(cell, is_final), log_name(folder, cell)
            if result is None:
                one = self.stored.logs([cell], is_final)
                found.results[cell.index], found.hashes[name] = one.in_order[0], one.hashes[name]
            else:
                content = sealed(result.to_log(experiment.synthetic, origin))
                found.results[cell.index], found.hashes[name] = result, sha256_of(content)
        return found

    def _weights(self, log: CellResult, fold: int | None) -> Weights:
        if (found := self.executed.weights(log.cell, fold)) is not None:
            return found
        return as_logged(self._kept.file, self._kept.weights[log.cell.index, fold], log, fold)

    @cached_property
    def _kept(self) -> Kept:
        stored = self.stored
        shape, known = stored.experiment.data.shape, stored.experiment.known_hashes
        return read_kept(stored.directory, shape, stored.grid.cells, known)
