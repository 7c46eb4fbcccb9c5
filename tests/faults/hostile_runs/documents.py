"""Hostile JSON: a document of a run with a few changes, under a seal that is right."""

import copy
import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests.faults.hostile_runs.texts import hostile_text

NUMBERS = (0, -1, 1, 2, 3, 10**8, 2**31, 2**63, 2**64, 10**30, -(10**19), 1e308, 5e-324, 0.5)
OTHERS = (None, True, "1", [], {}, [[]], {"a": 1}, [None] * 3)
TOKENS = ("NaN", "-Infinity", "1e999", "-0", "1" * 5000, "[" * 5000 + "]" * 5000, '{"a":' * 900)
SHOWN = ("findings", "reason", "remark", "name", "target_unit", "path", "prefix", "best", "status")
MANY = 300_000  # items

Rng = np.random.Generator
Tree = Any
Place = tuple[Any, Any]  # a mapping or a list, and a key or a number in it


class Token(str):
    """What stands in the file as it is, without quotes."""


def one_of(values: Any, rng: Rng) -> Any:
    return values[int(rng.integers(len(values)))]


def places(tree: Tree) -> dict[tuple[str, ...], list[Place]]:
    """Everywhere in a document; items of a list, and cells and files by name, are of one kind."""
    found: dict[tuple[str, ...], list[Place]] = defaultdict(list)
    for kind, *place in _places(tree, ()):
        found[kind].append((place[0], place[1]))
    return found


def _places(tree: Tree, kind: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Tree, Any]]:
    if isinstance(tree, dict | list):
        for key in list(tree) if isinstance(tree, dict) else range(len(tree)):
            inner = (*kind, re.sub("[0-9]+", "N", str(key)))
            yield inner, tree, key
            yield from _places(tree[key], inner)


def change(tree: dict[str, Any], rng: Rng) -> str:
    """Change a document somewhere, and say how; every kind of place is as likely as the others."""
    found = places(tree)
    how: Callable[[Any, Any, Rng], str] = one_of(CHANGES, rng)
    if how is _hostile_text and rng.random() < 0.8:  # elsewhere that is another type
        texts = {kind: list(filter(_is_text, found[kind])) for kind in found}
        found = {kind: texts[kind] for kind in found if texts[kind]}
        if shown := [kind for kind in found if kind[-1] in SHOWN or kind[0] in SHOWN]:
            found = {kind: found[kind] for kind in (shown if rng.random() < 0.7 else found)}
    kind = one_of(sorted(found), rng)
    parent, key = one_of(found[kind], rng)
    return f"{'.'.join(kind):.60} {how(parent, key, rng)}"


def _is_text(place: Place) -> bool:
    value = place[0][place[1]]
    return isinstance(value, str) and len(value) != 64


def _absent(parent: Any, key: Any, rng: Rng) -> str:
    del parent[key]
    return "absent"


def _another_number(parent: Any, key: Any, rng: Rng) -> str:
    parent[key] = one_of(NUMBERS, rng)
    return f"is {parent[key]:g}"


def _another_type(parent: Any, key: Any, rng: Rng) -> str:
    parent[key] = copy.deepcopy(one_of(OTHERS, rng))
    return f"is {parent[key]}"


def _hostile_text(parent: Any, key: Any, rng: Rng) -> str:
    text = hostile_text(rng)
    parent[key] = f"{parent[key]}{text}" if isinstance(parent[key], str) else text
    return f"is text that ends with {text[:20]!a}"


def _hostile_key(parent: Any, key: Any, rng: Rng) -> str:
    if isinstance(parent, dict):
        parent[hostile_text(rng)] = parent.pop(key) if rng.random() < 0.5 else 1
    return "has another name"


def _token(parent: Any, key: Any, rng: Rng) -> str:
    parent[key] = Token(one_of(TOKENS, rng))
    return f"is the token {parent[key][:12]}"


def _many(parent: Any, key: Any, rng: Rng) -> str:
    inner = parent[key]
    if isinstance(inner, list):
        inner.extend((inner or [1])[:1] * MANY)
    elif isinstance(inner, dict):
        value = next(iter(inner.values()), 1)
        inner.update((f"{n:06d}", value) for n in range(MANY // 10))
    else:
        parent[key] = [inner] * MANY
    return "has very many items"


def _twice(parent: Any, key: Any, rng: Rng) -> str:
    if isinstance(parent, list):
        parent.append(parent[key])
    else:
        other = one_of(list(parent), rng)
        parent[key], parent[other] = parent[other], parent[key]
    return "twice, or in another's place"


def _nudged(parent: Any, key: Any, rng: Rng) -> str:
    value = parent[key]
    if isinstance(value, int | float) and not isinstance(value, bool):
        parent[key] = value + one_of((1, -1, 0.1, 10**8, 1e300), rng)
        return f"is {parent[key]:g}"
    parent[key] = None
    return "is null"


CHANGES = (
    _absent, _another_number, _another_number, _another_type, _hostile_text, _hostile_text,
    _hostile_key, _token,
    _many, _twice, _nudged, _nudged,
)  # fmt: skip


def as_text(value: Any) -> str:
    """JSON in which tokens stand as they are, and whatever Python holds has a place."""
    if isinstance(value, Token):
        return str(value)
    if isinstance(value, dict):
        return (
            "{" + ", ".join(f"{json.dumps(str(k))}: {as_text(v)}" for k, v in value.items()) + "}"
        )
    if isinstance(value, list):
        if not any(isinstance(item, dict | list | Token) for item in value):
            return json.dumps(value, ensure_ascii=False)
        known: dict[int, str] = {}  # very many items are the same
        return "[" + ", ".join(known.setdefault(id(v), "") or _keep(known, v) for v in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def _keep(known: dict[int, str], value: Any) -> str:
    known[id(value)] = as_text(value)
    return known[id(value)]


def sealed(tree: dict[str, Any], seal: str = "sha256") -> bytes:
    """A document with the hash of what stands before it, as its last key."""
    lines = [f" {json.dumps(str(key))}: {as_text(value)}" for key, value in tree.items()]
    before = ("{\n" + ",\n".join(lines)).encode("utf-8", "surrogatepass")
    end = b"\n}\n"
    sha256 = hashlib.sha256(before + end).hexdigest()
    return before + f',\n "{seal}": "{sha256}"'.encode() + end
