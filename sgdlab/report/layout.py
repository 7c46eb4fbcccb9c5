"""What all tables and their headings have in common."""

import copy
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

STAND_IN = "synthetic stand-in: these are no real faces"
WIDER_THAN_ANY = 100_000


class UncutTable(Table):
    """A table that is rather too wide than cuts a number.

    On a narrow terminal optional columns are left out, the first named first, and a line below
    says which.
    """

    optional: Sequence[str] = ()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        shown, left_out = copy.copy(self), []
        for heading in self.optional:
            if shown.natural_width(console, options) <= options.max_width:
                break
            shown.columns = [column for column in shown.columns if column.header != heading]
            left_out.append(heading.replace("\n", " ").strip())
        width = max(options.max_width, shown.natural_width(console, options))
        yield from super(UncutTable, shown).__rich_console__(
            console, options.update(max_width=width)
        )
        if left_out:
            yield Text(f"not shown, for want of width: {', '.join(left_out)}", style="dim")

    def natural_width(self, console: Console, options: ConsoleOptions) -> int:
        """How wide the table is if nothing is cut."""
        return self.__rich_measure__(console, options.update(max_width=WIDER_THAN_ANY)).maximum


def new_table(*headings: str, show_header: bool = True, optional: Sequence[str] = ()) -> UncutTable:
    """Right-aligned columns but the first; optional ones may be left out (see UncutTable)."""
    table = UncutTable(
        box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=0, show_header=show_header
    )
    table.optional = optional
    for n, heading in enumerate(headings):
        table.add_column(heading, justify="left" if n == 0 else "right", no_wrap=True)
    return table


def new_title(text: str, is_synthetic: bool) -> Text:
    """A table's heading, and below it whether the data are a stand-in."""
    title = Text(text, style="bold")
    if is_synthetic:
        title.append(f"\n{STAND_IN}", style="not bold yellow")
    return title
