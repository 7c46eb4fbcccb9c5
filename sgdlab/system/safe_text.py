"""Text from outside, made harmless for a terminal."""

import json


def printable(text: str) -> str:
    """The text on one line, with control characters and broken Unicode as escapes."""
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def printable_lines(text: str) -> str:
    """The text with its line breaks, and all else as :func:`printable` has it."""
    return "\n".join(map(printable, text.split("\n")))


def printable_json(text: str) -> str:
    """JSON that says the same, in characters that a terminal shows and does not obey.

    Outside of its strings it has no others.
    """
    if text.isascii() and "\x7f" not in text:
        return text
    return "".join(
        char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text
    ).replace("\x7f", "\\u007f")


def shortened(text: str, most: int = 60) -> str:
    """At most that many characters of the text."""
    return text if len(text) <= most else text[: most - 3] + "..."


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
