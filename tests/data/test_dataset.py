"""Four files as one data set: the split, what fits together, and the fingerprint."""

import os
from fractions import Fraction

import numpy as np
import pytest

from sgdlab.config.model import Data
from sgdlab.data.dataset import open_dataset
from sgdlab.data.shape import split_sizes
from sgdlab.errors import DataError


def open_with(data_dir, **config):
    return open_dataset(Data(path=str(data_dir), **config))


def complaint(data_dir, **config):
    with pytest.raises(DataError) as caught, open_with(data_dir, **config):
        pass
    (message,) = str(caught.value).splitlines()
    assert message.startswith(str(data_dir))
    assert "; expected " in message
    return message.replace(f"{data_dir}{os.sep}", "")


def row_numbers(rows):
    """Numbers of the rows of a set, in files whose first column holds them."""
    return np.concatenate([X[:, 0] for X, _ in rows.chunks(10)]).astype(int).tolist()


def split_of(data_dir, n_rows=130, **validation):
    """Row numbers of the training and validation rows."""
    np.save(data_dir / "Xtr.npy", np.arange(n_rows)[:, None] * np.ones(9))
    np.save(data_dir / "ytr.npy", np.arange(n_rows) * 10)
    with open_with(data_dir, validation=validation) as dataset:
        training, validation = dataset.training("float64"), dataset.validation("float64")
        assert (dataset.shape.n_train, dataset.shape.n_validation) == (
            training.n_rows,
            validation.n_rows,
        )
        for rows in (training, validation):
            assert rows.targets.tolist() == [10 * number for number in row_numbers(rows)]
        return row_numbers(training), row_numbers(validation)


# The split


@pytest.mark.parametrize(
    ("n_rows", "fraction", "sizes"),
    [
        (4000, 0.2, (3200, 800)),
        (611, 0.2, (488, 123)),
        (10, 0.1, (9, 1)),
        (10, 0.3, (7, 3)),
        (10, 0.7, (3, 7)),
        (1000, 0.001, (999, 1)),
        (10**6, 1e-6, (999_999, 1)),
        (3, 0.999, (0, 3)),
        (10**15, 0.1, (9 * 10**14, 10**14)),
    ],
)
def test_sizes_of_known_splits(n_rows, fraction, sizes):
    assert split_sizes(n_rows, fraction) == sizes
    assert split_sizes(n_rows, np.float64(fraction)) == sizes


@pytest.mark.parametrize("n_rows", [1, 2, 7, 10, 611, 4000, 5000, 12_345])
def test_sizes_are_those_of_exact_fractions(n_rows):
    for thousandths in range(1, 1000):
        n_train = n_rows * (1 - Fraction(thousandths, 1000)) // 1
        fraction = float(f"0.{thousandths:03}")
        assert split_sizes(n_rows, fraction) == (n_train, n_rows - n_train)


def test_tail_takes_the_last_rows(data_dir):
    training, validation = split_of(data_dir, fraction=0.25)
    assert training == list(range(97))
    assert validation == list(range(97, 130))


def test_random_split_is_disjoint_complete_and_in_the_order_of_the_file(data_dir):
    training, validation = split_of(data_dir, fraction=0.25, take="random")
    assert (len(training), len(validation)) == (97, 33)
    assert sorted(training + validation) == list(range(130))
    assert training == sorted(training)
    assert validation == sorted(validation)
    assert validation != list(range(97, 130))


def test_random_split_depends_on_its_seed_alone(data_dir):
    splits = {seed: split_of(data_dir, take="random", seed=seed) for seed in range(4)}
    assert splits[0] == split_of(data_dir, take="random", seed=0)
    assert len({tuple(validation) for _, validation in splits.values()}) == 4


def test_random_split_takes_every_row_equally_often(data_dir):
    counts = np.zeros(20)
    for seed in range(200):
        counts[split_of(data_dir, 20, fraction=0.5, take="random", seed=seed)[1]] += 1
    standard_error = np.sqrt(200 * 0.5 * 0.5)
    assert np.all(np.abs(counts - 100) < 4 * standard_error)


@pytest.mark.parametrize("take", ["tail", "random"])
def test_limited_rows_are_the_first_and_validation_stays(take, data_dir):
    training, validation = split_of(data_dir, take=take, seed=3)
    with open_with(data_dir, validation={"take": take, "seed": 3}) as dataset:
        limited = dataset.limited_to(70)
        assert (limited.shape.n_train, limited.shape.n_validation) == (70, 26)
        assert row_numbers(limited.validation("float64")) == validation
        assert set(row_numbers(limited.training("float64"))) < set(training)
        if take == "tail":
            assert row_numbers(limited.training("float64")) == training[:70]
        assert dataset.limited_to(1000).shape == dataset.shape


@pytest.mark.parametrize(("n_rows", "fraction"), [(1, 0.2), (1, 0.999), (2, 0.9)])
def test_split_without_training_rows_is_refused(n_rows, fraction, data_dir, arrays):
    np.save(data_dir / "Xtr.npy", arrays["Xtr"][:n_rows])
    np.save(data_dir / "ytr.npy", arrays["ytr"][:n_rows])
    found = complaint(data_dir, validation={"fraction": fraction})
    assert found == (
        f"Xtr.npy: 0 rows to train and {n_rows} to validate;"
        " expected some of each (data.validation.fraction)"
    )


# What fits together


def test_shape_of_a_data_set(data_dir):
    with open_with(data_dir) as dataset:
        shape = dataset.shape
    assert (shape.n_train, shape.n_validation, shape.n_test, shape.n_features) == (104, 26, 40, 9)


def test_images_are_flattened(data_dir, arrays):
    np.save(data_dir / "Xtr.npy", arrays["Xtr"].reshape(130, 3, 3))
    with open_with(data_dir) as dataset:
        assert dataset.shape.n_features == 9
        X, _ = next(dataset.training("float64").chunks(200))
    assert np.array_equal(X, arrays["Xtr"][:104])


def test_files_of_a_prefix(data_dir, arrays):
    for part, array in arrays.items():
        np.save(data_dir / f"other_{part}.npy", array[:20])
    with open_with(data_dir, prefix="other_") as dataset:
        assert dataset.shape.n_test == 20


@pytest.mark.parametrize("part", ["Xtr", "ytr", "Xte", "yte"])
def test_missing_file_is_named(part, data_dir):
    (data_dir / f"{part}.npy").unlink()
    found = complaint(data_dir)
    assert found == f"{part}.npy: no such file or directory; expected a .npy file"


@pytest.mark.parametrize(("X_part", "y_part", "n"), [("Xtr", "ytr", 130), ("Xte", "yte", 40)])
def test_unequal_lengths_are_refused(X_part, y_part, n, data_dir):
    np.save(data_dir / f"{y_part}.npy", np.zeros(n - 1))
    assert complaint(data_dir) == (
        f"{X_part}.npy, {y_part}.npy: shapes ({n}, 9) and ({n - 1},); expected equally many rows"
    )


def test_unequal_widths_are_refused(data_dir):
    np.save(data_dir / "Xte.npy", np.zeros((40, 8)))
    found = "shapes (130, 9) and (40, 8); expected rows of equal size"
    assert complaint(data_dir) == f"Xtr.npy, Xte.npy: {found}"


@pytest.mark.parametrize("part", ["ytr", "yte"])
@pytest.mark.parametrize("kind", ["f8", ">f4", "u1"])
def test_targets_may_be_a_column(part, kind, data_dir, arrays):
    y = np.abs(arrays[part]).astype(kind)
    np.save(data_dir / f"{part}.npy", y[:, None])
    with open_with(data_dir) as dataset:
        rows = dataset.training("float64") if part == "ytr" else dataset.test("float64")
        assert rows.targets.tolist() == y[: rows.n_rows].astype(float).tolist()


@pytest.mark.parametrize("shape", [(130, 2), (1, 130), (130, 1, 1), (65, 2)])
def test_targets_of_other_shapes_are_refused(shape, data_dir):
    np.save(data_dir / "ytr.npy", np.zeros(shape))
    expected = "expected one number for each row of X"
    assert complaint(data_dir) == f"ytr.npy: shape {shape}; {expected}"


def test_files_are_closed_when_one_is_broken(data_dir):
    (data_dir / "yte.npy").write_bytes(b"")
    assert complaint(data_dir)  # an open file would warn, and warnings are errors


# The fingerprint


def fingerprint(folder, **config):
    with open_with(folder, **config) as dataset:
        return dataset.fingerprint


@pytest.mark.parametrize("part", ["Xtr", "ytr", "Xte", "yte"])
def test_fingerprint_changes_with_any_byte_of_any_file(part, data_dir):
    before = fingerprint(data_dir)
    path = data_dir / f"{part}.npy"
    content = path.read_bytes()
    for place in (128, 128 + 77, len(content) - 1):
        changed = bytearray(content)
        changed[place] ^= 1
        path.write_bytes(changed)
        assert fingerprint(data_dir) != before
    path.write_bytes(content)
    assert fingerprint(data_dir) == before


def test_fingerprint_tells_files_apart(data_dir, arrays):
    np.save(data_dir / "Xte.npy", arrays["Xtr"])
    np.save(data_dir / "yte.npy", arrays["ytr"])
    before = fingerprint(data_dir)
    changed = arrays["ytr"] + 1
    np.save(data_dir / "ytr.npy", changed)
    one = fingerprint(data_dir)
    np.save(data_dir / "ytr.npy", arrays["ytr"])
    np.save(data_dir / "yte.npy", changed)
    assert len({before, one, fingerprint(data_dir)}) == 3


def test_fingerprint_is_of_the_content_alone(data_dir, tmp_path, arrays):
    other = tmp_path / "elsewhere"
    other.mkdir()
    for part, array in arrays.items():
        np.save(other / f"named_{part}.npy", array)
        os.utime(other / f"named_{part}.npy", (0, 0))
    settings = {"prefix": "named_", "preprocess": "center", "validation": {"fraction": 0.5}}
    assert fingerprint(other, **settings) == fingerprint(data_dir)
