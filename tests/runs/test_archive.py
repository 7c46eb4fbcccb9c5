"""Archives of a run are what numpy writes, in the form of the plan, or are refused."""

import io
import os
import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgdlab.runs import archive as archive_module
from sgdlab.runs.archive import Expected, arrays_of
from sgdlab.runs.stops import npz_bytes
from tests.faults.hostile_runs.archives import archive, headed, npy, npz

ARRAYS = {"cells": np.arange(3), "weights": np.linspace(0, 1, 6).reshape(3, 2)}
FORM = {"cells": Expected(("i8",), ("cells",)), "weights": Expected(("f4", "f8"), ("cells", 2))}


class Leaves:
    """Leaves a folder where it is unpickled."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return os.mkdir, (self.place,)


MEMBERS = [(f"{name}.npy", npy(array)) for name, array in ARRAYS.items()]


def with_weights(content):
    return archive([("cells.npy", npy(ARRAYS["cells"])), ("weights.npy", content)])


@pytest.mark.parametrize(
    "arrays",
    [
        ARRAYS,
        {name: np.asfortranarray(array) for name, array in ARRAYS.items()},
        {"none": np.zeros((0, 3)), "one": np.array(1.5), "words": np.array(["completed", "a"])},
        {"float32": np.ones((2, 3, 4), np.float32), "bool": np.array([True]), "": np.arange(3)},
    ],
)
def test_what_numpy_writes_is_read_as_numpy_reads_it(arrays):
    found = arrays_of(npz_bytes(arrays))
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)
        assert found[name].flags.writeable


REFUSED = {
    "compressed": (archive(MEMBERS, zipfile.ZIP_DEFLATED), "compressed"),
    "compressed otherwise": (archive(MEMBERS, zipfile.ZIP_LZMA), "compressed"),
    "another shape": (npz(ARRAYS | {"weights": np.ones((3, 5))}), "weights: shape"),
    "another number of cells": (npz(ARRAYS | {"cells": np.arange(4)}), "weights: shape"),
    "one axis more": (npz(ARRAYS | {"weights": np.ones((3, 2, 1))}), "weights: shape"),
    "big-endian": (npz(ARRAYS | {"weights": np.ones((3, 2), ">f8")}), "weights: dtype"),
    "half precision": (npz(ARRAYS | {"weights": np.ones((3, 2), "f2")}), "weights: dtype"),
    "complex": (npz(ARRAYS | {"weights": np.ones((3, 2), "c16")}), "weights: dtype"),
    "whole numbers": (npz(ARRAYS | {"weights": np.ones((3, 2), "i8")}), "weights: dtype"),
    "long words": (npz(ARRAYS | {"weights": np.array(["x" * 65])}), "weights: dtype"),
    "missing": (npz({"cells": ARRAYS["cells"]}), "weights: not there"),
    "additional": (npz(ARRAYS | {"more": np.ones(3)}), "more: unknown"),
    "leads out": (npz(ARRAYS | {"../more": np.ones(3)}), "../more: unknown"),
    "objects": (with_weights(headed("'|O'", "(1,)", pickle.dumps([1]))), "weights: dtype object"),
    "structured": (with_weights(headed("[('a', '<f8')]", "(3,)", bytes(24))), "weights: dtype"),
    "more data": (with_weights(npy(ARRAYS["weights"]) + b"0"), "weights: 49 bytes"),
    "less data": (with_weights(npy(ARRAYS["weights"])[:-8]), "weights: 40 bytes"),
    "huge": (with_weights(headed("'<f8'", "(10**9, 2)", bytes(48))), "weights: "),
    "huge indeed": (with_weights(headed("'<f8'", "(9999999999999, 2)", bytes(48))), "weights: 48"),
    "negative": (with_weights(headed("'<f8'", "(-3, 2)", bytes(48))), "weights: shape"),
    "no array": (with_weights(b"nothing"), "weights: "),
    "no archive": (b"nothing", "not a zip file"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_anything_else_is_refused(name):
    content, why = REFUSED[name]
    with pytest.raises((ValueError, zipfile.BadZipFile)) as caught:
        arrays_of(content, FORM)
    assert why in str(caught.value)


def test_pickles_are_never_run(tmp_path):
    for content in (
        with_weights(headed("'|O'", "(1,)", pickle.dumps([Leaves(str(tmp_path / "run"))]))),
        pickle.dumps([Leaves(str(tmp_path / "run"))]),
    ):
        with pytest.raises((ValueError, zipfile.BadZipFile)):
            arrays_of(content)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("names", [["a.npy", "a.npy"], ["a.npy", "b.npy", "c.npy"]])
def test_members_that_are_there_twice_or_too_many(names, monkeypatch):
    monkeypatch.setattr(archive_module, "MOST_MEMBERS", 2)
    content = archive([(name, npy(np.zeros(1))) for name in names])
    with pytest.raises(ValueError, match=f"{len(names)} members"):
        arrays_of(content)


def test_members_that_lie_on_top_of_each_other():
    """All entries of the directory lead to the same bytes, which are read once an entry."""
    content = bytearray(npz({f"{n}": np.zeros(1000) for n in range(9)}))
    entry, first = content.find(b"PK\x01\x02"), 0
    while entry >= 0:
        content[entry + 42 : entry + 46] = first.to_bytes(4, "little")
        content[entry + 20 : entry + 28] = (2 * 8128).to_bytes(4, "little") * 2
        entry = content.find(b"PK\x01\x02", entry + 4)
    with pytest.raises(ValueError, match="larger than the file"):
        arrays_of(bytes(content))


@settings(max_examples=400, derandomize=True, database=None, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=9))
def test_changed_bytes_are_the_same_arrays_or_an_error(changes):
    """A checksum holds of every member; of headers and names nothing else is believed."""
    content = bytearray(npz(ARRAYS))
    for place, value in changes:
        content[place % len(content)] = value
    try:
        found = arrays_of(bytes(content), FORM)
    except Exception:  # of broken files zipfile raises almost anything; see `reading`
        return
    for name, array in ARRAYS.items():
        assert found[name].shape == array.shape
        assert np.array_equal(found[name], array)


def test_the_judge_of_changed_bytes_reads_the_file_that_is_whole():
    with np.load(io.BytesIO(npz(ARRAYS))) as file:
        assert all(np.array_equal(file[name], array) for name, array in ARRAYS.items())
    assert arrays_of(npz(ARRAYS), FORM).keys() == ARRAYS.keys()
