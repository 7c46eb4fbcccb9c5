"""A measurement on a subject, which goes on from its finished parts when it is made again."""

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sgdlab.lab.subject import Answer, Result, Subject, open_subject
from sgdlab.observer import Observer
from sgdlab.planning.plan import n_threads
from sgdlab.runs.names import identity
from sgdlab.runs.parts import Parts, parts_in

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Options = TypeVar("Options", bound="DataclassInstance")
PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Experiment(Generic[Options, Result]):
    """What is measured on a subject.

    Attributes
    ----------
    name
        Of its parts; the command's.
    measure
        Takes the subject, what a caller may choose, an observer, and the finished parts.
    """

    name: str
    measure: Callable[[Subject, Options, Observer, Parts], Result]

    def on(
        self,
        config_path: PathLike,
        overrides: Sequence[str],
        cell: int | None,
        options: Options,
        observer: Observer,
        runs_dir: PathLike | None,
    ) -> Answer[Result]:
        """Measure on a cell of a config; see :func:`sgdlab.lab.subject.open_subject`.

        Parameters
        ----------
        runs_dir
            Where finished parts are kept until there is a result; None: nowhere.
        """
        with open_subject(Path(config_path), overrides, cell, observer) as subject:

            def what() -> dict[str, Any]:
                return {"options": asdict(options), **_identity(subject)}

            check = subject.dataset.check_unchanged
            with parts_in(runs_dir, self.name, what, observer, check) as parts:
                result = self.measure(subject, options, observer, parts)
            return Answer(subject.about, result)


def _identity(subject: Subject) -> dict[str, Any]:
    """What any measurement on a subject depends on."""
    run, arrays = subject.config.run, subject.dataset.arrays.values()
    sampled = [array.stamp for array in arrays if array.is_sampled]  # hashed in pieces alone
    return {
        "data": identity(subject.config)["data"],
        "train": subject.train.model_dump(mode="json"),
        "run": run.model_dump(mode="json"),
        "threads": n_threads(run),
        "fingerprint": subject.dataset.fingerprint,
        "stamps": [astuple(stamp) for stamp in sampled if stamp],
    }
