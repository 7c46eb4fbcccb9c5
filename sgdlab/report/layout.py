"""What all tables and their headings have in common."""

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

STAND_IN = "synthetic stand-in: these are no real faces"


def new_table(*headings: str, show_header: bool = True) -> Table:
    """Right-aligned columns but the first."""
    table = Table(
        box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=0, show_header=show_header
    )
    for n, heading in enumerate(headings):
        table.add_column(heading, justify="left" if n == 0 else "right")
    return table


def new_title(text: str, is_synthetic: bool) -> Text:
    """A table's heading, and beside it whether the data are a stand-in."""
    title = Text(text, style="bold")
    if is_synthetic:
        title.append(f"\n{STAND_IN}", style="not bold yellow")
    return title
