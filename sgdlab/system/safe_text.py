"""Text from outside, made harmless for a terminal."""


def printable(text: str) -> str:
    """The text on one line, with control characters and broken Unicode as escapes."""
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def shortened(text: str, most: int = 60) -> str:
    """At most that many characters of the text."""
    return text if len(text) <= most else text[: most - 3] + "..."


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
