"""The table of all keys of a config, made from its schema."""

from sgdlab.config.model import NOT_AXES, REQUIRED
from sgdlab.config.schema import json_schema

SECTIONS = ("name", "data", "train", "grid", "run", "select")


def key_table() -> str:
    """All keys of a config as a Markdown table."""
    schema = json_schema()
    lines = ["| key | default | meaning |", "| --- | --- | --- |"]
    for section in SECTIONS:
        lines += _rows(section, schema["properties"][section], schema)
    return "\n".join(lines) + "\n"


def _rows(path: str, field: dict, schema: dict) -> list[str]:
    model = schema["$defs"].get(field.get("$ref", "").rpartition("/")[2])
    if model is not None and path != "grid":
        return [
            row
            for name, inner in model["properties"].items()
            for row in _rows(f"{path}.{name}", inner, schema)
        ]
    return [f"| `{path}` | {_default(path, field)} | {_meaning(path, field)} |"]


def _default(path: str, field: dict) -> str:
    default = field.get("default")
    if path.removeprefix("train.") in REQUIRED or path == "data.path":
        return "required"
    if default in (None, "") or path == "name":
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _meaning(path: str, field: dict) -> str:
    choices = " \\| ".join(f"`{choice}`" for choice in field.get("enum", []))
    meaning = field.get("description", "")
    if path.removeprefix("train.") in NOT_AXES:
        meaning += "; not an axis"
    return f"{choices}: {meaning}" if choices else meaning
