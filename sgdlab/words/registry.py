"""Where a word of the config becomes an object: one registry for each key that takes words.

A word is a small frozen dataclass. Hyperparameters that belong to it alone are fields, declared by
:func:`hyperparameter`; the config's models, its schema and the plan learn of them here. Values of
one cell, or columns of a whole stack of trajectories, are put into them by :meth:`Registry.make`.
"""

import operator
import re
from abc import ABC
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Generic, TypeVar

from numpy.typing import NDArray

from sgdlab.errors import UsageError


class Word(ABC):
    """What every word has: how a config writes it."""

    name: ClassVar[str]


_NAME = re.compile(r"[a-z][a-z0-9_]*")
AnyWord = TypeVar("AnyWord", bound=Word)
Numbers = float | NDArray[Any]  # one cell's, or columns that broadcast against what they act on


@dataclass(frozen=True)
class Hyperparameter:
    """A key of ``train`` that has an influence where some word is chosen, and no other.

    Attributes
    ----------
    default
        Its type, int or float, is that of the key.
    description
        For the schema and the table of keys.
    bounds
        ``gt``, ``ge``, ``lt`` and ``le``.
    """

    default: int | float
    description: str
    bounds: Mapping[str, float]


def hyperparameter(
    default: float,
    description: str,
    *,
    gt: float | None = None,
    ge: float | None = None,
    lt: float | None = None,
    le: float | None = None,
) -> Any:
    """A field of a word that is a key of ``train``; see :class:`Hyperparameter`."""
    given = {"gt": gt, "ge": ge, "lt": lt, "le": le}
    bounds = {name: bound for name, bound in given.items() if bound is not None}
    declared = Hyperparameter(default, description, bounds)
    return field(default=default, metadata={"hyperparameter": declared})


class Registry(Generic[AnyWord]):
    """The words that a key may have, in the order in which they were added.

    Parameters
    ----------
    key
        Of the config, for example ``train.loss``.
    base
        What every word of it is.
    """

    def __init__(self, key: str, base: type) -> None:
        self.key = key
        self._base = base
        self._words: dict[str, type[AnyWord]] = {}
        self._own: dict[str, dict[str, Hyperparameter]] = {}
        self._is_read = False

    def add(self, word: type[AnyWord]) -> type[AnyWord]:
        """Make a class known by its ``name``; for use as a decorator, above ``@dataclass``.

        Raises
        ------
        ValueError
            If the name is taken, the config's models have been made without it, or the class is not
            what a word must be.
        """
        name = getattr(word, "name", None)
        if found := self._refusal(name, word):
            raise ValueError(f"{self.key} {name!r}: {found}")
        self._words[word.name], self._own[word.name] = word, hyperparameters_of(word)
        return word

    def _refusal(self, name: object, word: type[AnyWord]) -> str | None:
        """Why a class cannot be a word here; None if it can."""
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            return "no name; expected lower-case letters, digits and underscores"
        if not issubclass(word, self._base):
            return f"no {self._base.__name__}; expected a class that is derived from it"
        if name in self._words:
            return "is there already"
        if self._is_read:
            return "added after sgdlab.config.model was imported"
        if "__dataclass_fields__" not in vars(word):
            return "not a dataclass; expected @dataclass(frozen=True) between @add and the class"
        if missing := sorted(getattr(word, "__abstractmethods__", ())):
            return f"has no {', '.join(missing)}"
        known, own = self.hyperparameters(), hyperparameters_of(word)
        for key, declared in own.items():
            if found := _mistake_in(key, declared) or self._taken(key):
                return f"{key} {found}"
        if differing := [key for key in own if known.get(key, own[key]) != own[key]]:
            return f"{', '.join(differing)} is declared otherwise by another word"
        return None

    def _taken(self, key: str) -> str | None:
        """Whether every word of this kind has something else by that name."""
        taken = {*dir(self._base), *(own.name for own in fields(self._base))}
        return "is what every word of this kind has" if key in taken else None

    def names_for_config(self) -> tuple[str, ...]:
        """All names, for the config's models; words can be added no more."""
        self._is_read = True
        return tuple(self._words)

    def __iter__(self) -> Iterator[str]:
        return iter(self._words)

    def __len__(self) -> int:
        return len(self._words)

    def __contains__(self, name: object) -> bool:
        return name in self._words

    def __getitem__(self, name: str) -> type[AnyWord]:
        """The class of a word.

        Raises
        ------
        UsageError
            If there is none.
        """
        try:
            return self._words[name]
        except KeyError:
            expected = f"one of {', '.join(self._words)}"
            raise UsageError(f"{self.key} {name!r}", "unknown", expected) from None

    def make(self, name: str, value: Callable[[str], Any] | None = None, **others: Any) -> AnyWord:
        """A word as an object.

        Parameters
        ----------
        value
            Gives the value of each of the word's own hyperparameters by its name; by default they
            have the values that are declared.
        others
            Further fields of the word.
        """
        word = self[name]
        own = {} if value is None else {key: value(key) for key in self._own[name]}
        return word(**own, **others)

    def hyperparameters(self) -> dict[str, Hyperparameter]:
        """Those of all words, by name."""
        return {name: declared for own in self._own.values() for name, declared in own.items()}

    def own(self, name: str) -> dict[str, Hyperparameter]:
        """Those of one word, by name; see ``[]`` for what is raised."""
        return self._own[self[name].name]


def _mistake_in(key: str, declared: Hyperparameter) -> str | None:
    """What is wrong with a declaration; None if nothing is."""
    default, bounds = declared.default, declared.bounds
    if not _NAME.fullmatch(key):
        return "is no name; expected lower-case letters, digits and underscores"
    if type(default) not in (int, float):
        return f"is {default!r} by default; expected an int or a float"
    is_within = {"gt": operator.gt, "ge": operator.ge, "lt": operator.lt, "le": operator.le}
    if not all(is_within[name](default, bound) for name, bound in bounds.items()):
        return f"is {default!r} by default, which is out of its bounds"
    return None


def hyperparameters_of(word: type[Any]) -> dict[str, Hyperparameter]:
    """The hyperparameters that belong to a word alone, by name."""
    return {
        own.name: own.metadata["hyperparameter"]
        for own in fields(word)
        if "hyperparameter" in own.metadata
    }
