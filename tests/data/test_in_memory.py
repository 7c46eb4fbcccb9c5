"""Arrays in memory are what the files that hold them are."""

import re

import numpy as np
import pytest

from sgdlab.config.model import Data
from sgdlab.data import row_array
from sgdlab.data.dataset import PARTS, open_dataset
from sgdlab.data.in_memory import MemoryArray, in_memory
from sgdlab.data.npy import NpyFile
from sgdlab.errors import DataError
from tests.data.npy_files import KINDS, SHAPES, random_array, same_bits

LAYOUTS = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "every second column": lambda array: np.repeat(array, 2, axis=-1)[..., ::2],
    "backwards": lambda array: array[::-1].copy()[::-1],
    "read only": lambda array: np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape),
}
ROWS = [slice(None), slice(2, 7), slice(5, 5), slice(1, 8, 3), [3], [0, 4, 5, 8], [7, 2, 2, 0], []]


def both(array, tmp_path):
    """The array in memory, and its file."""
    np.save(tmp_path / "array.npy", array)
    return MemoryArray("array", array), NpyFile(tmp_path / "array.npy")


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", ["f8", "u1", ">f4"])
def test_everything_is_as_it_is_in_the_file(kind, shape, layout, tmp_path):
    order = ">" if kind.startswith(">") else "<"
    array = layout(random_array(kind.removeprefix(">"), shape, order))
    memory, file = both(array, tmp_path)
    with file:
        for name in ("shape", "n_rows", "n_features", "dtype", "is_fortran", "sha256"):
            assert getattr(memory, name) == getattr(file, name), name
        for rows in ROWS:
            chosen = rows if isinstance(rows, slice) else np.array(rows, np.int64)
            expected = file.read_rows(chosen)
            assert same_bits(memory.read_rows(chosen), expected)
            out = np.empty_like(expected)
            assert memory.read_rows(chosen, out) is out
            assert same_bits(out, expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("byte_order", "<>")
def test_every_dtype_has_the_hash_of_its_file(kind, byte_order, tmp_path):
    memory, file = both(random_array(kind, (9, 3), byte_order), tmp_path)
    with file:
        assert memory.sha256 == file.sha256


@pytest.mark.parametrize("layout", [np.ascontiguousarray, np.asfortranarray])
@pytest.mark.parametrize("n_rows", [40, 70_000])  # the latter in several reads
def test_the_hash_of_many_bytes_is_that_of_the_file(n_rows, layout, tmp_path, monkeypatch):
    memory, file = both(layout(random_array("f8", (n_rows, 3))), tmp_path)
    with file:
        whole = file.sha256
        assert memory.sha256 == whole
        monkeypatch.setattr(row_array, "HASHED_WHOLE_BYTES", 1000)
        monkeypatch.setattr(row_array, "HASHED_PIECES", 10)
        pieces = MemoryArray("array", np.load(file.path))
        del file.sha256
        assert pieces.sha256 == file.sha256 != whole


def test_rows_that_are_read_are_copies():
    array = np.ones((4, 3))
    for rows in (slice(None), np.arange(4)):
        MemoryArray("X", array).read_rows(rows)[:] = 0.0
    assert (array == 1).all()


REFUSED = {
    "a list": ([[1.0]], r"list; expected a numpy array \(numpy.asarray makes one\)"),
    "masked": (np.ma.masked_equal([[1.0]], 1.0), "MaskedArray; expected a numpy array"),
    "objects": (np.array([[None]]), "dtype object; expected float16, float32, float64, integers"),
    "complex numbers": (np.ones((2, 2), complex), "dtype complex128; expected float16"),
    "text": (np.array([["1"]]), "dtype <U1; expected float16"),
    "records": (np.zeros(3, [("a", "f8")]), r"dtype \[\('a', '<f8'\)\]; expected float16"),
    "no axis": (np.array(1.0), r"shape \(\); expected a row for each sample"),
    "no rows": (np.ones((0, 3)), r"shape \(0, 3\); expected at least one row and one value a row"),
    "no values": (np.ones((3, 0)), r"shape \(3, 0\); expected at least one row"),
}


@pytest.mark.parametrize(("array", "message"), REFUSED.values(), ids=REFUSED)
def test_what_no_file_may_hold_is_refused(array, message):
    with pytest.raises(DataError, match=f"^Xtr: {message}") as caught:
        MemoryArray("Xtr", array)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(("given", "shown"), [("", "none"), ("Xtr ytr", "Xtr, ytr")])
def test_all_four_arrays_are_needed(given, shown):
    found = dict.fromkeys(given.split(), np.ones((3, 1)))
    with pytest.raises(DataError, match=f"^arrays: {shown}; expected Xtr, ytr, Xte, yte$"):
        in_memory(found, PARTS)
    with pytest.raises(DataError, match=r"^arrays: Xtr, ytr, Xte, yte, more; expected"):
        in_memory(dict.fromkeys((*PARTS, "more"), np.ones((3, 1))), PARTS)


def dataset_of(arrays, **config):
    return open_dataset(Data(**config), arrays)


def test_arrays_that_do_not_fit_are_refused_by_name(arrays):
    cases = {
        "Xtr, ytr: shapes (130, 9) and (129,); expected equally many rows": {
            "ytr": arrays["ytr"][1:]
        },
        "Xtr, Xte: shapes (130, 9) and (40, 8); expected rows of equal size": {
            "Xte": arrays["Xte"][:, 1:]
        },
        "yte: shape (40, 2); expected one number for each row of X": {"yte": np.ones((40, 2))},
    }
    for message, changed in cases.items():
        with (
            pytest.raises(DataError, match=f"^{re.escape(message)}$"),
            dataset_of(arrays | changed),
        ):
            pass


def test_what_is_not_finite_is_named_by_row_and_column(arrays):
    arrays["Xtr"][17, 5] = np.nan
    arrays["ytr"][3] = np.inf
    with dataset_of(arrays) as dataset:
        with pytest.raises(DataError, match=r"^ytr: inf at row 3, column 0 \(from 0\); expected"):
            dataset.training(np.float64)
        arrays["ytr"][3] = 0.0
        rows = dataset.training(np.float64)
        with pytest.raises(DataError, match=r"^Xtr: nan at row 17, column 5 \(from 0\); expected"):
            rows.load()


def test_the_fingerprint_is_that_of_the_files(arrays, data_dir):
    with open_dataset(Data(path=str(data_dir))) as files, dataset_of(arrays) as memory:
        assert memory.fingerprint == files.fingerprint
        assert memory.file_hashes == files.file_hashes
        assert memory.shape == files.shape
