"""Runs in which one number is another than was computed, and every hash is right."""

import csv
import io
import json
import math

import numpy as np

from tests.runs.damage import sha256, write_sealed

ENDS = ("constant", "constant_losses", "differences", "test_losses")  # in experiment.json


def next_to(value):
    """The next number above, in the last place."""
    return math.nextafter(value, math.inf)


def floats(value, place=()):
    """The path of every number that was computed, in nested keys and lists."""
    if isinstance(value, float):
        yield place
    items = (
        value if isinstance(value, dict) else range(len(value) if isinstance(value, list) else 0)
    )
    for key in items:
        if key != "hyperparameters":
            yield from floats(value[key], (*place, key))


def at(value, place):
    for key in place:
        value = value[key]
    return value


def change(path, place, by=next_to):
    """Change a number of a JSON file of a run; gives what it was and what it is."""
    content = json.loads(path.read_bytes())
    parent, was = at(content, place[:-1]), at(content, place)
    parent[place[-1]] = by(was)
    write_sealed(path, content)
    return was, by(was)


def log_places(path):
    return list(floats(json.loads(path.read_bytes())))


def end_places(path):
    content = json.loads(path.read_bytes())
    return list(floats({key: content[key] for key in ENDS}))


def renew_hash(path):
    """Make the hash right that ``experiment.json`` has of a file beside it."""
    experiment = path.parent / "experiment.json"
    known = json.loads(experiment.read_bytes())
    known["files"][path.name] = sha256(path)
    write_sealed(experiment, known)


def arrays_of(path):
    with np.load(path) as file:
        return dict(file)


def change_array(path, name, index, by=next_to):
    """Change a number of a file of arrays; gives what it was and what it is."""
    arrays = arrays_of(path)
    was = arrays[name][index].item()
    change = np.nextafter(arrays[name][index], np.inf) if by is next_to else by(was)
    arrays[name][index] = change
    np.savez(path, **arrays)
    renew_hash(path)
    return was, arrays[name][index].item()


def table_places(path):
    """(row, column) of every number of ``results.csv`` that was computed."""
    with open(path, newline="") as stream:
        rows = list(csv.DictReader(stream))
    columns = [name for name in rows[0] if name.split("_")[0] in ("running", "train", "validation")]
    columns += [name for name in rows[0] if name.startswith("test_")]
    return [(n, name) for n, row in enumerate(rows) for name in columns if row[name]]


def change_field(path, place, by=next_to):
    rows = list(csv.DictReader(io.StringIO(path.read_text(), newline="")))
    row, column = place
    was = float(rows[row][column])
    rows[row][column] = repr(by(was))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(text.getvalue())
    renew_hash(path)
    return was, by(was)
