"""Rows as the arithmetic sees them: the same bits from memory and disk, finite, well centred."""

import numpy as np
import pytest

from sgdlab.config.model import Data
from sgdlab.data import statistics as walk_module
from sgdlab.data import transform as transform_module
from sgdlab.data.dataset import open_dataset
from sgdlab.data.npy import NpyFile
from sgdlab.data.rows import RowSet, rows_in
from sgdlab.data.statistics import column_statistics
from sgdlab.data.transform import Transform, check_finite
from sgdlab.errors import DataError

KINDS = ["f2", "f4", ">f8", "i1", "i2", ">i4", "i8", "u1", "u2", "u4", "u8", "b1"]
COLUMN = np.random.default_rng(3).standard_normal(60)
PREPROCESS = ["none", "center", "standardize"]


def whole_numbers(kind, n_rows=61, n_features=5, seed=0):
    """Numbers that every dtype can hold."""
    largest = {"b": 2, "u": 256, "i": 128, "f": 2048}[np.dtype(kind).kind]
    rng = np.random.default_rng(seed)
    return rng.integers(largest, size=(n_rows, n_features)).astype(kind)


def save(folder, **arrays):
    for part, array in arrays.items():
        np.save(folder / f"{part}.npy", array)


def small_pieces(monkeypatch, n_rows, n_features):
    """Whole files are walked through in pieces of ``n_rows``."""
    monkeypatch.setattr(walk_module, "READ_BYTES", 8 * n_features * n_rows)
    monkeypatch.setattr(RowSet, "piece_rows", n_rows)
    assert rows_in(walk_module.READ_BYTES, n_features) == n_rows


def collected(row_set, chunk_rows, order=None):
    """All rows and targets, and the lengths of the chunks in which they came."""
    chunks = list(row_set.chunks(chunk_rows, order))
    return (
        np.concatenate([X for X, _ in chunks]),
        np.concatenate([y for _, y in chunks]),
        [len(X) for X, _ in chunks],
    )


def statistics(array, numbers, tmp_path, divide_by=1.0, with_scale=True):
    np.save(tmp_path / "X.npy", array)
    with NpyFile(tmp_path / "X.npy") as file:
        [found] = column_statistics(file, np.asarray(numbers), divide_by, with_scale)
        return found[:2]


# Memory and disk


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("preprocess", PREPROCESS)
@pytest.mark.parametrize("kind", KINDS)
def test_rows_in_memory_have_the_bits_of_rows_from_disk(
    kind, preprocess, precision, data_dir, monkeypatch
):
    X = np.asarray(whole_numbers(kind), order="F" if kind == "u2" else "C")
    y = whole_numbers("f8", n_features=1)[:, 0] / 7
    save(data_dir, Xtr=X, ytr=y, Xte=X[:10], yte=y[:10])
    small_pieces(monkeypatch, 7, 5)
    rng = np.random.default_rng(1)
    with open_dataset(Data(path=str(data_dir), preprocess=preprocess, divide_by=7.0)) as dataset:
        streamed, held = dataset.training(precision), dataset.training(precision)
        held.load()
        assert (held.n_rows, held.n_features, held.n_bytes) == (48, 5, 48 * 5 * held.dtype.itemsize)
        for order in [None, rng.permutation(48), rng.integers(48, size=100), np.array([47])]:
            for chunk_rows in [1, 7, 48, 1000]:
                X_streamed, y_streamed, lengths = collected(streamed, chunk_rows, order)
                X_held, y_held, same_lengths = collected(held, chunk_rows, order)
                assert lengths == same_lengths
                assert set(lengths[:-1]) <= {chunk_rows}
                assert X_streamed.dtype == X_held.dtype == y_held.dtype == precision
                assert X_streamed.tobytes() == X_held.tobytes()
                assert y_streamed.tobytes() == y_held.tobytes()
                picked = slice(None) if order is None else order
                assert y_held.tobytes() == y[:48].astype(precision)[picked].tobytes()


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("preprocess", PREPROCESS)
@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_those_of_plain_numpy(kind, preprocess, in_memory, data_dir):
    X = whole_numbers(kind)
    y = np.arange(61.0)
    save(data_dir, Xtr=X, ytr=y, Xte=X[:10], yte=y[:10])
    scaled = X.astype(np.float64) / 3
    mean = scaled[:48].mean(axis=0) if preprocess != "none" else 0.0
    std = scaled[:48].std(axis=0) if preprocess == "standardize" else 1.0
    expected = (scaled - mean) / std
    with open_dataset(Data(path=str(data_dir), preprocess=preprocess, divide_by=3.0)) as dataset:
        for rows, of_file in [
            (dataset.training("float64"), expected[:48]),
            (dataset.validation("float64"), expected[48:]),
            (dataset.test("float64"), expected[:10]),
        ]:
            if in_memory:
                rows.load()
            found, _, _ = collected(rows, 6)
            np.testing.assert_allclose(found, of_file, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_what_has_a_mean_is_rounded_to_the_precision_asked_for_at_the_end(dtype, monkeypatch):
    monkeypatch.setattr(transform_module, "PIECE_NUMBERS", 2 * 7)
    raw = (np.random.default_rng(0).standard_normal((50, 2)) * [1, 1e5]).astype(dtype)
    before = raw.copy()
    transform = Transform(3.0, np.array([0.05, 1e4]), np.array([0.7, 1e3]))
    columns = list(zip(transform.mean, transform.scale, strict=True))
    expected = [
        [(float(x) / 3 - m) / s for x, (m, s) in zip(row, columns, strict=True)] for row in raw
    ]
    found = np.empty(raw.shape, np.float32)
    transform.apply(raw, found)
    assert found.tolist() == np.array(expected).astype(np.float32).tolist()
    assert np.array_equal(raw, before)


def test_what_has_no_mean_is_divided_in_the_precision_asked_for():
    raw = np.random.default_rng(0).standard_normal((50, 2))
    found = np.empty(raw.shape, np.float32)
    Transform(3.0).apply(raw, found)
    assert found.tolist() == (raw.astype(np.float32) / np.float32(3)).tolist()


LARGE_MEANS = {
    "a mean of 1e6": 1e6 + 0.05 * COLUMN,
    "seconds since 1970": 1.7e9 + COLUMN,
    "whole seconds": np.round(1.7e9 + 300 * COLUMN).astype(np.int64),
    "a small one of 1e-6": 1e-6 + 1e-14 * COLUMN,
}


@pytest.mark.parametrize("validation", [{"fraction": 0.4}, {"folds": 3}])
@pytest.mark.parametrize("preprocess", ["center", "standardize"])
@pytest.mark.parametrize("what", LARGE_MEANS)
def test_float32_loses_nothing_of_a_column_that_hardly_varies(
    what, preprocess, validation, tmp_path
):
    """As it would if the column were rounded before its mean is subtracted."""
    column = LARGE_MEANS[what]
    X = np.column_stack([column, column[::-1]])
    for part, array in {"Xtr": X, "ytr": COLUMN, "Xte": X, "yte": COLUMN}.items():
        np.save(tmp_path / f"{part}.npy", array)
    config = Data(path=str(tmp_path), preprocess=preprocess, validation=validation)
    with open_dataset(config) as dataset:
        for precision in ("float64", "float32"):
            rows = dataset.pooled(precision) if dataset.shape.folds else dataset.training(precision)
            [chunk] = rows.chunks(len(X))
            if dataset.shape.folds:
                chunk = dataset.folds[1].training(chunk, rows.numbers)
            assert chunk[0].dtype == precision
            if precision == "float64":
                exact = chunk[0]
        size = np.abs(exact).max()
        np.testing.assert_allclose(chunk[0], exact, rtol=1e-6, atol=1e-7 * size)
        assert np.unique(chunk[0][:, 0]).size > 0.9 * len(exact)


def test_rows_follow_the_order_of_their_numbers(tmp_path):
    X = np.arange(20.0).reshape(10, 2)
    np.save(tmp_path / "X.npy", X)
    numbers = np.array([7, 2, 2, 9, 0])
    with NpyFile(tmp_path / "X.npy") as file:
        rows = RowSet(file, numbers, np.array([70.0, 20, 20, 90, 0]), Transform())
        for _ in range(2):
            found, targets, _ = collected(rows, 2, np.array([4, 0, 1, 3]))
            assert found.tolist() == X[[0, 7, 2, 9]].tolist()
            assert targets.tolist() == [0, 70, 20, 90]
            rows.load()


def test_training_rows_in_a_given_order(data_dir, arrays):
    order = np.random.default_rng(0).permutation(104)
    with open_dataset(Data(path=str(data_dir))) as dataset:
        found, targets, _ = collected(dataset.training("float64", order), 10)
    assert np.array_equal(found, arrays["Xtr"][order])
    assert np.array_equal(targets, arrays["ytr"][order])


def test_loading_goes_through_the_file_from_its_start(data_dir, arrays, monkeypatch):
    X = arrays["Xtr"].copy()
    X[[20, 80], 0] = np.nan
    np.save(data_dir / "Xtr.npy", X)
    small_pieces(monkeypatch, 10, 9)
    with open_dataset(Data(path=str(data_dir))) as dataset:
        rows = dataset.training("float64", np.arange(104)[::-1])
        with pytest.raises(DataError, match="row 20, column 0"):
            rows.load()


def test_loaded_rows_need_no_file(data_dir, arrays):
    with open_dataset(Data(path=str(data_dir))) as dataset:
        rows = dataset.test("float64")
        rows.load()
    found, _, _ = collected(rows, 9)
    assert np.array_equal(found, arrays["Xte"])


# Values that are not finite

NOT_FINITE = [np.nan, np.inf, -np.inf]


def read_everything(data_dir, in_memory, **config):
    """Read all rows of all sets, in the order of the files."""
    with open_dataset(Data(path=str(data_dir), **config)) as dataset:
        for rows in (
            dataset.training("float64"),
            dataset.validation("float64"),
            dataset.test("f4"),
        ):
            if in_memory:
                rows.load()
            collected(rows, 9)


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("bad", NOT_FINITE)
@pytest.mark.parametrize("kind", ["f2", ">f4", "f8"])
@pytest.mark.parametrize(
    ("part", "row"), [("Xtr", 0), ("Xtr", 77), ("Xtr", 104), ("Xtr", 129), ("Xte", 39)]
)
def test_first_value_that_is_not_finite_is_named(
    part, row, kind, bad, in_memory, data_dir, arrays, monkeypatch
):
    X = arrays[part].astype(kind)
    X[row, 6] = bad
    X[row, 8] = np.nan
    X[row + 1 :, 2] = np.inf
    np.save(data_dir / f"{part}.npy", X)
    small_pieces(monkeypatch, 50, 9)
    with pytest.raises(DataError) as caught:
        read_everything(data_dir, in_memory)
    place = f"{data_dir / part}.npy: {bad} at row {row}, column 6 (from 0)"
    assert str(caught.value) == f"{place}; expected finite numbers"


@pytest.mark.parametrize("bad", NOT_FINITE)
@pytest.mark.parametrize(("part", "row"), [("ytr", 3), ("ytr", 129), ("yte", 0)])
def test_labels_that_are_not_finite_are_named(part, row, bad, data_dir, arrays):
    y = arrays[part].copy()
    y[row] = bad
    np.save(data_dir / f"{part}.npy", y)
    with pytest.raises(DataError) as caught:
        read_everything(data_dir, in_memory=True)
    assert str(caught.value).startswith(f"{data_dir / part}.npy: {bad} at row {row}, column 0 (")


@pytest.mark.parametrize("preprocess", ["center", "standardize"])
@pytest.mark.parametrize("row", [0, 60])
def test_statistics_name_values_that_are_not_finite(row, preprocess, data_dir, arrays):
    X = arrays["Xtr"].copy()
    X[row, 1] = np.nan
    np.save(data_dir / "Xtr.npy", X)
    with pytest.raises(DataError, match=rf"nan at row {row}, column 1 \(from 0\)"):
        read_everything(data_dir, in_memory=True, preprocess=preprocess)


def test_rows_of_a_random_split_are_numbered_as_in_the_file(data_dir, arrays):
    X = arrays["Xtr"].copy()
    X[[31, 90], 4] = np.nan
    np.save(data_dir / "Xtr.npy", X)
    validation = {"take": "random", "seed": 1, "fraction": 0.5}
    with open_dataset(Data(path=str(data_dir), validation=validation)) as dataset:
        found = []
        for rows in (dataset.training("float64"), dataset.validation("float64")):
            with pytest.raises(DataError, match="nan at row") as caught:
                rows.load()
            found.append(str(caught.value))
    assert sorted("row 31," in message for message in found) == [False, True]
    assert sorted("row 90," in message for message in found) == [False, True]


def test_first_bad_row_of_the_file_is_named_whatever_the_order(tmp_path):
    values = np.zeros((4, 3), np.float32)
    values[1, 2] = values[3, 0] = np.nan
    np.save(tmp_path / "X.npy", values)
    with NpyFile(tmp_path / "X.npy") as file:
        with pytest.raises(DataError, match="row 5, column 0"):
            check_finite(file, values, np.array([2, 8, 3, 5]))
        check_finite(file, values[[0, 2]], np.array([0, 2]))
        check_finite(file, np.array([[2**63 - 1]]), np.array([0]))


@pytest.mark.parametrize(
    ("part", "value", "config"),
    [
        ("Xtr", 1e39, {}),
        ("Xtr", 1e30, {"divide_by": 1e-30}),
        ("Xtr", 1.0, {"divide_by": 1e-60}),  # which is 0 in float32
        ("Xtr", 1e200, {"preprocess": "center"}),  # whose square is infinite in float64
    ],
)
def test_finite_values_never_become_infinite(part, value, config, data_dir, arrays):
    array = arrays[part].copy()
    array[5] = value
    np.save(data_dir / f"{part}.npy", array)
    with (
        pytest.raises(
            DataError, match=r"Xtr.npy: values out of the range of float\d\d .* expected"
        ),
        open_dataset(Data(path=str(data_dir), **config)) as dataset,
    ):
        dataset.training("float32").load()


@pytest.mark.parametrize("part", ["ytr", "yte"])
def test_a_target_out_of_range_is_named_with_its_file_and_row(part, data_dir, arrays):
    y = arrays[part].copy()
    y[[7, 30]] = -1e39
    np.save(data_dir / f"{part}.npy", y)
    with open_dataset(Data(path=str(data_dir))) as dataset:
        row_sets = {"ytr": (dataset.training, dataset.validation), "yte": (dataset.test,)}[part]
        for rows in row_sets:
            with pytest.raises(DataError) as caught:
                rows("float32")
            assert str(caught.value) == (
                f"{data_dir / part}.npy: -1e+39 at row 7 (from 0), out of the range of float32;"
                " expected moderate numbers (see train.precision)"
            )
            assert rows("float64").dtype == np.float64


# Statistics of columns


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("divide_by", [1.0, 255.0])
def test_statistics_are_those_of_numpy_in_float64(kind, divide_by, tmp_path, monkeypatch):
    small_pieces(monkeypatch, 4, 5)
    X = whole_numbers(kind)
    numbers = np.random.default_rng(2).permutation(61)[:30]
    mean, scale = statistics(X, numbers, tmp_path, divide_by)
    chosen = X[numbers].astype(np.float64) / divide_by
    np.testing.assert_allclose(mean, chosen.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(scale, chosen.std(axis=0), rtol=1e-13)
    assert mean.dtype == scale.dtype == np.float64


def test_float16_is_summed_in_float64(tmp_path):
    X = np.full((3000, 1), 60_000, np.float16)
    X[::2] = 59_968
    mean, scale = statistics(X, np.arange(3000), tmp_path)
    assert (mean.tolist(), scale.tolist()) == ([59_984.0], [16.0])


def test_mean_alone(tmp_path):
    mean, scale = statistics(whole_numbers("f8"), np.arange(61), tmp_path, with_scale=False)
    assert mean.shape == (5,)
    assert scale is None


@pytest.mark.parametrize("constant", [0.0, 0.1, -1e-300, 1e200, 12345.678])
@pytest.mark.parametrize("divide_by", [1.0, 255.0])
def test_scale_of_a_constant_column_is_one(constant, divide_by, tmp_path, monkeypatch):
    # Many rows, so that the rounding of a plain sum would show: 0.1 added up differs from n * 0.1.
    X = np.full((200_000, 2), constant)
    X[:, 1] = np.arange(200_000) % 2
    small_pieces(monkeypatch, 90_000, 2)
    mean, scale = statistics(X, np.arange(len(X)), tmp_path, divide_by)
    assert mean[0] == constant / divide_by
    assert scale[0] == 1.0
    assert scale[1] == pytest.approx(0.5 / divide_by, rel=1e-12)


def test_column_of_tiny_values_is_not_constant(tmp_path):
    X = np.array([[1e-20], [3e-20]])
    mean, scale = statistics(X, [0, 1], tmp_path)
    assert mean[0] == pytest.approx(2e-20, rel=1e-12)
    assert scale[0] == pytest.approx(1e-20, rel=1e-12)


@pytest.mark.parametrize("size", [1e300, 1e160, 1e-160, 1e-300])
def test_columns_of_any_size_have_their_deviation(size, tmp_path, monkeypatch):
    small_pieces(monkeypatch, 7, 4)
    X = np.random.default_rng(4).standard_normal((30, 4)) * [size, 1.0, size, 1.0]
    X[:, 2] = 0.7 * size  # constant
    X[3, 3] = size
    mean, scale = statistics(X, np.arange(30), tmp_path)
    exact = X.astype(np.longdouble)
    np.testing.assert_allclose(mean, exact.mean(axis=0).astype(float), rtol=1e-12, atol=0)
    np.testing.assert_allclose(scale[[0, 1, 3]], exact.std(axis=0).astype(float)[[0, 1, 3]])
    assert scale[2] == 1.0


def test_every_fold_has_the_deviations_of_its_own_rows(tmp_path):
    X = np.array([[1e200], [3e200], [1e-200], [3e-200], [5.0], [9.0]])
    np.save(tmp_path / "X.npy", X)
    held_out = np.array([0, 0, 1, 1, 1, 1])
    with NpyFile(tmp_path / "X.npy") as file:
        found = column_statistics(file, np.arange(6), 1.0, True, held_out)
    scales = [statistics.scale[0] for statistics in found]
    assert scales == pytest.approx([X[2:].std(), 1e200], rel=1e-14)


def test_deviation_far_from_zero_is_exact(tmp_path):
    X = 1e9 + np.array([[0.0], [1.0], [2.0], [3.0]])
    _, scale = statistics(X, np.arange(4), tmp_path)
    assert scale[0] == pytest.approx(np.sqrt(1.25), rel=1e-12)


@pytest.mark.parametrize("take", ["tail", "random"])
@pytest.mark.parametrize("preprocess", ["center", "standardize"])
def test_statistics_are_of_the_training_rows_alone(take, preprocess, data_dir, arrays):
    config = Data(path=str(data_dir), preprocess=preprocess, validation={"take": take})

    def transform_bits():
        with open_dataset(config) as dataset:
            transform = dataset.transform
        return [
            None if part is None else part.tobytes() for part in (transform.mean, transform.scale)
        ]

    with open_dataset(config) as dataset:
        training, validation = dataset._split
    before = transform_bits()
    changed = arrays["Xtr"].copy()
    changed[validation] = 1e6
    save(data_dir, Xtr=changed, Xte=arrays["Xte"] + 1e6)
    assert transform_bits() == before
    changed[training[0]] += 1
    save(data_dir, Xtr=changed)
    assert transform_bits() != before
