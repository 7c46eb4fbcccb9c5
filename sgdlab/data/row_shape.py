"""The shape of a row: whether flattening two arrays puts the same values into the same columns."""

Shape = tuple[int, ...]


def flatten_alike(one: Shape, other: Shape) -> bool:
    """Whether rows of equal size may mean the same: one is flat, or they have the same axes.

    Axes of length 1 make no difference. 4 x 5 values are not 5 x 4, whose columns are others.
    """
    axes, others = _axes(one), _axes(other)
    return axes == others or min(len(axes), len(others)) <= 1


def remark_on_shapes(name: str, one: Shape, other_name: str, other: Shape) -> list[str]:
    """A sentence where one of two arrays is flat and the other is not; none if both are alike."""
    if _axes(one) == _axes(other):
        return []
    return [
        f"{name} has rows of {in_words(one)} values, {other_name} of {in_words(other)}: they are"
        " taken to be the same, row by row"
    ]


def in_words(shape: Shape) -> str:
    """``4 x 5``."""
    return " x ".join(map(str, shape)) or "1"


def _axes(shape: Shape) -> Shape:
    return tuple(length for length in shape if length != 1)
