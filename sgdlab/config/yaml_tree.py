"""YAML text -> plain values with the place of each, and without YAML 1.1's surprises.

PyYAML's own loader reads ``3e-8`` as a string, ``yes`` as a boolean, ``1:30`` as 90 and ``017``
as 15, lets the last of two equal keys win, and can be made to expand a few bytes into gigabytes.
Here only PyYAML's *events* are used: numbers are decimal, what other readers would take for
something else is an error, and depth is counted before anything is built.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from sgdlab.system.safe_text import shortened

MAX_DEPTH = 64
MAX_DIGITS = 300  # of one number: more than any float has

Path = tuple[str | int, ...]
Place = tuple[int, int]

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.?(inf|infinity)|\.?nan", re.IGNORECASE)
_LITERALS = {"": None, "~": None, "null": None, "true": True, "false": False}
_AMBIGUOUS = {
    "a boolean to some readers": re.compile(r"yes|no|on|off", re.IGNORECASE),
    "a number with a leading zero": re.compile(r"[-+]?0[0-9]+"),
    "a number in another base": re.compile(r"[-+]?0[xXoObB][0-9a-fA-F_]+"),
    "a number with underscores": re.compile(r"[-+]?[0-9][0-9_]*_[0-9_]*(\.[0-9_]*)?([eE].*)?"),
    "a number in base 60 to some readers": re.compile(r"[-+]?[0-9]+(:[0-9]+)+(\.[0-9]*)?"),
    "a date": re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ].*)?"),
}


@dataclass(frozen=True)
class Mistake:
    """Where in the tree and in the text (line and column from 1); what was found and expected."""

    path: Path
    place: Place
    found: str
    expected: str = ""
    hint: str = ""


@dataclass
class Document:
    """The values of a YAML text, the places of each key and value, and what was wrong.

    A value that could not be read stands as ``None`` and has its path in ``mistakes``.
    """

    value: Any = None
    places: dict[Path, Place] = field(default_factory=dict)
    key_places: dict[Path, Place] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)

    def complain(self, path: Path, place: Place, found: str, expected: str, hint: str = "") -> None:
        self.mistakes.append(Mistake(path, place, found, expected, hint))


class _UnreadableError(Exception):
    """The text cannot be read any further."""

    def __init__(self, place: Place, found: str, expected: str, hint: str = "") -> None:
        super().__init__(found)
        self.mistake = Mistake((), place, found, expected, hint)


def parse_yaml(text: str) -> Document:
    """Read one YAML document.

    Never raises for bad text: every mistake is a :class:`Mistake` of the document, and after one
    that stops the reading (bad syntax, nesting deeper than 64) it is the only one. Nothing but
    spaces and comments is ``None``.
    """
    document = Document()
    try:
        events = _checked(yaml.parse(text, Loader=yaml.SafeLoader))
        first = next(events, None)
        if first is None:
            return Document(places={(): (1, 1)})
        document.value = _value(first, events, (), document)
        list(events)  # what follows the first document is checked too
    except _UnreadableError as error:
        return Document(mistakes=[error.mistake])
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = error.problem or error.context or "cannot be read"
        place = _place(mark) if mark else (1, 1)
        return Document(mistakes=[Mistake((), place, f"not YAML: {shortened(what, 120)}")])
    except yaml.reader.ReaderError as error:
        place = _place_in(text, error.position)
        found = f"the character U+{error.character:04X}"
        return Document(mistakes=[Mistake((), place, found, "text", "remove it")])
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        return Document(mistakes=[Mistake((), (1, 1), f"not YAML: {error}")])
    return document


def _place(mark: Any) -> Place:
    return (mark.line + 1, mark.column + 1)


def _place_in(text: str, position: int) -> Place:
    return (text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position))


def _checked(events: Iterator[Any]) -> Iterator[Any]:
    """Pass on the events of one document; refuse depth, aliases, tags and second documents."""
    depth = n_documents = 0
    for event in events:
        place = _place(event.start_mark)
        if isinstance(event, yaml.DocumentStartEvent):
            n_documents += 1
            if n_documents > 1:
                raise _UnreadableError(place, "a second document", "one", "remove the '---'")
        elif isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise _UnreadableError(place, f"nested more than {MAX_DEPTH} deep", "a config")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if getattr(event, "anchor", None) is not None:
            raise _UnreadableError(place, "an anchor or alias", "a plain value", "write it out")
        if getattr(event, "tag", None) not in (None, "!"):
            found = f"a tag {shortened(event.tag)}"
            raise _UnreadableError(place, found, "a plain value", "remove it")
        if isinstance(event, yaml.NodeEvent | yaml.CollectionEndEvent):
            yield event


def _value(event: Any, events: Iterator[Any], path: Path, document: Document) -> Any:
    document.places[path] = _place(event.start_mark)
    if isinstance(event, yaml.MappingStartEvent):
        return _mapping(events, path, document)
    if isinstance(event, yaml.SequenceStartEvent):
        return _sequence(events, path, document)
    return _scalar(event, path, document)


def _sequence(events: Iterator[Any], path: Path, document: Document) -> list[Any]:
    items: list[Any] = []
    for event in events:
        if isinstance(event, yaml.SequenceEndEvent):
            break
        items.append(_value(event, events, (*path, len(items)), document))
    return items


def _mapping(events: Iterator[Any], path: Path, document: Document) -> dict[str, Any]:
    mapping: dict[str, Any] = {}
    for event in events:
        if isinstance(event, yaml.MappingEndEvent):
            break
        place = _place(event.start_mark)
        key = _key(event, events, path, document)
        here = (*path, "?" if key is None else key)
        is_first = key is not None and key not in mapping
        target = document if is_first else Document(mistakes=document.mistakes)
        value = _value(next(events), events, here, target)
        if key is None:
            continue
        if key in mapping:
            line, column = document.key_places[here]
            found = f"the key stands here and at {line}:{column}"
            document.complain(here, place, found, "it once", "remove one")
            continue
        document.key_places[here] = place
        mapping[key] = value
    return mapping


def _key(event: Any, events: Iterator[Any], path: Path, document: Document) -> str | None:
    place = _place(event.start_mark)
    if not isinstance(event, yaml.ScalarEvent):
        _value(event, events, (*path, "?"), Document())
        document.complain(path, place, "a list or mapping as a key", "a name")
        return None
    if _has_surrogates(event.value):
        document.complain(path, place, "half of a surrogate pair in a key", "a name")
        return None
    if event.implicit[0]:
        scratch = Document()
        value = _scalar(event, (), scratch)
        if scratch.mistakes or not isinstance(value, str):
            found = f"{shortened(repr(event.value))} as a key"
            document.complain(path, place, found, "a name", "quote it")
            return None
    return str(event.value)


def _scalar(event: Any, path: Path, document: Document) -> Any:
    """The value of a scalar: quoted text as it stands, plain text by the rules above."""
    text, place = event.value, _place(event.start_mark)
    if _has_surrogates(text):
        document.complain(path, place, "half of a surrogate pair", "Unicode text")
        return None
    if not event.implicit[0]:
        return text
    if text.lower() in _LITERALS and text in (text.lower(), text.capitalize(), text.upper()):
        return _LITERALS[text.lower()]
    if _NOT_FINITE.fullmatch(text):
        document.complain(path, place, text, "a finite number", "quote it if it is text")
        return None
    for meaning, pattern in _AMBIGUOUS.items():
        if pattern.fullmatch(text):
            found, expected = f"{shortened(text)} is {meaning}", "a number, true, false or text"
            document.complain(path, place, found, expected, "write a decimal or quote it")
            return None
    if _INTEGER.fullmatch(text) or _FLOAT.fullmatch(text):
        return _number(text, path, place, document)
    return text


def _has_surrogates(text: str) -> bool:
    return not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text)


def _number(text: str, path: Path, place: Place, document: Document) -> int | float | None:
    if len(text) > MAX_DIGITS:
        document.complain(path, place, f"a number of {len(text)} digits", "a shorter one")
        return None
    if _INTEGER.fullmatch(text):
        return int(text)
    number = float(text)
    if not math.isfinite(number):
        document.complain(path, place, shortened(text), "a finite number")
        return None
    return number
