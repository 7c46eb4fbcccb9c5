"""What is disturbed: commands on folders of which copies are kept."""

import math
import os
import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import numpy as np
import yaml

from sgdlab import workflows
from sgdlab.observer import Observer, Progress
from sgdlab.search import keeping
from tests.conftest import make_arrays
from tests.flipped_bits import Answer, answer, contents

TRAIN = {"batch_size": 26, "learning_rate": 0.05, "epochs": 3}
GRID = {"l2": [0.0, 0.1], "order": ["in_order", "shuffle_once"]}
RUN = {"checkpoint_every_s": 1e-9}
FOLDS = {"validation": {"folds": 2}}
ALL = ("--keep-weights", "all", "--test-losses", "all")


@dataclass
class Scenario:
    """A command in a folder: what was there before it, and what it does if nothing is refused.

    Attributes
    ----------
    is_finished
        Whether there is a finished run before, which must be shown whatever fails.
    """

    name: str
    folder: Path
    pristine: Path
    command: tuple[str, ...]
    is_finished: bool
    answer: Answer = field(init=False)
    shown: tuple[Answer, ...] = field(init=False)
    shown_then: tuple[Answer, ...] = field(init=False)
    expected: Mapping[str, bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.restore()
        self.shown = self.show() if self.is_finished else ()
        self.restore()
        self.answer = self.give()
        assert self.answer.code == 0, self.answer.err
        self.expected = self.results()
        self.shown_then = self.show() if self.is_finished else ()

    def give(self) -> Answer:
        with keeping_all():
            return answer(*self.command)

    def show(self) -> tuple[Answer, ...]:
        """What a finished run shows to the commands that ask for no more."""
        return answer("evaluate", "latest"), answer("grid-search", "config.yaml", "--quiet")

    def restore(self) -> None:
        os.chdir(self.pristine)
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.pristine, self.folder)
        os.chdir(self.folder)

    def results(self) -> dict[str, bytes]:
        """All files but the record, which has times, and folders without any."""
        return {
            name: content
            for name, content in contents(self.folder).items()
            if not name.endswith("/experiment.json")
        }


def keeping_all() -> AbstractContextManager[object]:
    """The state of a training is kept after every epoch inside, whatever it takes."""
    return mock.patch.object(keeping, "MOST_SHARE", math.inf)


class _Interrupting(Observer):
    """Breaks off a search in its second pass, of which there is a state then."""

    def advance(self, progress: Progress) -> None:
        if progress.epoch == TRAIN["epochs"] + 2:
            raise KeyboardInterrupt


def make_scenarios(folder: Path) -> list[Scenario]:
    """A search, one with folds, an evaluation, a resumption, and more that is asked for."""
    made = []
    for name, state, command, data in (
        ("search", "new", ("grid-search", "config.yaml"), {}),
        ("search with folds", "new", ("grid-search", "config.yaml"), FOLDS),
        ("evaluate", "finished", ("evaluate", "latest"), {}),
        ("resume", "interrupted", ("grid-search", "config.yaml"), {}),
        ("resume with folds", "interrupted", ("grid-search", "config.yaml"), FOLDS),
        ("more", "finished", ("grid-search", "config.yaml", *ALL), {}),
        ("more with folds", "finished", ("grid-search", "config.yaml", *ALL), FOLDS),
        ("show", "finished", ("grid-search", "config.yaml"), {}),
    ):
        place = folder / name.replace(" ", "-")
        pristine = place.with_name(f"{place.name}-pristine")
        _prepare(place, state, data)
        shutil.copytree(place, pristine)
        made.append(Scenario(name, place, pristine, command, state == "finished"))
    return made


def _prepare(folder: Path, state: str, data: dict) -> None:
    (folder / "data").mkdir(parents=True)
    os.chdir(folder)
    for part, array in make_arrays(n_train=60).items():
        np.save(folder / "data" / f"{part}.npy", array)
    config = {"data": {"path": "data"} | data, "train": TRAIN, "grid": GRID, "run": RUN}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    observer = _Interrupting() if state == "interrupted" else Observer()
    if state != "new":
        with keeping_all(), suppress(KeyboardInterrupt):
            workflows.grid_search("config.yaml", observer=observer)
        [run] = (folder / "runs").iterdir()
        assert (run / "state" / "checkpoint.npz").exists() == (state == "interrupted")
        assert (run / "state").exists() == (state == "interrupted")
