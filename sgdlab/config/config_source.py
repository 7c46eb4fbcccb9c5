"""A config as it is given: a file's text or a mapping, with the ``--set`` arguments in it."""

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sgdlab.config.mapping_tree import read_mapping
from sgdlab.config.yaml_tree import Document, Problem, parse_yaml
from sgdlab.config.yaml_tree import Path as Key
from sgdlab.errors import ConfigError, reason
from sgdlab.system.safe_text import printable, shortened

MAX_BYTES = 64 * 1024

ConfigLike = str | os.PathLike[str] | Mapping[str, Any]


@dataclass
class Source:
    """A config's document with the ``--set`` values in it, and where each value came from.

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

    def line(self, problem: Problem) -> str:
        """``FILE:LINE:COL KEY: message``, ``--set KEY: message``, or ``KEY: message``."""
        for n in range(len(problem.path), 0, -1):
            if argument := self.overridden.get(problem.path[:n]):
                inside = f"{shown_key(problem.path)}: " if n < len(problem.path) else ""
                return f"{argument}: {inside}{problem.message}"
        if problem.path and problem.path not in self.document.places:
            for path, argument in self.overridden.items():
                if path[: len(problem.path)] == problem.path:  # a parent made for it
                    return f"{argument}: {shown_key(problem.path)}: {problem.message}"
        key = shown_key(problem.path)
        if self.name is None:
            return f"{key or 'config'}: {problem.message}"
        line, column = problem.place
        return f"{self.name}:{line}:{column}{' ' * bool(key)}{key}: {problem.message}"

    def problem(self, path: Key, message: str, at_key: bool = False) -> Problem:
        """A problem at the nearest place known for a path."""
        places, key_places = self.document.places, self.document.key_places
        if at_key and path in key_places:
            return Problem(path, key_places[path], message)
        nearest = next(path[:n] for n in range(len(path), -1, -1) if path[:n] in places)
        return Problem(path, places[nearest], message)


def read_source(config: ConfigLike) -> Source:
    """The document of a YAML file, or of a mapping of what it would hold.

    Raises
    ------
    ConfigError
        If there is no mapping to be read from it.
    """
    if isinstance(config, Mapping):
        source = Source(None, Path.cwd(), {}, read_mapping(config))
    else:
        path = Path(config)
        defaults = {"name": printable(path.stem)}
        source = Source(os.fspath(config), path.parent, defaults, parse_yaml(_read_text(path)))
    if source.document.problems and not source.document.places:
        raise ConfigError(*map(source.line, source.document.problems))
    if not isinstance(source.document.value, dict):
        message = f"{describe_value(source.document.value)}; expected a mapping such as 'name: age'"
        raise ConfigError(source.line(source.problem((), message)))
    return source


def _read_text(path: Path) -> str:
    """The text of a regular UTF-8 file of at most 64 KiB."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError(f"{path}: not a regular file; expected a YAML file")
        if status.st_size > MAX_BYTES:
            size = f"{status.st_size} bytes; expected at most {MAX_BYTES}"
            raise ConfigError(f"{path}: {size} (a config is short)")
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES)  # no more, even if it has grown
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: {reason(error)}; expected a YAML file") from None
    if content.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise ConfigError(f"{path}:1:1: a byte order mark; expected plain UTF-8 (save without it)")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        byte = f"byte 0x{content[error.start]:02x} is not UTF-8"
        raise ConfigError(f"{path}:{line}:{column}: {byte}; expected UTF-8 text") from None


def override_all(source: Source, arguments: Sequence[str]) -> list[str]:
    """Put the arguments' values into the tree; returns a line for each that is wrong."""
    lines: list[str] = []
    for argument in arguments:
        try:
            _override(source, argument)
        except ConfigError as error:
            lines += error.messages
    return lines


def _override(source: Source, argument: str) -> None:
    """Put the value of ``key.path=value`` into the tree."""
    key, equals, text = argument.partition("=")
    place = f"--set {shortened(key)}"
    if not equals or not all(key.split(".")) or not key.isprintable():
        found = f"--set {shortened(argument)}: no KEY=VALUE"
        raise ConfigError(f"{found}; expected for example train.l2=1e-3")
    if len(text) > MAX_BYTES:
        raise ConfigError(f"{place}: {len(text)} characters; expected at most {MAX_BYTES}")
    parsed = parse_yaml(text)
    if parsed.problems:
        raise ConfigError(*(f"{place}: {problem.message}" for problem in parsed.problems))
    path = tuple(_part(part) for part in key.split("."))
    _check_path(source.document.value, path, place)
    at = source.document.value
    for part in path[:-1]:
        if isinstance(at, dict) and at.get(part) is None:
            at[part] = {}
        at = at[part]
    at[path[-1]] = parsed.value
    source.overridden[path] = place
    kept = [p for p in source.document.problems if p.path[: len(path)] != path]
    source.document.problems = kept


def _part(text: str) -> str | int:
    """A key, or the position of an item in a list."""
    return int(text) if text.isdecimal() and len(text) <= len(str(MAX_BYTES)) else text


def _check_path(at: Any, path: Key, place: str) -> None:
    """Raise ConfigError unless a path has a place in a tree, where absent mappings may be made."""
    for part in path:
        if isinstance(at, list):
            if not isinstance(part, int) or part >= len(at):
                found = f"no item {shortened(repr(part))} in a list of {len(at)}"
                raise ConfigError(f"{place}: {found}; expected a position, counted from 0")
        elif not isinstance(at, dict) or not isinstance(part, str):
            found = f"no key {shortened(repr(part))} in {describe_value(at)}"
            raise ConfigError(f"{place}: {found}; expected the name of a key")
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
