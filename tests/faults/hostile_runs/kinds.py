"""The valid runs that hostile ones are made of."""

from pathlib import Path

from tests.flipped_bits import Kind, _Maker, make_kinds


def hostile_kinds(folder: Path) -> list[Kind]:
    """Runs of every kind: finished ones, and one that broke off."""
    kinds = make_kinds(folder)
    return [*kinds, _Maker(folder).finished("replicates", train={"replicates": 3})]
