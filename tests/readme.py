"""What the README shows, taken apart; ``python -m tests.readme`` writes its generated parts anew.

In a ``console`` block every line that begins with ``$`` is a command, and what follows is what it
prints on stdout. The table between the marks ``<!-- keys -->`` is made from the config's schema.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from sgdlab.config.model import NOT_AXES, REQUIRED, json_schema

PROJECT = Path(__file__).parents[1]
README = PROJECT / "README.md"
KEYS = re.compile(r"(<!-- keys -->\n).*?(<!-- /keys -->)", re.DOTALL)
CONSOLE = re.compile(r"```console\n(.*?)```", re.DOTALL)


def fenced(language: str) -> list[str]:
    """The contents of all code blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(), re.DOTALL)


def commands(block: str) -> list[tuple[str, str]]:
    """The commands of a console block, each with what it shows below it."""
    parts = re.split(r"^\$ (.*)\n", block, flags=re.MULTILINE)
    return list(zip(parts[1::2], parts[2::2], strict=True))


def run(command: str, folder: Path) -> str:
    """stdout of a shell command in a folder, 80 columns wide; it must succeed."""
    variables = {"COLUMNS": "80", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    variables["PYTHONPATH"] = str(PROJECT)  # for the benchmarks, which are not installed
    done = subprocess.run(
        command, shell=True, cwd=folder, env=os.environ | variables, capture_output=True, text=True
    )
    if done.returncode:
        raise AssertionError(f"{command}: exit code {done.returncode}\n{done.stderr}")
    return "\n".join(line.rstrip() for line in done.stdout.splitlines()) + "\n"


def key_table() -> str:
    """All keys of a config as a Markdown table."""
    schema = json_schema()
    lines = ["| key | default | meaning |", "| --- | --- | --- |"]
    for section in ("name", "data", "train", "grid", "run", "select"):
        lines += _rows(section, schema["properties"][section], schema)
    return "\n".join(lines)


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


def main() -> None:
    text = README.read_text()
    text = KEYS.sub(lambda found: f"{found[1]}{key_table()}\n{found[2]}", text)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(PROJECT / "configs", folder / "configs")

        def shown(found: re.Match) -> str:
            parts = [f"$ {each}\n{run(each, folder)}" for each, _ in commands(found[1])]
            return f"```console\n{''.join(parts)}```"

        README.write_text(CONSOLE.sub(shown, text))


if __name__ == "__main__":
    main()
