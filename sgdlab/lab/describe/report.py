"""How ``data describe`` is shown."""

from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from sgdlab.lab.describe.measure import Description
from sgdlab.report.layout import new_table, new_title
from sgdlab.report.numbers import n_bytes, number, plain
from sgdlab.system.safe_text import printable


def table(description: Description) -> RenderableType:
    """Files, targets, and whether the files are the homework's own."""
    files = new_table("file", "shape", "dtype", "size", "min", "max", "mean", "std")
    for file in description.files:
        shape = " x ".join(map(str, file.shape))
        values = map(plain, (file.minimum, file.maximum, file.mean, file.std))
        files.add_row(file.part, shape, file.dtype, n_bytes(file.n_bytes), *values)
    labels = new_table(
        "\nlabels", "\nnumber", "\nmean", "\nstd", "\nmin", "\nmedian", "\nmax",
        "constant\nhalf-MSE", "constant\nMAE",
    )  # fmt: skip
    for label in description.labels:
        spread = (label.mean, label.std, label.minimum, label.median, label.maximum)
        losses = label.constant_losses
        constant = (losses.half_mse, losses.mae) if losses else (None, None)
        figures = (*map(plain, spread), *map(number, constant))
        labels.add_row(label.part, str(label.n_rows), *figures)
    heading = printable(f"{description.folder}, prefix {description.prefix!r}")
    title = new_title(heading, description.is_synthetic)
    note = Text("constant: what always predicting the mean of ytr costs", style="dim")
    remarks = [Text(remark, style="yellow") for remark in description.remarks]
    return Group(title, files, Text(), labels, note, Text(), *remarks, _published(description))


def _published(description: Description) -> Text:
    """Which files are the homework's originals, by their sha256."""
    known = [
        f"{file.part} ({file.published_as})" for file in description.files if file.published_as
    ]
    if not known:
        return Text("by their sha256, none of the files is an original of the homework")
    return Text(f"by their sha256, originals of the homework: {', '.join(known)}")


def document(description: Description) -> dict[str, Any]:
    """Everything, in full precision; the hashes too."""
    return {
        "folder": str(description.folder),
        "prefix": description.prefix,
        "synthetic": description.is_synthetic,
        "files": rows(description),
        "labels": [asdict(label) for label in description.labels],
        "remarks": description.remarks,
    }


def rows(description: Description) -> list[dict[str, Any]]:
    """A row for each file."""
    return [
        vars(file) | {"path": str(file.path), "shape": "x".join(map(str, file.shape))}
        for file in description.files
    ]
