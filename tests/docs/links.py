"""Where the links of a page lead: to files of the project, and to headings in them."""

import re
from pathlib import Path

from tests.docs.pages import prose

LINK = re.compile(r"\[([^\[\]]+)\]\(([^()\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def links(page: Path) -> list[tuple[str, str]]:
    """The text and the target of every link that leads into the project."""
    found = LINK.findall(prose(page))
    return [(text, target) for text, target in found if not re.match(r"[a-z]+:", target)]


def anchors(page: Path) -> set[str]:
    """The names by which a page's headings are linked to: lower case, hyphens, no punctuation."""
    names: set[str] = set()
    for heading in HEADING.findall(prose(page)):
        plain = re.sub(r"[^\w\- ]", "", LINK.sub(r"\1", heading).lower()).replace(" ", "-")
        assert plain not in names, f"{page}: two headings {heading!r}; a link finds one of them"
        names.add(plain)
    return names


def destination(page: Path, target: str) -> tuple[Path, str]:
    """The file or folder that a link leads to, and the name of the heading in it."""
    path, _, anchor = target.partition("#")
    return (page.parent / path).resolve() if path else page, anchor


def leads_somewhere(page: Path, target: str) -> bool:
    """Whether a link's file is there, and its heading in it."""
    path, anchor = destination(page, target)
    return path.exists() and (not anchor or anchor in anchors(path))
