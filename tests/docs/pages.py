"""The READMEs, taken apart and run; ``python -m tests.docs.pages`` writes what they show anew.

The code blocks of a page are run in their order, in one folder with the shipped configs:

- ``console``: a line that begins with ``$`` is a command, and what follows is what it prints;
- ``sh``: a script, which bash runs and which must succeed; the lines that set the project up, each
  of which begins with ``python3 -m venv``, are run by ``.ci/run`` instead;
- ``python``: a program; what its calls of print show stands in a comment behind each;
- ``yaml``: a config.

A block that begins with ``# PATH`` is that file, for the commands that follow.

``text`` is not run: tables of benchmarks, which ``python -m tests.benchmarks --write`` writes. The
table between the marks ``<!-- keys -->`` is made from the config's schema.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.docs.keys import key_table

PROJECT = Path(__file__).parents[2]
FRONT = PROJECT / "README.md"
PAGES = [
    FRONT,
    *(PROJECT / folder / "README.md" for folder in ("configs", "data", "runs")),
    *sorted((PROJECT / "sgdlab").rglob("README.md")),
    *sorted((PROJECT / "tests").rglob("README.md")),
]
KEYS = re.compile(r"(?<=<!-- keys -->\n).*?(?=<!-- /keys -->)", re.DOTALL)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PRINT = re.compile(r"^(print\(.*?\))(?:  # .*)?$", re.MULTILINE)
SETUP = "python3 -m venv "
LANGUAGES = {"console", "sh", "python", "yaml", "text"}


@dataclass(frozen=True)
class Block:
    """A code block of a page."""

    language: str
    text: str

    @property
    def file_name(self) -> str | None:
        """The file that the block says it is, in its first line: ``# PATH``."""
        found = re.match(r"# (\S+\.(?:yaml|py))\b", self.text)
        return found[1] if found else None

    @property
    def commands(self) -> list[str]:
        """The lines to type, of a console block."""
        return re.findall(r"^\$ (.*)$", self.text, re.MULTILINE)


def name(page: Path) -> str:
    """A page's path in the project."""
    return str(page.relative_to(PROJECT))


def blocks(page: Path, *languages: str) -> list[Block]:
    """The code blocks of a page, of all languages if none is named."""
    found = [Block(language, text) for language, text in BLOCK.findall(page.read_text())]
    return [block for block in found if block.language in languages or not languages]


def prose(page: Path) -> str:
    """The text of a page without its code blocks."""
    return BLOCK.sub("", page.read_text())


def code_spans(page: Path) -> list[str]:
    """What stands between single backticks."""
    return re.findall(r"`([^`\n]+)`", prose(page))


def played(block: Block, folder: Path) -> str:
    """Run a block in a folder: the text that it should have, with what was really printed."""
    if block.file_name is not None:
        (folder / block.file_name).write_text(block.text)
        return block.text
    if block.language == "console":
        return "".join(f"$ {each}\n{run(each, folder)}" for each in block.commands)
    if block.language == "sh" and not block.text.startswith(SETUP):
        run(block.text, folder)
    if block.language == "python":
        return _with_what_it_prints(block, folder)
    return block.text


def _with_what_it_prints(block: Block, folder: Path) -> str:
    (folder / "example.py").write_text(block.text)
    printed = iter(run("python example.py", folder).splitlines())
    text = PRINT.sub(lambda found: f"{found[1]}  # {next(printed)}", block.text)
    assert list(printed) == [], f"more than one line is printed by a call of print:\n{block.text}"
    return text


def run(command: str, folder: Path) -> str:
    """stdout of a shell command in a folder, 80 columns wide; it must succeed.

    In a pipe it is as wide as it is for whoever types that.
    """
    variables = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    variables["PYTHONPATH"] = str(PROJECT)  # for the benchmarks, which are not installed
    inherited = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    if " | " not in command:
        variables["COLUMNS"] = "80"
    done = subprocess.run(
        ["bash", "-eu", "-c", command],
        cwd=folder,
        env=inherited | variables,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise AssertionError(f"{command}: exit code {done.returncode}\n{done.stderr}")
    return "".join(f"{line.rstrip()}\n" for line in done.stdout.splitlines())


def main() -> None:
    """Write anew what the pages show, or those pages that are named."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        shutil.copytree(PROJECT / "configs", folder / "configs")
        for page in [Path(each).resolve() for each in sys.argv[1:]] or PAGES:
            print(name(page))
            text = KEYS.sub(lambda _: key_table(), page.read_text())
            page.write_text(BLOCK.sub(lambda found: _anew(Block(*found.groups()), folder), text))


def _anew(block: Block, folder: Path) -> str:
    return f"```{block.language}\n{played(block, folder)}```"


if __name__ == "__main__":
    main()
