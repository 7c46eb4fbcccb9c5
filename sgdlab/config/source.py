"""A config as it is given: a file's text or a mapping, with what overrides it."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sgdlab.config.mapping_tree import read_mapping
from sgdlab.config.yaml_tree import Document, Mistake, parse_yaml
from sgdlab.config.yaml_tree import Path as Key
from sgdlab.errors import ConfigError, Problem, reason
from sgdlab.system.contents import pieces
from sgdlab.system.regular import open_regular
from sgdlab.system.safe_text import printable, shortened

MAX_BYTES = 64 * 1024

ConfigLike = str | os.PathLike[str] | Mapping[str, Any]


@dataclass
class Source:
    """A config's document with overrides in it, and where each value came from.

    Attributes
    ----------
    name
        Of the file, in messages; None of a mapping, whose places are its keys.
    folder
        Where a relative path begins.
    defaults
        Keys that may be left out, with what they are then.
    """

    name: str | None
    folder: Path
    defaults: dict[str, Any]
    document: Document
    overridden: dict[Key, str] = field(default_factory=dict)

    def problem(self, mistake: Mistake) -> Problem:
        """A mistake at ``FILE:LINE:COL KEY``, an override or, of a mapping, ``KEY``."""
        return Problem(self._named(mistake), mistake.found, mistake.expected, mistake.hint)

    def mistake(
        self, path: Key, found: str, expected: str = "", hint: str = "", at_key: bool = False
    ) -> Mistake:
        """A mistake at the nearest place known for a path."""
        places, key_places = self.document.places, self.document.key_places
        if at_key and path in key_places:
            return Mistake(path, key_places[path], found, expected, hint)
        nearest = next(path[:n] for n in range(len(path), -1, -1) if path[:n] in places)
        return Mistake(path, places[nearest], found, expected, hint)

    def _named(self, mistake: Mistake) -> str:
        """Where a mistake is, for a reader."""
        key = shown_key(mistake.path)
        for n in range(len(mistake.path), 0, -1):
            if override := self.overridden.get(mistake.path[:n]):
                return f"{override}: {key}" if n < len(mistake.path) else override
        if mistake.path and mistake.path not in self.document.places:
            for path, override in self.overridden.items():
                if path[: len(mistake.path)] == mistake.path:  # a parent made for it
                    return f"{override}: {key}"
        if self.name is None:
            return key or "config"
        line, column = mistake.place
        return f"{self.name}:{line}:{column}{' ' * bool(key)}{key}"


def read_source(config: ConfigLike) -> Source:
    """The document of a YAML file, or of a mapping of what it would hold.

    Raises
    ------
    ConfigError
        If there is no mapping to be read from it.
    """
    if isinstance(config, Mapping):
        source = Source(None, Path(), {}, read_mapping(config))
    else:
        path = Path(config)
        defaults = {"name": printable(path.stem)}
        source = Source(os.fspath(config), path.parent, defaults, parse_yaml(_read_text(path)))
    if source.document.mistakes and not source.document.places:
        raise ConfigError.of([source.problem(mistake) for mistake in source.document.mistakes])
    if not isinstance(source.document.value, dict):
        found = describe_value(source.document.value)
        mistake = source.mistake((), found, "a mapping such as 'name: age'")
        raise ConfigError.of([source.problem(mistake)])
    return source


def _read_text(path: Path) -> str:
    """The text of a regular UTF-8 file of at most 64 KiB."""
    try:
        with open_regular(path, follow_links=True) as stream:
            n_bytes = os.fstat(stream.fileno()).st_size
            if n_bytes > MAX_BYTES:
                found = f"{n_bytes} bytes"
                raise ConfigError(path, found, f"at most {MAX_BYTES}", "a config is short")
            if n_bytes == 0:  # so are the system's own files, of which some keep readers waiting
                return ""
            # No more, even if it has grown.
            content = b"".join(pieces(stream, MAX_BYTES, MAX_BYTES))
    except (OSError, ValueError) as error:
        raise ConfigError(path, reason(error), "a YAML file") from None
    if content.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise ConfigError(f"{path}:1:1", "a byte order mark", "plain UTF-8", "save without it")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        found = f"byte 0x{content[error.start]:02x} is not UTF-8"
        raise ConfigError(f"{path}:{line}:{column}", found, "UTF-8 text") from None


def override_all(source: Source, overrides: Sequence[str]) -> list[Problem]:
    """Put the overrides' values into the tree; gives what is wrong with them."""
    problems: list[Problem] = []
    for override in overrides:
        try:
            _override(source, override)
        except ConfigError as error:
            problems += error.problems
    return problems


def _override(source: Source, override: str) -> None:
    """Put the value of ``key.path=value`` into the tree."""
    key, equals, text = override.partition("=")
    place = f"`overrides` {shortened(key)}"
    if not equals or not all(key.split(".")) or not key.isprintable():
        place = f"`overrides` {shortened(override)}"
        raise ConfigError(place, "no KEY=VALUE", "for example train.l2=1e-3")
    if len(text) > MAX_BYTES:
        raise ConfigError(place, f"{len(text)} characters", f"at most {MAX_BYTES}")
    parsed = parse_yaml(text)
    if parsed.mistakes:
        wrong = parsed.mistakes
        raise ConfigError.of([Problem(place, m.found, m.expected, m.hint) for m in wrong])
    path = tuple(_part(part) for part in key.split("."))
    _check_path(source.document.value, path, place)
    at = source.document.value
    for part in path[:-1]:
        child = at[part] if isinstance(part, int) else at.get(part)
        if child is None:
            child = at[part] = {}
        at = child
    at[path[-1]] = parsed.value
    source.overridden[path] = place
    for gone in (path, *_take_from_the_other(source.document.value, path)):
        kept = [m for m in source.document.mistakes if m.path[: len(gone)] != gone]
        source.document.mistakes = kept


def _take_from_the_other(tree: dict[str, Any], path: Key) -> Iterator[Key]:
    """A key of ``train`` that is overridden is no axis any more, and the other way round.

    Yields what was taken away.
    """
    train: list[tuple[Key, Any]] = [(("train",), tree.get("train"))]
    sections = {"train": train, "grid": list(_axes_of(tree))}
    if path[0] not in sections:
        return
    other = "grid" if path[0] == "train" else "train"
    named = [part for part in path[1:] if isinstance(part, str) and part != "zip"]
    maps = [section for _, section in sections[path[0]] if isinstance(section, dict)]
    given = named[:1] or [key for section in maps for key in section]
    for place, section in sections[other]:
        for key in [key for key in given if isinstance(section, dict) and key in section]:
            del section[key]
            yield (*place, key)
    if path[0] == "train" and isinstance(grid := tree.get("grid"), dict):
        if grid.get("zip") == {}:
            del grid["zip"]
        if not grid:
            del tree["grid"]


def _axes_of(tree: dict[str, Any]) -> Iterator[tuple[Key, Any]]:
    """The mappings of a grid that hold axes, as far as it is one, and where they are."""
    grid = tree.get("grid")
    parts = enumerate(grid) if isinstance(grid, list) else [(None, grid)]
    for number, part in parts:
        if isinstance(part, dict):
            place: Key = ("grid",) if number is None else ("grid", number)
            yield place, part
            if isinstance(part.get("zip"), dict):
                yield (*place, "zip"), part["zip"]


def _part(text: str) -> str | int:
    """A key, or the position of an item in a list."""
    return int(text) if text.isdecimal() and len(text) <= len(str(MAX_BYTES)) else text


def _check_path(at: Any, path: Key, place: str) -> None:
    """Raise ConfigError unless a path has a place in a tree, where absent mappings may be made."""
    for part in path:
        if isinstance(at, list):
            if not isinstance(part, int) or part >= len(at):
                found = f"no item {shortened(repr(part))} in a list of {len(at)}"
                raise ConfigError(place, found, "a position, counted from 0")
        elif not isinstance(at, dict) or not isinstance(part, str):
            found = f"no key {shortened(repr(part))} in {describe_value(at)}"
            raise ConfigError(place, found, "the name of a key")
        child = at[part] if isinstance(part, int) else at.get(part)
        at = {} if child is None else child


def describe_value(value: object) -> str:
    """What a message says was found."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    return shortened(printable(repr(value)))


def shown_key(path: Key) -> str:
    """A key in a message: ``grid.batch_size[2]``."""
    shown = "".join(
        f"[{part}]" if isinstance(part, int) else f".{shortened(part)}" for part in path
    )
    return shown.removeprefix(".")
