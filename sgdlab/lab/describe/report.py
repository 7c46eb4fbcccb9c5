"""What is in a folder of arrays, as tables and documents."""

from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from sgdlab.lab.describe.measure import Description
from sgdlab.report.layout import new_table, new_title
from sgdlab.report.numbers import n_bytes, number, plain
from sgdlab.system.safe_text import printable


def description_table(description: Description) -> RenderableType:
    """What ``data describe`` shows."""
    files = new_table("file", "shape", "dtype", "size", "min", "max", "mean", "std")
    for each in description.files:
        shape = " x ".join(map(str, each.shape))
        values = map(plain, (each.minimum, each.maximum, each.mean, each.std))
        files.add_row(each.part, shape, each.dtype, n_bytes(each.n_bytes), *values)
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
        f"{each.part} ({each.published_as})" for each in description.files if each.published_as
    ]
    if not known:
        return Text("by their sha256, none of the files is an original of the homework")
    return Text(f"by their sha256, originals of the homework: {', '.join(known)}")


def description_document(description: Description) -> dict[str, Any]:
    """The result of ``data describe``."""
    return {
        "folder": str(description.folder),
        "prefix": description.prefix,
        "synthetic": description.is_synthetic,
        "files": file_rows(description),
        "labels": [asdict(each) for each in description.labels],
        "remarks": description.remarks,
    }


def file_rows(description: Description) -> list[dict[str, Any]]:
    return [
        vars(each) | {"path": str(each.path), "shape": "x".join(map(str, each.shape))}
        for each in description.files
    ]
