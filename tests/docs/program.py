"""What the program itself says that it can do: its commands and their options."""

from collections.abc import Iterator
from typing import Any

import typer

from sgdlab.cli.app import app


def commands() -> dict[str, set[str]]:
    """Every command that ``--help`` shows, such as ``data describe``, with its options."""
    return dict(_walk("", typer.main.get_command(app)))


def _walk(name: str, command: Any) -> Iterator[tuple[str, set[str]]]:
    if not hasattr(command, "commands"):
        yield name, {option for parameter in command.params for option in parameter.opts}
        return
    for inner, below in command.commands.items():
        if not below.hidden:
            yield from _walk(f"{name} {inner}".strip(), below)
