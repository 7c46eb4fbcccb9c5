"""Reads a config and checks it; reports all mistakes at once, with places."""

import difflib
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sgdlab.config.model import (
    MAX_CELLS,
    NOT_AXES,
    REQUIRED,
    Config,
    Data,
    Run,
    Select,
    SubGrid,
    Train,
    TrainSection,
    Validation,
    Zip,
)
from sgdlab.config.source import (
    ConfigLike,
    Source,
    describe_value,
    override_all,
    read_source,
)
from sgdlab.config.yaml_tree import Mistake
from sgdlab.config.yaml_tree import Path as Key
from sgdlab.errors import ConfigError, Problem
from sgdlab.system.looking import absolute

MAX_MISTAKES = 100  # that are shown

_EXPECTED = {
    "int_type": "a whole number",
    "int_parsing_size": "a smaller whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text",
    "string_unicode": "Unicode text",
    "string_pattern_mismatch": "text without control characters",
    "string_too_short": "a name",
    "string_too_long": "at most {max_length} characters",
    "literal_error": "{expected}",
    "greater_than": "a number above {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "a number below {lt}",
    "less_than_equal": "at most {le}",
    "too_short": "at least one value",
    "tuple_type": "a list such as [0.1, 0.2]",
    "model_type": "a mapping",
    "missing": "a value",
}


def load_config(
    config: ConfigLike, overrides: Sequence[str] = (), needs_files: bool = True
) -> Config:
    """Read a config and apply ``key.path=value`` overrides, read by the parser of files.

    A relative ``data.path`` is taken from the file's folder. In a mapping, or given by an override,
    it is taken from the working directory; in the latter case nothing is ever synthesized into it.

    Parameters
    ----------
    config
        A YAML file, or a mapping of what it would hold.
    needs_files
        Whether the arrays are in files; otherwise the config need not say where, and what it says
        is left out.

    Raises
    ------
    ConfigError
        With one message for each mistake, ``FILE:LINE:COL KEY: found; expected``; of a mapping
        ``KEY: found; expected``.
    """
    source = read_source(config)
    defaults = source.defaults if needs_files else source.defaults | {"data": {}}
    problems = override_all(source, overrides)
    tree = defaults | source.document.value
    mistakes = [*source.document.mistakes, *_grid_mistakes(tree, source)]
    mistakes += _fold_mistakes(tree, source)
    valid = _validate(_normalised(tree, source), tree, source, mistakes)
    if needs_files:
        mistakes += _path_mistakes(tree, source)
    problems += map(source.problem, sorted(mistakes, key=lambda mistake: mistake.place))
    if problems or valid is None:
        raise ConfigError.of(_first(list(dict.fromkeys(problems)), source.name or "config"))
    return valid if needs_files else valid.model_copy(update={"data": valid.data.without_files()})


def _first(problems: list[Problem], name: str) -> list[Problem]:
    if len(problems) <= MAX_MISTAKES:
        return problems
    return [*problems[:MAX_MISTAKES], Problem(name, "more mistakes than these; mend these first")]


def _normalised(tree: dict[str, Any], source: Source) -> dict[str, Any]:
    """A copy with ``grid`` as a list, ``data.path`` absolute, and the rule on synthesizing."""
    tree = dict(tree)
    if isinstance(tree.get("grid"), dict):
        tree["grid"] = [tree["grid"]]
    data = tree.get("data")
    if isinstance(data, dict) and isinstance(data.get("path"), str):
        given = any(key in source.overridden for key in (("data",), ("data", "path")))
        path = (Path() if given else source.folder) / os.path.expanduser(data["path"])
        tree["data"] = data | {"path": os.path.abspath(absolute(path))}
        if given:
            tree["data"]["if_missing"] = "fail"
    return tree


def _validate(
    normalised: dict[str, Any], tree: dict[str, Any], source: Source, mistakes: list[Mistake]
) -> Config | None:
    """The models' verdict; its own are added to ``mistakes``."""
    unreadable = {mistake.path for mistake in mistakes}
    try:
        return Config.model_validate(normalised)
    except ValidationError as error:
        details = error.errors(include_url=False)
        # The values of a list that is too short but not empty are wrong, and reported themselves.
        details = [d for d in details if d["type"] != "too_short" or not d["input"]]
        for detail in details[: MAX_MISTAKES + 1]:
            path: Key = detail["loc"]
            if path[:1] == ("grid",) and isinstance(tree.get("grid"), dict):
                path = path[:1] + path[2:]
            at_key = detail["type"] in ("extra_forbidden", "missing")
            if at_key or path not in unreadable:
                mistakes.append(source.mistake(path, *_said(dict(detail), path), at_key=at_key))
        return None


def _said(detail: dict[str, Any], path: Key) -> tuple[str, str, str]:
    """What was found, what was expected, and what to do."""
    if detail["type"] == "extra_forbidden":
        return _unknown_key(path)
    template = _EXPECTED.get(detail["type"], "{msg}")
    expected = template.format(msg=detail["msg"], **detail.get("ctx", {}))
    if detail["type"] == "missing":
        return "nothing", expected, "add it"
    return describe_value(detail["input"]), expected, ""


def _unknown_key(path: Key) -> tuple[str, str, str]:
    section, key = _section(path[:-1]), str(path[-1])
    if section in (SubGrid, Zip) and key in NOT_AXES:
        return f"not an axis; {NOT_AXES[key]}", "", ""
    known = list(section.model_fields)
    if close := difflib.get_close_matches(key, known, n=1):
        return f"unknown key; did you mean {close[0]}?", "", ""
    owners: dict[str, Any] = {"train": Train, "data": Data, "data.validation": Validation}
    owners |= {"run": Run, "select": Select}
    for name, owner in owners.items():
        if close := difflib.get_close_matches(key, owner.model_fields, n=1, cutoff=0.8):
            return f"unknown key; did you mean {name}.{close[0]}?", "", ""
    return "unknown key", f"one of {', '.join(known)}", ""


def _section(path: Key) -> Any:
    """The model that holds the keys at a path."""
    names = tuple(part for part in path if isinstance(part, str))
    sections: dict[tuple[str, ...], Any] = {
        (): Config,
        ("data",): Data,
        ("data", "validation"): Validation,
        ("train",): TrainSection,
        ("grid",): SubGrid,
        ("grid", "zip"): Zip,
        ("run",): Run,
        ("select",): Select,
    }
    return sections[names]


def _grid_mistakes(tree: dict[str, Any], source: Source) -> Iterator[Mistake]:
    """What no single value shows: keys given twice or nowhere, unequal zips, too many cells."""
    train = tree.get("train")
    train = train if isinstance(train, dict) else {}
    grid = tree.get("grid", {})
    if not isinstance(grid, dict | list) or grid == []:
        expected = "a mapping of lists, or a list of such mappings"
        yield source.mistake(("grid",), describe_value(grid), expected)
    prefixed: list[tuple[Key, Any]] = [(("grid",), grid)]
    if isinstance(grid, list):
        prefixed = [(("grid", n), sub_grid) for n, sub_grid in enumerate(grid)]
    n_cells = 0
    for path, axes in prefixed:
        if not isinstance(axes, dict):
            continue
        zipped = axes.get("zip")
        if zipped == {}:
            yield source.mistake((*path, "zip"), "an empty mapping", "lists of equal length")
        zipped = zipped if isinstance(zipped, dict) else {}
        yield from _key_mistakes(path, axes, zipped, train, source)
        lengths = _lengths(zipped)
        if len(set(lengths)) > 1:
            found = f"lists of {' and '.join(map(str, sorted(set(lengths))))} values"
            yield source.mistake((*path, "zip"), found, "equal lengths")
        n_cells += math.prod(_lengths(axes)) * max(lengths, default=1)
    if n_cells > MAX_CELLS:
        yield source.mistake(("grid",), f"{n_cells} cells", f"at most {MAX_CELLS}")


def _fold_mistakes(tree: dict[str, Any], source: Source) -> Iterator[Mistake]:
    """What needs folds, and what does not go together with them."""
    data, select = tree.get("data"), tree.get("select")
    validation = data.get("validation") if isinstance(data, dict) else None
    keys = validation.keys() if isinstance(validation, dict) else ()
    if {"fraction", "folds"} <= set(keys):
        path, found = ("data", "validation", "folds"), "also data.validation.fraction"
        hint = "set data.validation to {folds: 5} to replace both"
        yield source.mistake(path, found, "one of them", hint, at_key=True)
    rule = select.get("rule") if isinstance(select, dict) else None
    if rule == "one_standard_error" and "folds" not in keys:
        found = f"{rule} without data.validation.folds, whose errors it needs"
        yield source.mistake(("select", "rule"), found, "minimum", "or add folds")


def _path_mistakes(tree: dict[str, Any], source: Source) -> Iterator[Mistake]:
    """Where no folder of arrays is named."""
    data = tree.get("data")
    if isinstance(data, dict) and data.get("path") is None:
        expected, hint = ("text", "") if "path" in data else ("a value", "add it")
        yield source.mistake(("data", "path"), "nothing", expected, hint)


def _lengths(axes: dict[str, Any]) -> list[int]:
    return [len(axes[key]) for key in Train.model_fields if isinstance(axes.get(key), list)]


def _key_mistakes(
    path: Key, axes: dict[str, Any], zipped: dict[str, Any], train: dict[str, Any], source: Source
) -> Iterator[Mistake]:
    for key in [name for name in Train.model_fields if name not in NOT_AXES]:
        elsewhere, inside = f"also under train.{key}", (*path, "zip", key)
        if key in axes and key in train:
            yield source.mistake((*path, key), elsewhere, "it once", at_key=True)
        if key in zipped and key in train:
            yield source.mistake(inside, elsewhere, "it once", at_key=True)
        if key in zipped and key in axes:
            yield source.mistake(inside, "also an axis of its own", "it once", at_key=True)
        if key in REQUIRED and key not in axes | zipped | train:
            place = source.mistake(path, "").place
            expected = f"a value here or a list under grid.{key}"
            yield Mistake(("train", key), place, "nothing", expected)
