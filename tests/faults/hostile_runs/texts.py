"""Text that does something to a terminal, a file name or a reader's eyes."""

import numpy as np

TEXTS = (
    "\x1b]0;owned\x07",
    "\x1b[2J\x1b[31mred",
    "\x9b2J",
    "\u202egnp.exe",
    "\u2066hidden\u2069",
    "\u200f\u200b\ufeff",
    "\r\nsgdlab: error: all is well",
    "line\nbreak",
    "\u2028\u2029\x85",
    "\x00",
    "\x7f\x08\x08",
    "[bold red]markup[/]",
    "../../outside",
    "/dev/zero",
    "\ud800",
    "\udcff",
    "\U000e0041\U0001f600",
    "-",
    "",
    " ",
    "=1+1",
    "%s{0}`cell=7`",
    "e\u0301" * 50,
    "x" * 70_000,
)


def hostile_text(rng: np.random.Generator) -> str:
    return TEXTS[int(rng.integers(len(TEXTS)))]
