"""A mapping from Python as a tree, like that which a YAML text is read into."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from sgdlab.config.yaml_tree import MAX_DEPTH, MAX_DIGITS, Document, Path
from sgdlab.system.safe_text import printable, shortened


def read_mapping(mapping: Mapping[Any, Any]) -> Document:
    """A copy of a mapping; tuples and arrays are lists, and numpy's numbers are Python's.

    Places count keys and values in their order. Every mistake is one of the document.
    """
    document = Document()
    document.value = _value(mapping, (), document, itertools.count(1))
    return document


def _value(value: Any, path: Path, document: Document, numbers: Iterator[int]) -> Any:
    place = (next(numbers), 1)
    document.places[path] = place
    if len(path) > MAX_DEPTH:
        document.complain(path, place, f"nesting deeper than {MAX_DEPTH}", "a flat mapping")
        return None
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {
            key: _value(item, (*path, key), document, numbers)
            for key, item in value.items()
            if _is_key(key, path, document)
        }
    if isinstance(value, list | tuple | range):
        return [_value(item, (*path, n), document, numbers) for n, item in enumerate(value)]
    if isinstance(value, int) and abs(value) >= 10**MAX_DIGITS:
        document.complain(path, place, f"more than {MAX_DIGITS} digits", "a smaller number")
        return None
    return value


def _is_key(key: object, path: Path, document: Document) -> bool:
    if isinstance(key, str) and key.isprintable():
        return True
    found = f"the key {shortened(printable(repr(key)))}"
    document.complain(path, document.places[path], found, "the name of a key")
    return False
